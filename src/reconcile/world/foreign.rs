//! Edits by others of the key's configuration: they write credentials of their own, or attach it to a stored
//! key.

use proptest::prelude::*;

use super::properties::{happening, settled};
use super::*;
use crate::model::Edit;

impl World {
    /// Flashback will tell of an update.
    pub(super) fn tells(&mut self, user: &str, own: bool) {
        self.events += 1;
        self.told.push(Edit {
            id: self.events,
            user_id: user.to_owned(),
            own,
        });
    }

    /// As the engine does it, before it looks.
    pub(super) fn hear(&mut self) {
        if !self.told.is_empty() {
            self.record.unheard = std::mem::take(&mut self.told);
            self.record = self.record.hearing();
        }
    }

    /// Whether a list that was asked for at this look has shown that it is not to be written to.
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
        let mut world = settled(happenings, 1);
        let (before, pushes) = (world.live_value(), world.pushes);
        for _ in 0..times {
            world.happen(Happening::Overwrite { value });
        }
        world.look(&[], dies_after, KeyCommand::None);
        world.look(&[], None, KeyCommand::None);
        prop_assert_eq!(world.live_value(), before);
        prop_assert!(world.pushes <= pushes + 2, "{} pushes", world.pushes - pushes);
        // Credentials that are written again have to be verified again.
        prop_assert_eq!(world.watch(3), End::Rested(Rest::InSync));
        prop_assert!(world.record.live.as_ref().is_some_and(|live| live.verified_by.is_some()));
        world.is_at_rest();
    }

    /// What is attached to a stored key is not written to, is not called verified, and is the key's
    /// again when it is detached.
    #[test]
    fn configuration_is_left_alone_while_attached_to_a_stored_key(
        happenings in prop::collection::vec(happening(), 0..20),
        rotated in any::<bool>(),
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut world = settled(happenings, 1);
        world.attach(Some("key-1"));
        let (before, pushes) = (world.configurations.clone(), world.pushes);
        if rotated {
            world.happen(Happening::Rotate { value: 2 });
            world.happen(Happening::Restore { value: 2 });
        }
        world.look(&[], dies_after, KeyCommand::None);
        let end = world.watch(6);
        prop_assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
        world.look(&[], None, KeyCommand::Force);
        world.now += TimeDelta::hours(25);
        world.watch(6);
        prop_assert_eq!(world.pushes, pushes);
        prop_assert_eq!(world.live_value(), before[0].value);
        prop_assert_eq!(&world.record.live, &None);

        world.attach(None);
        world.now += TimeDelta::minutes(20);
        prop_assert_eq!(world.watch(6), End::Rested(Rest::InSync));
        prop_assert_eq!(world.live_value(), world.newest_value());
        prop_assert_eq!(&world.configurations[0].id, &before[0].id);
        world.is_at_rest();
    }
}

/// An account that people use, too, has more updates than the rotator has made.
#[test]
fn more_updates_than_own_writes_are_somebodys() {
    let mut world = settled(Vec::new(), 1);
    world.look(&[], None, KeyCommand::None);
    let (before, pushes) = (world.live_value(), world.pushes);
    world.configurations[0].value = 99;
    world.tells("me", true);
    world.look(&[], None, KeyCommand::None);
    assert_eq!((world.live_value(), world.pushes), (before, pushes + 1));
    world.watch(3);
    world.is_at_rest();
}
