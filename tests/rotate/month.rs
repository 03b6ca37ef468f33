//! A month of daily rotations, in fast time.

use std::time::Duration;

use super::world::{Place, World};
use crate::support::eventually;

/// The rotations of each key.
const DAYS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotates_every_key_through_all_stages_again_and_again() {
    let days = std::env::var("FLASHBACK_ROTATOR_TEST_DAYS");
    let days = days.map_or(DAYS, |days| days.parse().expect("a number"));
    let names: Vec<_> = (0..8).map(|number| format!("k{number}")).collect();
    let keys: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| match number % 2 {
            0 => (name.as_str(), Place::File),
            _ => (name.as_str(), Place::Vault),
        })
        .collect();
    let daily = "every = \"2s\"\noverlap = \"300ms\"\nidle = \"0s\"";
    let mut world = World::new("month", &keys, daily).await;
    world.rotator.start();
    world.rotator.ready().await;
    let watch = world.watch();
    for (name, _) in &keys {
        eventually(&format!("{name} was rotated {days} times"), || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let done = world.rotator.events();
            let done = done
                .iter()
                .filter(|line| line["event"] == "old_key_deleted" && line["key"] == *name);
            (done.count() >= days).then_some(())
        })
        .await;
    }
    world.configure("every = \"1h\"\noverlap = \"0s\"\nidle = \"0s\"");
    world.rotator.signal("HUP");
    world.settles().await;
    watch.end().await;
    assert_eq!(world.rotator.count("rotation_stuck"), 0);
    for key in world.provider.keys() {
        assert!(
            key.name.starts_with("rotator-"),
            "{} was made here",
            key.name
        );
    }
}
