//! Replicas are replaced one by one, while keys are rotated.

use super::LOCAL;
use super::replica::{Replica, pids, replicas};
use crate::support::test_bed::{SOON, TestBed};
use crate::support::writes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_replaced_one_by_one_under_rotations() {
    let mut world = TestBed::set(LOCAL, 12).await;
    let mut all = replicas(&world, 3).await;
    // The next version knows one key more.
    world.keys.push("fresh".to_owned());
    world.rotate("fresh").await;
    for _ in 0..3 {
        let mut next = Replica::new(&world).await;
        next.rotator.start();
        world.rotate_all().await;
        next.rotator.ready().await;
        let mut old = all.remove(0);
        world.rotate_all().await;
        let ended = old.rotator.stop().await;
        assert!(ended.success(), "{ended}\n{}", old.rotator.log());
        all.push(next);
        world.rotate_all().await;
        world.settles("one is replaced", SOON).await;
    }
    world.even(&pids(&all)).await;
    assert_eq!(world.holds(), 0);
    // Who leaves in order leaves nothing behind that had to be written again.
    let writes = world.writes();
    for stored in &world.stored {
        let of_it = |write: &&writes::Write| write.secret == stored.secret;
        let times = writes.iter().filter(of_it).count();
        assert!(times <= 1, "{stored:?} was written {times} times");
    }
}
