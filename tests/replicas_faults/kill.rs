//! A replica dies in the midst of a push, and the others finish it.

use super::LOCAL;
use super::replica::{Replica, pids, replicas};
use crate::support::test_bed::{SOON, TestBed};

/// The places of a push, in the order in which they are passed.
const POINTS: [&str; 6] = [
    "secret_read",
    "intent_recorded",
    "answer_received",
    "outcome_recorded",
    "validation_answered",
    "verdict_recorded",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_killed_at_any_point_of_a_push_is_replaced() {
    let mut world = TestBed::set(LOCAL, 9).await;
    let mut all = replicas(&world, 2).await;
    for point in POINTS {
        let mut victim = Replica::new(&world).await;
        victim
            .rotator
            .start_with(&[("FLASHBACK_ROTATOR_KILL_AT", point)]);
        all.push(victim);
        world.even(&pids(&all)).await;
        world.rotate_all().await;
        let mut victim = all.pop().expect("the third");
        let status = victim.rotator.ended().await;
        assert!(!status.success(), "{point}: {status}");
        world.settles(&format!("killed at {point}"), SOON).await;
        world.even(&pids(&all)).await;
    }
    assert_eq!(world.holds(), 0);
}
