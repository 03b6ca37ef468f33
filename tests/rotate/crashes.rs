//! A process that dies at each step of a rotation, or whose answer is lost, goes on where it was.

use std::time::Duration;

use futures_util::future::join_all;

use super::kills::POINTS;
use super::world::{Place, World};
use crate::support::eventually;
use crate::support::providers::Fault;

const ONCE: &str = "overlap = \"0s\"\nidle = \"0s\"";

/// Rotates a key once, and waits until nothing of it is left.
async fn rotates(mut world: World, environment: &[(&str, &str)]) {
    let first = world.stored("a").await;
    world.rotator.start_with(environment);
    let watch = world.watch(Duration::ZERO);
    eventually("the first key is live", || async {
        let row = world.row("a").await;
        (row["verified_by"].is_string() && row["rotation"]["current"].is_string()).then_some(())
    })
    .await;
    let rotates = world.rotator.command(&["rotate", "a"]);
    let (_, ended) = tokio::join!(rotates, async {
        match environment.is_empty() {
            true => None,
            false => Some(()),
        }
    });
    if ended.is_some() {
        world.rotator.ended().await;
        world.rotator.start();
    }
    eventually("another key is stored", || async {
        (world.stored("a").await != first).then_some(())
    })
    .await;
    world.settles().await;
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_whatever_step_the_process_dies_at() {
    let runs = POINTS.iter().enumerate().map(|(number, point)| async move {
        // The point is reached in the rotation that is asked for, after the adoption of the first key has been saved.
        let point = match *point {
            "rotation_saved" => "rotation_saved:2",
            // This provider cannot disable keys, and nothing is discarded here.
            "key_disabled" | "key_discarded" => return,
            point => point,
        };
        let place = match number % 2 {
            0 => Place::File,
            _ => Place::Vault,
        };
        let world = World::new(&format!("crash-{number}"), &[("a", place)], ONCE).await;
        rotates(world, &[("FLASHBACK_ROTATOR_KILL_AT", point)]).await;
    });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_the_provider_leave_no_orphan() {
    let faults = [
        ("POST", Fault::Lost),
        ("POST", Fault::Cut),
        ("POST", Fault::Half),
        ("POST", Fault::Page),
        ("POST", Fault::Status(503)),
        ("DELETE", Fault::Lost),
        ("DELETE", Fault::Status(500)),
        ("GET /v1/organization", Fault::TooMany(1)),
    ];
    let runs = faults
        .into_iter()
        .enumerate()
        .map(|(number, (call, fault))| async move {
            let world = World::new(&format!("lost-{number}"), &[("a", Place::Vault)], ONCE).await;
            world.provider.fail_next(call, fault);
            rotates(world, &[]).await;
        });
    join_all(runs).await;
}
