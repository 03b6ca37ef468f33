//! What was refused, when the process is started or its configuration reloaded.

use proptest::prelude::*;

use super::properties::{happening, settled};
use super::*;

/// Every call of a look is refused.
const REFUSED: [Fault; 8] = [Fault::Refused; 8];

/// A newer value than the one that is live is there, and Flashback has just refused it.
fn refused(happenings: Vec<Happening>) -> World {
    let mut world = settled(happenings, 1);
    world.happen(Happening::Rotate { value: 2 });
    world.happen(Happening::Restore { value: 2 });
    let end = world.look(&REFUSED, None, KeyCommand::None);
    assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn refused_version_is_retried_at_once_after_a_start(
        happenings in prop::collection::vec(happening(), 0..40),
        seconds in 1..899_u32,
    ) {
        let mut world = refused(happenings);
        world.happen(Happening::Wait { seconds });
        let pushes = world.pushes;
        let end = world.look(&[], None, KeyCommand::None);
        prop_assert!(matches!(end, End::Rested(Rest::Refused { .. })), "{end:?}");
        prop_assert_eq!(world.pushes, pushes);

        world.happen(Happening::Start);
        prop_assert_eq!(world.look(&[], None, KeyCommand::None), End::Rested(Rest::InSync));
        prop_assert_eq!(world.live_value(), world.newest_value());
    }

    /// Within an hour a process that runs tries it five times.
    #[test]
    fn a_process_that_starts_over_and_over_writes_hardly_more_often(
        happenings in prop::collection::vec(happening(), 0..40),
        lives in prop::collection::vec(1..30_i64, 40),
    ) {
        let mut world = refused(happenings);
        let (before, end) = (world.refusals, world.now + TimeDelta::hours(1));
        for life in lives.iter().cycle() {
            if world.now >= end {
                break;
            }
            world.happen(Happening::Start);
            world.look(&REFUSED, None, KeyCommand::None);
            world.now += TimeDelta::seconds(*life);
        }
        let tries = world.refusals - before;
        prop_assert!((4..=8).contains(&tries), "{tries} tries");
    }

    #[test]
    fn held_version_stays_held_across_starts(
        happenings in prop::collection::vec(happening(), 0..40),
        starts in 1..5_usize,
    ) {
        let mut world = settled(happenings, 1);
        world.happen(Happening::Rotate { value: 2 });
        world.watch(5);
        world.look(&[], None, KeyCommand::RollBack);
        world.watch(1);
        let live = world.live_value();
        prop_assume!(world.record.held.is_some());
        for _ in 0..starts {
            world.happen(Happening::Start);
            world.watch(1);
        }
        prop_assert_eq!(world.live_value(), live);
        prop_assert!(world.record.held.is_some());
    }
}
