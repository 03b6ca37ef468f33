//! Several replicas share keys that are rotated: one dies or is stopped in the middle of a rotation, and another goes on.

use std::time::Duration;

use super::account::Kind;
use super::world::{Key, Place, World};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::rotator::Rotator;

/// The points at which a replica dies: those that every provider's rotation passes.
const POINTS: [&str; 7] = [
    "mint_intended",
    "mint_answered",
    "mint_recorded",
    "store_answered",
    "store_recorded",
    "rotation_saved:3",
    "key_deleted",
];

const KINDS: [Kind; 6] = [
    Kind::OpenAi,
    Kind::OpenRouter,
    Kind::AwsIam,
    Kind::Bedrock,
    Kind::OpenAi,
    Kind::Azure,
];

fn keys() -> Vec<Key> {
    let named = KINDS.into_iter().enumerate().map(|(number, kind)| Key {
        name: format!("{}-{number}", kind.word()),
        place: Place::Vault,
        kind,
    });
    named.collect()
}

/// Waits until each key was rotated once more, by any replica.
async fn rotated_again(world: &World, all: &[&Rotator]) {
    let done = |key: &Key| {
        let of_key = |rotator: &&Rotator| {
            let events = rotator.events().into_iter();
            let done =
                events.filter(|line| line["event"] == "old_key_deleted" && line["key"] == key.name);
            done.count()
        };
        all.iter().map(of_key).sum::<usize>()
    };
    let before: Vec<_> = world.keys.iter().map(done).collect();
    eventually("each key is rotated again", || async {
        let more = world.keys.iter().zip(&before);
        more.into_iter()
            .all(|(key, before)| done(key) > *before)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_goes_on_with_a_rotation_and_makes_no_second_key() {
    let postgres = Postgres::shared().await;
    let database = postgres.database().await;
    let busy = "every = \"2s\"\noverlap = \"200ms\"\nidle = \"0s\"\ncool_off = \"100ms\"";
    let mut world = World::of("rotate-replicas", keys(), busy).await;
    world.share(&database, "3s");
    world.configure(busy);
    world.rotator.start();
    let mut other = world.replica();
    other.start();
    rotated_again(&world, &[&world.rotator, &other]).await;
    let watch = world.watch(Duration::from_millis(200));
    for point in POINTS {
        let mut victim = world.replica();
        victim.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", point)]);
        victim.ended().await;
        watch.goes_on();
        rotated_again(&world, &[&world.rotator, &other]).await;
    }
    // One that is stopped for longer than its lease wakes up in the middle of something that is done.
    for round in 0..2 {
        let (stopped, goes_on) = match round % 2 {
            0 => (&world.rotator, &other),
            _ => (&other, &world.rotator),
        };
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..1_000))).await;
        stopped.signal("STOP");
        rotated_again(&world, &[goes_on]).await;
        stopped.signal("CONT");
        watch.goes_on();
    }
    rotated_again(&world, &[&world.rotator, &other]).await;
    world.configure(&busy.replace("2s", "1h"));
    let config = std::fs::read_to_string(world.rotator.config()).expect("a configuration");
    other.write_config(&config);
    for rotator in [&world.rotator, &other] {
        rotator.signal("HUP");
    }
    world.settles().await;
    let revoked = watch.end().await;
    assert!(revoked > 40, "{revoked} keys were revoked");
}
