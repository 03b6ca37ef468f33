//! Writes that were refused are tried again after a start or a reload.

use proptest::prelude::*;

use super::properties::{happening, settled};
use super::*;

/// Every call of a look is refused.
const REFUSED: [Fault; 8] = [Fault::Refused; 8];

/// A newer value than the one that is live is there, and Flashback has just refused it.
fn refused(happenings: Vec<Happening>) -> Simulation {
    let mut simulation = settled(happenings, 1);
    simulation.happen(Happening::Rotate { value: 2 });
    simulation.happen(Happening::Restore { value: 2 });
    let end = simulation.look(&REFUSED, None, KeyCommand::None);
    assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
    simulation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn refused_version_is_retried_at_once_after_a_start(
        happenings in prop::collection::vec(happening(), 0..40),
        seconds in 1..899_u32,
    ) {
        let mut simulation = refused(happenings);
        simulation.happen(Happening::Wait { seconds });
        let pushes = simulation.pushes;
        let end = simulation.look(&[], None, KeyCommand::None);
        prop_assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
        prop_assert_eq!(simulation.pushes, pushes);

        simulation.happen(Happening::Start);
        prop_assert_eq!(simulation.look(&[], None, KeyCommand::None), End::Rested(Rest::InSync));
        prop_assert_eq!(simulation.live_value(), simulation.newest_value());
    }

    /// Within an hour a process that runs tries it five times.
    #[test]
    fn a_process_that_starts_over_and_over_writes_hardly_more_often(
        happenings in prop::collection::vec(happening(), 0..40),
        lives in prop::collection::vec(1..30_i64, 40),
    ) {
        let mut simulation = refused(happenings);
        let (before, end) = (simulation.refusals, simulation.now + TimeDelta::hours(1));
        for life in lives.iter().cycle() {
            if simulation.now >= end {
                break;
            }
            simulation.happen(Happening::Start);
            simulation.look(&REFUSED, None, KeyCommand::None);
            simulation.now += TimeDelta::seconds(*life);
        }
        let tries = simulation.refusals - before;
        prop_assert!((4..=8).contains(&tries), "{tries} tries");
    }

    #[test]
    fn held_version_stays_held_across_starts(
        happenings in prop::collection::vec(happening(), 0..40),
        starts in 1..5_usize,
    ) {
        let mut simulation = settled(happenings, 1);
        simulation.happen(Happening::Rotate { value: 2 });
        simulation.watch(5);
        simulation.look(&[], None, KeyCommand::RollBack);
        simulation.watch(1);
        let live = simulation.live_value();
        prop_assume!(simulation.record.held.is_some());
        for _ in 0..starts {
            simulation.happen(Happening::Start);
            simulation.watch(1);
        }
        prop_assert_eq!(simulation.live_value(), live);
        prop_assert!(simulation.record.held.is_some());
    }
}
