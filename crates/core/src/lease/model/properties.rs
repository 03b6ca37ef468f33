//! The properties that hold in every order of events, and the guards they depend on.
//!
//! Reconciling again right after a write is not among the guards: the next check would find a rotation as
//! well, only later.

use super::explore::{Found, explore};
use super::*;

/// Three values in a row, and a source that returns to its first value.
const ONWARD: [u8; 3] = [0, 1, 2];
const AND_BACK: [u8; 3] = [0, 1, 0];

/// Limits within which each missing guard is noticed.
const ONE_FAULT: Limits = Limits {
    rotations: 2,
    leases: 1,
    releases: 0,
    faults: 1,
};

impl Situation {
    /// Removes every fault and lets the replicas do what is left to do.
    fn comes_to_rest(&self) -> Self {
        let mut situation = self.clone();
        for _ in 0..12 {
            for r in 0..2 {
                let one = &situation.replicas[r];
                if one.dead {
                    situation.happen(Event::Restart(r));
                } else if one.paused {
                    situation.happen(Event::Resume(r));
                }
                situation.replicas[r].cut = false;
            }
            while !situation.requests.is_empty() {
                situation.happen(Event::Arrive(0));
            }
            situation.happen(Event::LeasePasses);
            for r in 0..2 {
                situation.happen(Event::Tick(r));
                for _ in 0..40 {
                    situation.go_on(r);
                }
            }
            if situation.state.marks.is_waiting() {
                situation.happen(Event::LateWritesPast);
            }
        }
        situation
    }

    fn go_on(&mut self, r: usize) {
        if !self.requests.is_empty() {
            self.happen(Event::Arrive(0));
        } else if self.replicas[r].run.is_some() {
            self.happen(Event::Step(r, Call::Fine));
        } else if !self.is_in_sync() || self.replicas[r].kept.is_some() {
            self.happen(Event::Run(r));
        }
    }

    /// Asserts that the situation comes to rest with the newest value in Flashback.
    fn ends_well(&self) {
        let end = self.comes_to_rest();
        assert!(end.is_settled(), "it does not come to rest");
        assert!(end.has_the_newest(), "it ends with another value");
        assert_eq!(end.wrong, None);
    }
}

fn start(guards: Guards, values: [u8; 3]) -> Situation {
    Situation::new(guards, ONE_FAULT, values, true)
}

/// Asserts that no order of events violates an invariant, and that samples of the situations come to rest.
fn nothing_goes_wrong(start: Situation) {
    let found = explore(start, |number, situation| {
        if number % 97 == 0 {
            situation.ends_well();
        }
    });
    if let Some((_, trace)) = found.wrong {
        panic!("{trace}");
    }
    println!("{} situations", found.situations);
}

/// Asserts that without one of the guards an invariant is violated.
fn is_missed(guards: Guards, values: [u8; 3], what: &str) {
    let Found { situations, wrong } = explore(start(guards, values), |_, _| {});
    let Some((_, trace)) = wrong else {
        panic!("nobody misses it in {situations} situations: {guards:?}");
    };
    println!("after {situations} situations:\n{trace}");
    assert!(trace.ends_with(what), "{trace}");
}

const STALE: &str = "all is quiet, and Flashback has not the newest value";

#[test]
fn the_newest_value_is_in_flashback_in_the_end() {
    nothing_goes_wrong(start(ALL, ONWARD));
}

#[test]
fn the_newest_value_wins_when_the_source_returns_to_an_earlier_one() {
    nothing_goes_wrong(start(ALL, AND_BACK));
}

#[test]
fn the_same_with_two_faults() {
    let limits = Limits {
        rotations: 1,
        faults: 2,
        ..ONE_FAULT
    };
    nothing_goes_wrong(Situation::new(ALL, limits, ONWARD, true));
}

#[test]
fn the_same_over_several_leases_and_with_keys_given_back() {
    let limits = Limits {
        rotations: 1,
        leases: 2,
        releases: 1,
        ..ONE_FAULT
    };
    nothing_goes_wrong(Situation::new(ALL, limits, ONWARD, true));
}

#[test]
fn only_one_configuration_is_created_when_either_replica_may_create_it() {
    let limits = Limits {
        rotations: 0,
        ..ONE_FAULT
    };
    nothing_goes_wrong(Situation::new(ALL, limits, ONWARD, false));
}

#[test]
fn without_asking_for_the_lease_again_a_write_begins_that_must_not() {
    let guards = Guards {
        recheck: false,
        ..ALL
    };
    is_missed(guards, ONWARD, "a write is begun without the lease");
}

#[test]
fn without_an_end_to_a_write_two_are_under_way_at_once() {
    let guards = Guards {
        bound: false,
        ..ALL
    };
    is_missed(guards, ONWARD, "two replicas write at once");
}

#[test]
fn without_a_mark_a_write_without_the_lease_stays() {
    let guards = Guards { mark: false, ..ALL };
    is_missed(guards, ONWARD, STALE);
}

#[test]
fn with_a_mark_that_is_heeded_once_what_arrives_after_that_stays() {
    let guards = Guards {
        marked_twice: false,
        ..ALL
    };
    is_missed(guards, ONWARD, STALE);
}

#[test]
fn without_a_late_repair_what_a_dead_replica_has_sent_stays() {
    let guards = Guards {
        late_repair: false,
        ..ALL
    };
    is_missed(guards, ONWARD, STALE);
}

#[test]
fn without_refusing_renewals_after_eviction_a_write_begins_unleased() {
    let guards = Guards {
        renewal_excludes: false,
        ..ALL
    };
    is_missed(guards, ONWARD, "a write is begun without the lease");
}

#[test]
fn without_fences_a_late_save_hides_what_flashback_has() {
    let guards = Guards {
        fenced: false,
        ..ALL
    };
    is_missed(guards, AND_BACK, STALE);
}

#[test]
fn without_keeping_the_outcome_a_value_is_written_twice() {
    let guards = Guards { kept: false, ..ALL };
    is_missed(
        guards,
        ONWARD,
        "a value is written twice because the state was away",
    );
}

/// Returns a situation in which a replica is stopped between checking its lease and sending. A rotation, a lease
/// and `faults` faults may still follow.
fn stopped_in_the_gap(faults: u8) -> Situation {
    let limits = Limits {
        faults: 1 + faults,
        ..ONE_FAULT
    };
    let mut situation = Situation::new(ALL, limits, ONWARD, true);
    situation.happen(Event::Rotate);
    situation.happen(Event::Run(0));
    let begins = |situation: &Situation| {
        let run = situation.replicas[0].run.as_ref().expect("it runs");
        matches!(run.stage, Stage::Beginning(_))
    };
    while !begins(&situation) {
        situation.happen(Event::Step(0, Call::Fine));
    }
    situation.happen(Event::StepIntoGap(0));
    situation
}

#[test]
fn unleased_write_is_repaired_when_its_sender_survives_to_mark_it() {
    nothing_goes_wrong(stopped_in_the_gap(0));
}

/// Covers two faults of one replica: it is stopped there until its lease is over, and killed after sending
/// and before it has marked the key. No other replica can know of the write. The next resync repairs it, like
/// any other change of a value, which Flashback does not show.
#[test]
fn where_it_is_killed_first_the_resync_mends_it() {
    let mut start = stopped_in_the_gap(1);
    start.double_faults = true;
    let Found { situations, wrong } = explore(start, |_, _| {});
    let (mut situation, trace) = wrong.expect("the hole that is left");
    println!("after {situations} situations:\n{trace}");
    assert!(trace.ends_with(STALE), "{trace}");
    assert!(trace.contains("A is killed"), "{trace}");
    situation.wrong = None;
    situation.now += RULES.resync;
    situation.ends_well();
}
