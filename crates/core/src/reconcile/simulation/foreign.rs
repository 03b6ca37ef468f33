//! Edits by others of the key's configuration: they write credentials of their own, or attach it to a stored
//! key.

use proptest::prelude::*;

use super::properties::{happening, settled};
use super::*;
use crate::model::Edit;

impl Simulation {
    /// Flashback will tell of an update.
    pub(super) fn tells(&mut self, user: &str, own: bool) {
        self.events += 1;
        self.told.push(Edit {
            id: self.events,
            user_id: user.to_owned(),
            own,
        });
    }

    /// Reads the updates, as the engine does before a check.
    pub(super) fn hear(&mut self) {
        if !self.told.is_empty() {
            self.record.unheard = std::mem::take(&mut self.told);
            self.record = self.record.hearing();
        }
    }

    /// Returns `true` if a list that was requested in this check has shown that it must not be written to.
    pub(super) fn is_known_to_be_shared(&self, id: &AiLlmId) -> bool {
        self.listed.as_ref().is_some_and(|(all, at, _)| {
            let shared = |one: &Configuration| one.id == *id && one.stored_key.is_some();
            *at == self.now && all.iter().any(shared)
        })
    }

    fn attach(&mut self, stored_key: Option<&str>) {
        for one in &mut self.configurations {
            one.stored_key = stored_key.map(AiLlmId::new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Credentials that another user has written are written again, once, whatever the process dies at.
    #[test]
    fn overwritten_credentials_are_written_and_verified_again(
        happenings in prop::collection::vec(happening(), 0..20),
        value in 60..66_u8,
        times in 1..3_usize,
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = settled(happenings, 1);
        let (before, pushes) = (simulation.live_value(), simulation.pushes);
        for _ in 0..times {
            simulation.happen(Happening::Overwrite { value });
        }
        simulation.look(&[], dies_after, KeyCommand::None);
        simulation.look(&[], None, KeyCommand::None);
        prop_assert_eq!(simulation.live_value(), before);
        prop_assert!(simulation.pushes <= pushes + 2, "{} pushes", simulation.pushes - pushes);
        // Credentials that are written again have to be verified again.
        prop_assert_eq!(simulation.watch(3), End::Rested(Rest::InSync));
        prop_assert!(simulation.record.live.as_ref().is_some_and(|live| live.verified_by.is_some()));
        simulation.is_at_rest();
    }

    /// A configuration that is attached to a stored key is neither written to nor regarded as verified, and is managed
    /// again once it is detached.
    #[test]
    fn configuration_is_left_alone_while_attached_to_a_stored_key(
        happenings in prop::collection::vec(happening(), 0..20),
        rotated in any::<bool>(),
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = settled(happenings, 1);
        simulation.attach(Some("key-1"));
        let (before, pushes) = (simulation.configurations.clone(), simulation.pushes);
        if rotated {
            simulation.happen(Happening::Rotate { value: 2 });
            simulation.happen(Happening::Restore { value: 2 });
        }
        simulation.look(&[], dies_after, KeyCommand::None);
        let end = simulation.watch(6);
        prop_assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
        simulation.look(&[], None, KeyCommand::Force);
        simulation.now += TimeDelta::hours(25);
        simulation.watch(6);
        prop_assert_eq!(simulation.pushes, pushes);
        prop_assert_eq!(simulation.live_value(), before[0].value);
        prop_assert_eq!(&simulation.record.live, &None);

        simulation.attach(None);
        simulation.now += TimeDelta::minutes(20);
        prop_assert_eq!(simulation.watch(6), End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        prop_assert_eq!(&simulation.configurations[0].id, &before[0].id);
        simulation.is_at_rest();
    }
}

/// An account that people use, too, has more updates than the rotator has made.
#[test]
fn more_updates_than_own_writes_are_somebodys() {
    let mut simulation = settled(Vec::new(), 1);
    simulation.look(&[], None, KeyCommand::None);
    let (before, pushes) = (simulation.live_value(), simulation.pushes);
    simulation.configurations[0].value = 99;
    simulation.tells("me", true);
    simulation.look(&[], None, KeyCommand::None);
    assert_eq!(
        (simulation.live_value(), simulation.pushes),
        (before, pushes + 1)
    );
    simulation.watch(3);
    simulation.is_at_rest();
}
