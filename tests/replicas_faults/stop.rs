//! A replica stands still past its lease, and comes back.

use chrono::Utc;

use super::LOCAL;
use super::replica::{Replica, pids, replicas};
use crate::support::eventually;
use crate::support::proxy::Way;
use crate::support::test_bed::{LATE, SOON, TestBed};

/// A key of this replica's.
async fn key_of(world: &TestBed, replica: &Replica) -> String {
    let holders = world.holders().await;
    let mut its = holders.iter().filter(|(_, pid)| **pid == replica.pid());
    its.next()
        .map(|(key, _)| key.clone())
        .expect("it holds one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_paused_past_its_lease_writes_nothing_under_it() {
    let mut world = TestBed::set(LOCAL, 9).await;
    let all = replicas(&world, 3).await;
    for _ in 0..2 {
        let stopped = all[0].stop();
        world.rotate_all().await;
        world.settles("while one is stopped", SOON).await;
        world.taken_over(all[0].pid()).await;
        let before = world.writes().len();
        world.dark(all[0].pid(), stopped);
        all[0].rotator.signal("CONT");
        // It has its share again, and has found nothing to write.
        world.even(&pids(&all)).await;
        let late: Vec<_> = world.writes().split_off(before);
        let its = late.iter().find(|write| write.writer == all[0].pid());
        assert!(its.is_none(), "{its:?}");
        assert!(world.behind().is_empty());
    }
    assert_eq!(world.holds(), 0);
}

/// What came late is there, and the newest value is not.
async fn arrives_late(world: &TestBed, key: &str, old: &str) {
    eventually("the write that was held up arrives", async || {
        world.has(key, old).then_some(())
    })
    .await;
}

/// Has a write of this replica held up on the way: which key, and which value.
async fn held_up(world: &mut TestBed, replica: &Replica) -> (String, String) {
    let key = key_of(world, replica).await;
    replica.flashback.set(Way::UpdatesHeld);
    let old = world.rotate(&key).await;
    eventually("its write is held up", async || {
        (replica.flashback.held_up() > 0).then_some(())
    })
    .await;
    (key, old)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_late_write_of_a_paused_replica_is_overwritten_when_it_resumes() {
    let mut world = TestBed::set(LOCAL, 6).await;
    let all = replicas(&world, 3).await;
    let victim = &all[0];
    let (key, old) = held_up(&mut world, victim).await;
    let stopped = victim.stop();
    world.rotate_all().await;
    world.settles("while one is stopped", SOON).await;
    // Also the second write of whoever found the intent is over: nothing is left to repair.
    world.repaired().await;
    victim.heal();
    arrives_late(&world, &key, &old).await;
    world.dark(victim.pid(), stopped);
    victim.rotator.signal("CONT");
    world.settles("after it came back", SOON).await;
    world.even(&pids(&all)).await;
    assert!(world.holds() > 0, "the late write is seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_late_write_of_a_killed_replica_is_overwritten() {
    let mut world = TestBed::set(LOCAL, 6).await;
    let mut all = replicas(&world, 3).await;
    let (key, old) = held_up(&mut world, &all[0]).await;
    let (pid, died) = (all[0].pid(), Utc::now());
    all[0].rotator.kill();
    world.rotate_all().await;
    world.settles("while one is dead", SOON).await;
    all[0].heal();
    arrives_late(&world, &key, &old).await;
    world.dark(pid, died);
    world.settles("what came late is written over", LATE).await;
    world.holds();
}
