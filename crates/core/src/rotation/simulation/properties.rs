//! The properties that hold after any series of happenings, tried on random ones.
//!
//! `PROPTEST_CASES=100000 cargo test -p flashback-rotator-core --release rotation` tries a hundred thousand of them.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::happening::Happening;
use super::readers::Pushing;
use super::*;
use crate::model::NextKey;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::Fine),
        2 => Just(Fault::LostAnswer),
        2 => Just(Fault::LostRequest),
        1 => Just(Fault::Refused),
        2 => (1..=LATEST, any::<bool>()).prop_map(|(seconds, taken_over)| Fault::Late { seconds, taken_over }),
    ]
}

/// A pass of the process, with its faults.
fn pass() -> impl Strategy<Value = Happening> {
    let faults = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(fault(), 0..8),
    ];
    let dies_after = prop::option::weighted(0.2, 0..12_usize);
    (faults, dies_after, 0..=LAG, prop::bool::weighted(0.3)).prop_map(
        |(faults, dies_after, lag, due)| Happening::Pass {
            faults,
            dies_after,
            lag,
            due,
        },
    )
}

fn pushing() -> impl Strategy<Value = Pushing> {
    prop_oneof![4 => Just(Pushing::Fine), 1 => Just(Pushing::LostAnswer), 1 => Just(Pushing::LostRequest)]
}

fn wait() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => 0..20_i64,
        3 => 20..200_i64,
        2 => 200..1500_i64,
    ]
    .prop_map(|seconds| Happening::Wait { seconds })
}

/// What happens where nobody but the process does anything.
fn alone() -> impl Strategy<Value = Happening> {
    prop_oneof![
        12 => pass(),
        4 => Just(Happening::Deliver),
        3 => (0..3_usize, pushing()).prop_map(|(reader, pushing)| Happening::Check { reader, pushing }),
        5 => wait(),
        1 => Just(Happening::Die),
        1 => any::<bool>().prop_map(|compromised| Happening::Command { compromised, even_if_broken: false }),
        1 => (5..300_i64).prop_map(|seconds| Happening::Away { seconds }),
    ]
}

fn revoke() -> impl Strategy<Value = Revoke> {
    prop_oneof![4 => Just(Revoke::Disable), 2 => Just(Revoke::Delete), 1 => Just(Revoke::None)]
}

fn anything() -> impl Strategy<Value = Happening> {
    let people = prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(compromised, even_if_broken)| Happening::Command { compromised, even_if_broken }),
        2 => (0..3_usize).prop_map(|reader| Happening::RollBack { reader }),
        2 => (0..3_usize).prop_map(|reader| Happening::Force { reader }),
        1 => (0..3_usize, any::<bool>()).prop_map(|(reader, enabled)| Happening::Enable { reader, enabled }),
        1 => prop_oneof![Just(0), -90_000..90_000_i64].prop_map(|seconds| Happening::ClockAhead { seconds }),
        1 => revoke().prop_map(|revoke| Happening::Configure { revoke }),
    ];
    let source = prop_oneof![
        3 => Just(Happening::WriteOther),
        2 => Just(Happening::WriteBroken),
        2 => Just(Happening::WriteSame),
        2 => (1..4_usize).prop_map(|back| Happening::WriteOlder { back }),
        1 => (1..4_usize).prop_map(|back| Happening::MoveBack { back }),
    ];
    let provider = prop_oneof![
        3 => Just(Happening::MakeKey),
        4 => (0..5_usize).prop_map(|key| Happening::UseKey { key }),
        1 => (0..5_usize).prop_map(|key| Happening::DeleteKey { key }),
        1 => (0..5_usize).prop_map(|key| Happening::DisableKey { key }),
        1 => (0..5_usize).prop_map(|key| Happening::EnableKey { key }),
    ];
    prop_oneof![
        14 => alone(),
        2 => people,
        2 => source,
        1 => provider,
    ]
}

fn abilities() -> impl Strategy<Value = Abilities> {
    let of = |mints, names, last_use, disables, slots, limit| Abilities {
        mints,
        names,
        last_use,
        disables,
        slots,
        limit,
    };
    let any_of = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(2..4_usize),
    );
    prop_oneof![
        // Those that there are: openai, openrouter, aws-iam, bedrock, google, azure-openai, anthropic.
        Just(of(true, true, true, false, false, None)),
        Just(of(true, true, false, true, false, None)),
        Just(of(true, false, true, true, false, Some(2))),
        Just(of(true, false, false, true, false, Some(2))),
        Just(of(true, true, false, false, false, None)),
        Just(of(true, false, false, false, true, Some(2))),
        Just(of(false, true, false, true, false, None)),
        any_of.prop_map(move |(names, last_use, disables, limit)| of(
            true, names, last_use, disables, false, limit
        )),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let telling = prop_oneof![
        4 => Just(Telling::Truth),
        2 => Just(Telling::Listed),
        1 => Just(Telling::Future),
        1 => Just(Telling::Never),
        1 => Just(Telling::Stale),
    ];
    (
        abilities(),
        telling,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
        revoke(),
        any::<bool>(),
        1..4_usize,
    )
        .prop_map(
            |(abilities, telling, findable, compares, revoke, adopt, readers)| Setting {
                abilities,
                telling,
                findable,
                compares,
                revoke,
                adopt,
                readers,
            },
        )
}

impl Simulation {
    /// Lets everything work again, and nothing happen any more, for some hours.
    pub(super) fn calm_down(&mut self) -> End {
        self.was_ahead |= self.ahead < TimeDelta::zero();
        self.ahead = TimeDelta::zero();
        self.away_until = self.now;
        self.pause(130);
        for reader in &mut self.readers {
            reader.enabled = true;
        }
        let mut end = End::Failed;
        let mut quiet = 0;
        for _ in 0..220 {
            self.deliver();
            self.passes = 0;
            end = self.pass(&[], None, 0, false);
            let until = match &end {
                End::Rested(rest) => rest.until,
                _ => self.rotation.stuck.as_ref().map(|stuck| stuck.next_at),
            };
            let wait = until.map_or(60, |until| (until - self.now).num_seconds() + 1);
            self.pause(wait.clamp(1, 60));
            quiet = match &end {
                End::Rested(Rest {
                    until: None,
                    waiting: None,
                }) => quiet + 1,
                _ => 0,
            };
            if quiet > 10 {
                break;
            }
        }
        end
    }

    /// Returns why what it has come to in the end is wrong.
    pub(super) fn fault_in_the_end(&self, end: &End) -> Option<String> {
        let End::Rested(rest) = end else {
            return Some(format!("it ends with {end:?}: {:?}", self.rotation));
        };
        let known =
            |key: &&IssuedHere| !self.rotation.knows(&key.id) && !self.left.contains(&key.id);
        let is_told = |text: &str| {
            self.rotation
                .stuck
                .as_ref()
                .is_some_and(|stuck| stuck.why.contains(text))
        };
        let mut orphans = self
            .keys
            .iter()
            .filter(|key| key.by == Maker::Rotator)
            .filter(known);
        let is_orphan =
            |_: &&IssuedHere| !self.setting.abilities.slots && !is_told("was lost, and");
        if let Some(orphan) = orphans.next().filter(is_orphan) {
            return Some(format!("{orphan:?} is an orphan: {:?}", self.rotation));
        }
        if self
            .rotation
            .next
            .as_ref()
            .is_some_and(|next| !matches!(next, NextKey::Stored { .. }))
            && !is_told("was lost, and")
        {
            return Some(format!("it has not got on: {:?}", self.rotation));
        }
        for (at, reader) in self.readers.iter().enumerate() {
            let lost = self.destroyed.contains(&reader.live)
                || self.is_forced(reader.live)
                || reader.by_hand;
            let known = self.keys_ever(reader.live);
            if known && !self.works(reader.live) && !lost {
                return Some(format!(
                    "reader {at} has {}, which does not work: {:?}",
                    reader.live, self.rotation
                ));
            }
        }
        let is_told = rest.waiting.is_some()
            || self.rotation.stuck.is_some()
            || self.rotation.old.iter().any(|old| old.stuck.is_some());
        let is_done = self.rotation.next.is_none()
            && self.rotation.old.is_empty()
            && self.rotation.command.is_none();
        (!is_told && !is_done)
            .then(|| format!("it waits and does not say for what: {:?}", self.rotation))
    }

    /// Returns `true` for the value of a key that there was at some time.
    fn keys_ever(&self, value: Value) -> bool {
        self.issued.contains(&value)
    }
}

fn cases(least: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    // What every change must pass is the same for each; who looks for more asks for more cases, and gets others.
    let (cases, rng_seed) = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => (asked.cases, RngSeed::Random),
        None => (least, RngSeed::Fixed(1)),
    };
    ProptestConfig {
        cases,
        rng_seed,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..asked
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn nothing_is_lost_whatever_other_hands_do(setting in setting(), happenings in prop::collection::vec(anything(), 0..60)) {
        let mut simulation = Simulation::new(setting);
        for happening in &happenings {
            simulation.happen(happening);
            prop_assert_eq!(&simulation.breach, &None, "{:?}", happening);
        }
        let end = simulation.calm_down();
        prop_assert_eq!(&simulation.breach, &None);
        prop_assert_eq!(simulation.fault_in_the_end(&end), None, "{}", simulation.trace.unwrap_or_default().join("\n"));
    }

    #[test]
    fn every_rotation_is_over_in_the_end_whatever_calls_are_lost(setting in setting(), happenings in prop::collection::vec(alone(), 0..60)) {
        let revoke = match setting.revoke {
            Revoke::None => Revoke::Delete,
            revoke => revoke,
        };
        let mut simulation = Simulation::new(Setting { findable: true, revoke, ..setting });
        for happening in &happenings {
            simulation.happen(happening);
            prop_assert_eq!(&simulation.breach, &None, "{:?}", happening);
        }
        let end = simulation.calm_down();
        prop_assert_eq!(&simulation.breach, &None);
        prop_assert_eq!(simulation.fault_in_the_end(&end), None, "{}", simulation.trace.unwrap_or_default().join("\n"));
        let rotation = &simulation.rotation;
        let told = simulation.setting.abilities.last_use && simulation.setting.telling == Telling::Future;
        if !told {
            prop_assert!(matches!(&end, End::Rested(rest) if rest.waiting.is_none()), "{:?} {:?}", end, rotation);
            prop_assert!(rotation.old.is_empty() && rotation.next.is_none() && rotation.command.is_none(), "{:?}", rotation);
            prop_assert_eq!(&rotation.stuck, &None);
        }
        let newest = simulation.versions[simulation.newest].1;
        let current = rotation.current.as_ref().map(|key| key.fingerprint);
        prop_assert_eq!(current, Some(print_of(newest)));
        for reader in &simulation.readers {
            prop_assert_eq!(reader.live, newest);
            prop_assert!(simulation.works(newest));
        }
        // Nothing else is left that was made here.
        let made = simulation.keys.iter().filter(|key| key.by == Maker::Rotator && !simulation.left.contains(&key.id));
        prop_assert!(told || simulation.setting.abilities.slots || made.count() <= 1, "{:?}", simulation.keys);
    }
}
