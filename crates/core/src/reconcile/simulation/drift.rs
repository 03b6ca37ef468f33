//! What somebody changes in Flashback, and the list that tells of it.

use proptest::prelude::*;

use super::properties::{BOTH, happening, settled};
use super::*;

/// How long a list is gone by.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(300);

/// The same for a list that is to tell whose a name is.
const GOOD_FOR_NAMES: TimeDelta = TimeDelta::seconds(30);

/// These configurations, as a list shows them.
pub(super) fn listed(all: &[Configuration]) -> Vec<Listed> {
    let listed = |one: &Configuration| Listed {
        id: one.id.clone(),
        appearance: Appearance {
            stored_key: one.stored_key.clone(),
            ..scenario::shown(&one.settings)
        },
    };
    all.iter().map(listed).collect()
}

impl Simulation {
    /// Asks for a list, and keeps it.
    pub(super) fn list(&mut self) -> Vec<Configuration> {
        self.lists += 1;
        let all = match self.unlisted {
            true => Vec::new(),
            false => self.configurations.clone(),
        };
        self.listed = Some((all.clone(), self.now, self.pushes));
        all
    }

    /// As the engine does it: where no write has an unknown outcome, and none was turned down in this
    /// pass, a list of the last half minute tells whose a name is.
    pub(super) fn list_of_names(&mut self, known: &Knowledge) -> Vec<Configuration> {
        let will_do = self.record.intent.is_none() && known.rejection.is_none();
        match &self.listed {
            Some((all, at, _)) if will_do && self.now < *at + GOOD_FOR_NAMES => all.clone(),
            _ => self.list(),
        }
    }

    /// As the engine does it: a list that is older than the last push tells nothing.
    pub(super) fn compare(
        &mut self,
        known: &mut Knowledge,
        age: ListAge,
        mut fault: impl FnMut() -> Fault,
    ) {
        let good = self
            .listed
            .take()
            .filter(|(_, at, _)| age == ListAge::Minutes && self.now < *at + GOOD_FOR);
        let all = match good {
            Some(listed) => {
                let newer = listed.2 == self.pushes;
                let all = listed.0.clone();
                self.listed = Some(listed);
                newer.then_some(all)
            }
            None if fault() == Fault::Fine => Some(self.list()),
            None => None,
        };
        let drift = match all {
            Some(all) => {
                let all = listed(&all);
                compare(&self.record, &all.iter().collect::<Vec<_>>())
            }
            None => Drift::Unknown,
        };
        if let Some(next) = news(&self.record, &drift) {
            self.record = next;
        }
        known.compared = Some(Compared { drift, age });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// What somebody changes in Flashback is put right within five minutes and a look, once; what
    /// is held stays so.
    #[test]
    fn drift_is_put_right(
        happenings in prop::collection::vec(happening(), 0..20),
        good in 0..3_u8,
        bad in prop::option::of(3..6_u8),
        name in 0..3_u8,
        endpoint in 0..2_u8,
        gone in any::<bool>(),
        dies_after in prop::option::of(0..LONGEST_PASS),
    ) {
        let mut simulation = settled(happenings, good);
        if let Some(bad) = bad {
            simulation.happen(Happening::Rotate { value: bad });
            simulation.happen(Happening::Revoke { value: bad });
            simulation.watch(5);
        }
        let before = simulation.live_value();
        // By hand and back before anybody looks: nothing is to be done.
        simulation.watch(6);
        simulation.is_at_rest();

        let pushes = simulation.pushes;
        simulation.happen(match gone {
            true => Happening::DeleteConfiguration,
            false => Happening::EditConfiguration { name, endpoint },
        });
        simulation.look(&[], dies_after, KeyCommand::None);
        simulation.watch(6);
        prop_assert_eq!(simulation.live_value(), before);
        prop_assert_eq!(&simulation.configurations[0].settings, &simulation.settings);
        prop_assert_eq!(Some(&simulation.configurations[0].id), simulation.record.ai_llm_id.as_ref());
        prop_assert!(simulation.pushes <= pushes + 3, "{} pushes", simulation.pushes - pushes);
        simulation.watch(6);
        simulation.is_at_rest();
        prop_assert!(simulation.record.live.as_ref().is_some_and(|live| live.shown.is_none()));
    }

    /// The name belongs to another one: that is not written to, and it heals when that is gone.
    #[test]
    fn name_taken_by_another_configuration_is_reported_and_not_overwritten(
        happenings in prop::collection::vec(happening(), 0..20),
        renamed in any::<bool>(),
    ) {
        let mut simulation = settled(happenings, 1);
        let (ours, pushes) = (simulation.configurations[0].id.clone(), simulation.pushes);
        match renamed {
            true => simulation.configurations[0].settings.name = "elsewhere".into(),
            false => simulation.configurations.clear(),
        }
        let other = Configuration {
            id: AiLlmId::new("another"),
            settings: Settings { endpoint: "https://other.example.com".into(), ..simulation.settings.clone() },
            value: 99,
            stored_key: None,
        };
        simulation.configurations.push(other.clone());
        for _ in 0..5 {
            let end = simulation.watch(6);
            prop_assert!(matches!(end, End::Rested(Rest::Contradiction(_))), "{end:?}");
            prop_assert_eq!(simulation.pushes, pushes);
            // A resync changes nothing about that.
            simulation.now += TimeDelta::hours(25);
        }
        simulation.configurations.retain(|one| one.id != other.id);
        prop_assert_eq!(simulation.watch(7), End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
        prop_assert_eq!(&simulation.configurations[0].settings, &simulation.settings);
        prop_assert_eq!(simulation.configurations[0].id == ours, renamed);
        simulation.is_at_rest();
    }
}

/// A list that does not show what was written leads to one write, and not to one in five minutes.
#[test]
fn a_list_that_hides_what_there_is_is_believed_once() {
    let mut simulation = Simulation::new(BOTH);
    simulation.watch(10);
    let pushes = simulation.pushes;
    simulation.unlisted = true;
    simulation.watch(30);
    assert_eq!(simulation.pushes, pushes + 1);
    simulation.unlisted = false;
    simulation.watch(6);
    simulation.happen(Happening::DeleteConfiguration);
    simulation.watch(6);
    assert_eq!(simulation.live_value(), simulation.newest_value());
}

/// Somebody who writes something else as often as it is put right does not have it so at each look.
#[test]
fn persistent_foreign_edits_are_repaired_once_and_then_reported() {
    let mut simulation = Simulation::new(BOTH);
    simulation.watch(10);
    let pushes = simulation.pushes;
    let mut reported = 0;
    for _ in 0..60 {
        simulation.happen(Happening::EditConfiguration {
            name: 0,
            endpoint: 1,
        });
        reported += usize::from(matches!(
            simulation.watch(1),
            End::Rested(Rest::Contradiction(_))
        ));
    }
    assert_eq!(simulation.pushes, pushes + 1);
    assert!(reported > 50, "{reported}");
    // Once the other one has stopped, and it is put right by hand, all is well.
    simulation.configurations[0].settings = simulation.settings.clone();
    assert_eq!(simulation.watch(6), End::Rested(Rest::InSync));
    assert!(
        simulation
            .record
            .live
            .as_ref()
            .is_some_and(|live| live.shown.is_none())
    );
}
