//! A stored key in place of a configuration: what holds for one holds for the other.

use proptest::prelude::*;

use super::properties::{BOTH, happening};
use super::*;

impl World {
    fn of_a_stored_key() -> Self {
        let mut world = Self::new(BOTH);
        world.settings.target = Target::StoredKey { id: None };
        world
    }

    /// What Flashback does with a write of a stored key: nothing but the credentials changes, and no
    /// description is refused because another has it.
    pub(super) fn write_stored_key(
        &mut self,
        id: Option<&AiLlmId>,
        value: u8,
    ) -> Result<AiLlmId, Rejection> {
        let Some(id) = id else {
            self.made += 1;
            let id = AiLlmId::new(format!("key-{}", self.made));
            self.configurations.push(Configuration {
                id: id.clone(),
                settings: self.settings.clone(),
                value,
                stored_key: None,
            });
            return Ok(id);
        };
        let there = self.configurations.iter_mut().find(|other| other.id == *id);
        there.ok_or_else(|| Rejection::Gone(id.clone()))?.value = value;
        self.tells("me", true);
        Ok(id.clone())
    }
}

/// All that can happen to a stored key whose description nobody changes: it is known by that alone.
fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let of_names = |one: &Happening| {
        matches!(
            one,
            Happening::EditConfiguration { .. } | Happening::Rename { .. }
        )
    };
    let happening = happening().prop_filter("changes a description", move |one| !of_names(one));
    prop::collection::vec(happening, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_with_the_newest_value_in_one_stored_key(
        happenings in happenings(),
        last in 0..6_u8,
    ) {
        let mut world = World::of_a_stored_key();
        for happening in happenings {
            world.happen(happening);
            prop_assert!(world.configurations.len() <= 1, "{:?}", world.configurations);
        }
        world.happen(Happening::Rotate { value: last });
        world.happen(Happening::Restore { value: last });
        world.now += TimeDelta::hours(25);
        prop_assert_eq!(world.watch(5), End::Rested(Rest::InSync));
        prop_assert_eq!(world.live_value(), world.newest_value());
        prop_assert_eq!(Some(&world.configurations[0].id), world.record.ai_llm_id.as_ref());
        world.is_at_rest();
    }

    /// A value that does not work is rolled back, and what somebody writes over it is put right.
    #[test]
    fn a_stored_key_is_rolled_back_and_put_right(
        happenings in happenings(),
        good in 0..3_u8,
        bad in 3..6_u8,
        theirs in 60..66_u8,
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut world = World::of_a_stored_key();
        for happening in happenings {
            world.happen(happening);
        }
        world.happen(Happening::Rotate { value: good });
        world.happen(Happening::Restore { value: good });
        world.now += TimeDelta::hours(25);
        world.watch(5);
        let before = world.live_value();
        world.happen(Happening::Rotate { value: bad });
        world.happen(Happening::Revoke { value: bad });
        world.look(&[], dies_after, KeyCommand::None);
        let end = world.watch(5);
        prop_assert!(matches!(end, End::Rested(Rest::Held(_))), "{end:?}");
        prop_assert_eq!(world.live_value(), before);

        world.happen(Happening::Overwrite { value: theirs });
        world.look(&[], dies_after, KeyCommand::None);
        world.watch(5);
        prop_assert_eq!(world.live_value(), before);
        world.is_at_rest();
    }
}
