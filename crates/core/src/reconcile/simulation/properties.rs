//! The properties that hold after any series of events, tried on random series.

use proptest::prelude::*;

use super::*;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Fine),
        2 => Just(Fault::LostAnswer),
        2 => Just(Fault::LostRequest),
        1 => Just(Fault::Refused),
    ]
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    let command = prop_oneof![
        12 => Just(KeyCommand::None),
        1 => Just(KeyCommand::Force),
        1 => Just(KeyCommand::RollBack),
    ];
    let faults = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(fault(), 0..7),
    ];
    let look = (
        faults,
        prop::option::weighted(0.3, 0..LONGEST_PASS),
        command,
    );
    prop_oneof![
        4 => (0..6_u8).prop_map(|value| Happening::Rotate { value }),
        2 => (0..8_usize).prop_map(|to| Happening::RollBack { to }),
        1 => Just(Happening::DeleteSecret),
        1 => (0..8_usize).prop_map(|version| Happening::Prune { version }),
        1 => Just(Happening::DeleteConfiguration),
        1 => (0..3_u8, 0..2_u8).prop_map(|(name, endpoint)| Happening::EditConfiguration { name, endpoint }),
        1 => (0..6_u8).prop_map(|value| Happening::LateWrite { value }),
        1 => (60..66_u8).prop_map(|value| Happening::Overwrite { value }),
        1 => (0..3_u8).prop_map(|name| Happening::Rename { name }),
        1 => (0..3_u8).prop_map(|field| Happening::OtherField { field }),
        3 => (0..6_u8).prop_map(|value| Happening::Revoke { value }),
        2 => (0..6_u8).prop_map(|value| Happening::Restore { value }),
        3 => (0..90_u32).prop_map(|seconds| Happening::Wait { seconds }),
        1 => (0..120_000_u32).prop_map(|seconds| Happening::Wait { seconds }),
        1 => Just(Happening::Start),
        10 => look.prop_map(|(faults, dies_after, command)| Happening::Look { faults, dies_after, command }),
    ]
}

fn verify() -> impl Strategy<Value = VerifyConfig> {
    (
        any::<bool>(),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
    )
        .prop_map(
            |(before_provider, after_flashback, rollback)| VerifyConfig {
                before_provider,
                after_flashback,
                grace: GRACE,
                rollback,
                settle: Duration::ZERO,
            },
        )
}

pub(super) const BOTH: VerifyConfig = VerifyConfig {
    before_provider: false,
    after_flashback: true,
    grace: GRACE,
    rollback: true,
    settle: Duration::ZERO,
};

impl Simulation {
    /// Looks every ten seconds, without faults, for so many minutes.
    pub(super) fn watch(&mut self, minutes: usize) -> End {
        for _ in 0..minutes * 6 {
            let _ = self.look(&[], None, KeyCommand::None);
            self.now += TimeDelta::seconds(10);
        }
        self.look(&[], None, KeyCommand::None)
    }

    pub(super) fn live_value(&self) -> u8 {
        assert_eq!(self.configurations.len(), 1, "{:?}", self.configurations);
        self.configurations[0].value
    }

    /// The value of the newest version.
    pub(super) fn newest_value(&self) -> u8 {
        self.value(self.current.expect("it is there"), &self.origin)
    }

    /// Nobody asks and nobody writes any more while nothing changes, but for one list in five
    /// minutes.
    pub(super) fn is_at_rest(&mut self) {
        let (pushes, questions, lists) = (self.pushes, self.questions, self.lists);
        self.watch(4);
        assert!(self.lists <= lists + 1, "{} lists", self.lists - lists);
        assert_eq!(
            self.pushes, pushes,
            "pushed without a cause: {:?}",
            self.record
        );
        assert_eq!(
            self.questions, questions,
            "asked without a cause: {:?}",
            self.record
        );
    }
}

/// A world in which the newest value is live, and it is this, after whatever happened.
pub(super) fn settled(happenings: Vec<Happening>, value: u8) -> Simulation {
    let mut simulation = Simulation::new(BOTH);
    for happening in happenings {
        simulation.happen(happening);
    }
    simulation.happen(Happening::Rotate { value });
    simulation.happen(Happening::Restore { value });
    simulation.now += TimeDelta::hours(25);
    simulation.watch(5);
    simulation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_the_newest_value_that_works_in_one_configuration(
        verify in verify(),
        happenings in prop::collection::vec(happening(), 0..40),
        last in 0..6_u8,
    ) {
        let mut simulation = Simulation::new(verify);
        for happening in happenings {
            simulation.happen(happening);
            prop_assert!(simulation.configurations.len() <= 1, "{:?}", simulation.configurations);
        }

        simulation.happen(Happening::Rotate { value: last });
        simulation.happen(Happening::Restore { value: last });
        simulation.now += TimeDelta::hours(25);
        let end = simulation.watch(5);
        prop_assert_eq!(end, End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        let one = &simulation.configurations[0];
        prop_assert_eq!(&one.settings, &simulation.settings);
        prop_assert_eq!(Some(&one.id), simulation.record.ai_llm_id.as_ref());
        if verify.after_flashback {
            prop_assert!(simulation.record.verification.is_none(), "{:?}", simulation.record.verification);
        }
        simulation.is_at_rest();

        simulation.happen(Happening::OtherField { field: 3 });
        let end = simulation.watch(3);
        prop_assert_eq!(end, End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), last * 10 + 3);
    }

}

/// The store was set back while the newest value was being verified, and somebody holds what it was set
/// back to: that does not go in again because what is live does not work.
#[test]
fn version_held_by_hand_is_never_rolled_back_to() {
    let mut simulation = Simulation::new(BOTH);
    simulation.happen(Happening::Rotate { value: 2 });
    simulation.look(&[], None, KeyCommand::None);
    simulation.happen(Happening::Revoke { value: 1 });
    simulation.happen(Happening::Rotate { value: 1 });
    simulation.look(&[], None, KeyCommand::None);
    let live = simulation.live_value();
    simulation.happen(Happening::RollBack { to: 1 });
    simulation.happen(Happening::Wait { seconds: 60 });
    simulation.look(&[], None, KeyCommand::RollBack);
    let end = simulation.watch(5);
    assert!(matches!(end, End::Rested(Rest::Unproven(_))), "{end:?}");
    assert_eq!(simulation.live_value(), live);

    // Also when it works after all.
    simulation.happen(Happening::Restore { value: 1 });
    let end = simulation.watch(10);
    assert!(matches!(end, End::Rested(Rest::Held(_))), "{end:?}");
    assert_eq!(simulation.live_value(), live);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The newest value does not work: what was live and works goes back in, and stays.
    #[test]
    fn a_broken_value_does_not_stay(
        happenings in prop::collection::vec(happening(), 0..40),
        good in 0..3_u8,
        bad in 3..6_u8,
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = settled(happenings, good);
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        let before = simulation.live_value();

        simulation.happen(Happening::Rotate { value: bad });
        simulation.happen(Happening::Revoke { value: bad });
        let mut bad_since = None;
        for second in 0..180 {
            // The process dies at each look, until it has got further than that.
            let end = simulation.look(&[], dies_after.filter(|_| second % 2 == 0), KeyCommand::None);
            if simulation.works(simulation.live_value()) {
                bad_since = None;
            } else {
                let since = *bad_since.get_or_insert(simulation.now);
                // Every second look is whole, so what one begins the next has ended.
                prop_assert!(simulation.now <= since + GRACE + Duration::from_secs(2), "{end:?} {:?}", simulation.record);
            }
            simulation.now += TimeDelta::seconds(1);
        }
        prop_assert_eq!(simulation.live_value(), before);
        let end = simulation.watch(1);
        prop_assert!(matches!(end, End::Rested(Rest::Held(_))), "{end:?}");
        simulation.is_at_rest();

        // The next good version goes through untouched by hand.
        simulation.happen(Happening::Rotate { value: good });
        simulation.happen(Happening::Rename { name: 2 });
        let end = simulation.watch(3);
        prop_assert_eq!(end, End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
    }

    /// Also while something is held, what should be live is put right at the next look.
    #[test]
    fn late_write_is_repaired_at_the_next_reconcile(
        verify in verify(),
        happenings in prop::collection::vec(happening(), 0..40),
        late_write in 60..66_u8,
    ) {
        let mut simulation = Simulation::new(verify);
        for happening in happenings {
            simulation.happen(happening);
        }
        simulation.now += TimeDelta::hours(25);
        let end = simulation.watch(5);
        prop_assume!(matches!(end, End::Rested(Rest::InSync | Rest::Held(_))));
        // What cannot be read any more cannot be written again.
        prop_assume!(simulation.pruned.is_empty() && simulation.record.verification.is_none());
        // Nor is anything to be written where a rejected key's creation has no known outcome.
        prop_assume!(!simulation.configurations.is_empty() && simulation.record.live.is_some());
        let before = simulation.live_value();
        simulation.happen(Happening::LateWrite { value: late_write });
        let end = simulation.look(&[], None, KeyCommand::None);
        prop_assert_eq!(simulation.live_value(), before, "{:?} {:?}", end, simulation.record);
        simulation.watch(1);
        prop_assert_eq!(simulation.live_value(), before);
        simulation.is_at_rest();
    }

    /// With both questions asked, a broken value never gets into Flashback at all.
    #[test]
    fn version_rejected_by_its_provider_is_never_pushed(
        good in 0..3_u8,
        bad in 3..6_u8,
        dies_after in prop::option::of(0..LONGEST_PASS),
        silent in prop::collection::vec(any::<bool>(), 0..12),
    ) {
        let mut simulation = Simulation::new(VerifyConfig { before_provider: true, ..BOTH });
        simulation.happen(Happening::Rotate { value: good });
        simulation.watch(2);
        let pushes = simulation.pushes;
        simulation.happen(Happening::Rotate { value: bad });
        simulation.happen(Happening::Revoke { value: bad });
        // The first answer is one, and silence after it does not take it back.
        let mut silent = std::iter::once(false).chain(silent);
        for second in 0..150 {
            let fault = match silent.next() {
                Some(true) => Fault::LostAnswer,
                _ => Fault::Fine,
            };
            let dies_after = dies_after.filter(|_| second % 2 == 1);
            simulation.look(&[fault], dies_after, KeyCommand::None);
            simulation.now += TimeDelta::seconds(1);
        }
        prop_assert_eq!(simulation.pushes, pushes);
        let end = simulation.look(&[], None, KeyCommand::None);
        prop_assert!(matches!(end, End::Rested(Rest::Held(_))), "{end:?}");
        simulation.is_at_rest();
    }

    /// Neither works: the newest is the best guess, and is taken as soon as it works.
    #[test]
    fn where_nothing_works_the_newest_goes_back_in(good in 0..3_u8, bad in 3..6_u8, readable in any::<bool>()) {
        let mut simulation = Simulation::new(BOTH);
        simulation.happen(Happening::Rotate { value: good });
        simulation.watch(2);
        simulation.happen(Happening::Rotate { value: bad });
        for value in [good, bad] {
            simulation.happen(Happening::Revoke { value });
        }
        if !readable {
            simulation.happen(Happening::Prune { version: 1 });
        }
        let end = simulation.watch(10);
        prop_assert!(matches!(end, End::Rested(Rest::Unproven(_))), "{end:?}");
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        let pushes = simulation.pushes;
        simulation.watch(30);
        prop_assert_eq!(simulation.pushes, pushes);
        simulation.happen(Happening::Restore { value: bad });
        prop_assert_eq!(simulation.watch(10), End::Rested(Rest::InSync));
        simulation.is_at_rest();
    }

    /// Whatever else happens, nobody who rolls back by hand finds the newer version in again.
    #[test]
    fn rollback_by_hand_lasts_until_a_forced_sync(
        good in 0..3_u8,
        better in 3..6_u8,
        works in any::<bool>(),
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = Simulation::new(BOTH);
        simulation.happen(Happening::Rotate { value: good });
        simulation.watch(2);
        let before = simulation.live_value();
        simulation.happen(Happening::Rotate { value: better });
        simulation.watch(2);
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        if !works {
            simulation.happen(Happening::Revoke { value: good });
        }
        simulation.look(&[], dies_after, KeyCommand::RollBack);
        simulation.look(&[], None, KeyCommand::RollBack);
        simulation.watch(60);
        prop_assert_eq!(simulation.live_value(), before);
        simulation.now += TimeDelta::hours(25);
        simulation.watch(5);
        prop_assert_eq!(simulation.live_value(), before);
        simulation.look(&[], None, KeyCommand::Force);
        simulation.watch(3);
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
    }
}
