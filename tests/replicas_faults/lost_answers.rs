//! A replica does not hear what became of its writes, and loses its keys.

use super::LOCAL;
use super::replica::{pids, replicas};
use crate::support::eventually;
use crate::support::proxy::Way;
use crate::support::test_bed::{SOON, TestBed};
use crate::support::writes::Write;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_whose_answers_are_lost_at_the_end_of_a_lease_harm_nothing() {
    let mut world = TestBed::set(LOCAL, 9).await;
    let all = replicas(&world, 3).await;
    let victim = &all[0];
    for way in [Way::Held, Way::Cut] {
        victim.flashback.set(Way::Deaf);
        let before = world.writes().len();
        world.rotate_all().await;
        eventually("a write of it arrives", async || {
            let its = |write: &Write| write.writer == victim.pid();
            world.writes()[before..].iter().any(its).then_some(())
        })
        .await;
        victim.state.set(way);
        world.taken_over(victim.pid()).await;
        world.rotate_all().await;
        world.settles("while one is cut off", SOON).await;
        victim.heal();
        world.even(&pids(&all)).await;
        world.settles("after it came back", SOON).await;
    }
    assert_eq!(world.holds(), 0);
}
