//! The properties of simulated histories, for a stored key in place of a configuration.

use proptest::prelude::*;

use super::properties::{BOTH, happening};
use super::*;

impl Simulation {
    fn of_a_stored_key() -> Self {
        let mut simulation = Self::new(BOTH);
        simulation.settings.target = Target::StoredKey { id: None };
        simulation
    }

    /// Simulates a write of a stored key. Only the credentials change, and two stored keys may have the same
    /// description.
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

/// Generates events without changes of descriptions, because a stored key is found by its description alone.
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
        let mut simulation = Simulation::of_a_stored_key();
        for happening in happenings {
            simulation.happen(happening);
            prop_assert!(simulation.configurations.len() <= 1, "{:?}", simulation.configurations);
        }
        simulation.happen(Happening::Rotate { value: last });
        simulation.happen(Happening::Restore { value: last });
        simulation.now += TimeDelta::hours(25);
        prop_assert_eq!(simulation.watch(5), End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        prop_assert_eq!(Some(&simulation.configurations[0].id), simulation.record.ai_llm_id.as_ref());
        simulation.is_at_rest();
    }

    /// A value that does not work is rolled back, and a change by another user is repaired.
    #[test]
    fn a_stored_key_is_rolled_back_and_put_right(
        happenings in happenings(),
        good in 0..3_u8,
        bad in 3..6_u8,
        theirs in 60..66_u8,
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = Simulation::of_a_stored_key();
        for happening in happenings {
            simulation.happen(happening);
        }
        simulation.happen(Happening::Rotate { value: good });
        simulation.happen(Happening::Restore { value: good });
        simulation.now += TimeDelta::hours(25);
        simulation.watch(5);
        let before = simulation.live_value();
        simulation.happen(Happening::Rotate { value: bad });
        simulation.happen(Happening::Revoke { value: bad });
        simulation.look(&[], dies_after, KeyCommand::None);
        let end = simulation.watch(5);
        prop_assert!(matches!(end, End::Rested(Rest::Held(_))), "{end:?}");
        prop_assert_eq!(simulation.live_value(), before);

        simulation.happen(Happening::Overwrite { value: theirs });
        simulation.look(&[], dies_after, KeyCommand::None);
        simulation.watch(5);
        prop_assert_eq!(simulation.live_value(), before);
        simulation.is_at_rest();
    }
}
