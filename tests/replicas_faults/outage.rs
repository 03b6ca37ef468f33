//! The state is away for everybody: nothing is pushed twice, nothing is lost, nobody loses a key.

use std::time::Duration;

use super::LOCAL;
use super::replica::{Replica, pids, replicas};
use crate::support::eventually;
use crate::support::test_bed::{LEASE, SOON, TestBed};
use crate::support::writes;

/// Waits until each of them has found the state away.
async fn noticed(all: &[Replica], before: &[usize]) {
    for (replica, before) in all.iter().zip(before) {
        eventually("the outage is noticed", async || {
            (replica.rotator.count("state_unavailable") > *before).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_state_nothing_is_pushed_twice_and_nothing_is_lost() {
    let mut world = TestBed::set(LOCAL, 12).await;
    let all = replicas(&world, 3).await;
    let holders = world.holders().await;
    for away in [LEASE * 2, Duration::ZERO, LEASE / 2] {
        let told = |replica: &Replica| replica.rotator.count("state_unavailable");
        let before: Vec<usize> = all.iter().map(told).collect();
        // Pushes are under way when it goes.
        world.rotate_all().await;
        world.postgres.stop();
        if away > LEASE {
            noticed(&all, &before).await;
        }
        world.rotate_all().await;
        tokio::time::sleep(away).await;
        world.postgres.run();
        world.settles("after an outage", SOON).await;
        assert_eq!(world.holders().await, holders, "nothing moves");
    }
    world.even(&pids(&all)).await;
    // Each value was written at most once, and those at rest exactly once.
    let writes = world.writes();
    for stored in &world.stored {
        let of_it = |write: &&writes::Write| write.secret == stored.secret;
        let times = writes.iter().filter(of_it).count();
        assert!(times <= 1, "{stored:?} was written {times} times");
    }
    for value in world.newest.values() {
        assert_eq!(writes::times(&writes, value), 1, "{value}");
    }
    assert_eq!(world.holds(), 0);
    let history = all[0].rotator.json(&["history"]).await;
    let rows = history["events"].as_array().expect("rows");
    let pushed = rows.iter().filter(|row| row["outcome"] == "succeeded");
    let done = writes.iter().filter(|write| write.done).count();
    assert_eq!(pushed.count(), done, "one line for each write");
}
