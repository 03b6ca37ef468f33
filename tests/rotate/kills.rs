//! The process is killed again and again in the middle of rotations.

use std::time::Duration;

use super::world::{Place, World};
use crate::support::providers::Fault;

/// The points of a rotation at which a process dies that is told so.
pub const POINTS: [&str; 9] = [
    "mint_intended",
    "mint_answered",
    "mint_recorded",
    "store_answered",
    "store_recorded",
    "rotation_saved",
    "key_disabled",
    "key_deleted",
    "key_discarded",
];

/// How often the process is killed, unless the environment names another number.
const KILLS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_leave_no_orphan_and_break_no_key() {
    let kills = std::env::var("FLASHBACK_ROTATOR_TEST_KILLS");
    let kills = kills.map_or(KILLS, |kills| kills.parse().expect("a number"));
    let keys = [
        ("a", Place::File),
        ("b", Place::Vault),
        ("c", Place::Vault),
        ("d", Place::File),
    ];
    let busy = "every = \"1s\"\noverlap = \"0s\"\nidle = \"0s\"";
    let mut world = World::new("kills", &keys, busy).await;
    let short = ("FLASHBACK_ROTATOR_DOUBT_MS".to_owned(), "500".to_owned());
    world.rotator.environment.push(short);
    world.rotator.start();
    world.rotator.ready().await;
    let watch = world.watch();
    world.rotator.kill();
    for kill in 0..kills {
        // Every other one dies at a point of a rotation, the others at any time.
        let point = format!("{}:{}", POINTS[kill / 2 % POINTS.len()], 1 + kill % 3);
        let environment = [("FLASHBACK_ROTATOR_KILL_AT", point.as_str())];
        match kill % 4 {
            0 => world.provider.fail_next("POST", Fault::Lost),
            2 => world.provider.fail_next("DELETE", Fault::Lost),
            _ => {}
        }
        world.rotator.start_with(match kill % 2 {
            0 => &environment,
            _ => &[],
        });
        let life = Duration::from_millis(rand::random_range(100..1_500));
        let _ = tokio::time::timeout(life, world.rotator.ended()).await;
        world.rotator.kill();
    }
    world.configure("every = \"1h\"\noverlap = \"0s\"\nidle = \"0s\"");
    world.rotator.start();
    world.settles().await;
    watch.end().await;
    let minted = world.provider.calls();
    let minted = minted
        .iter()
        .filter(|call| call.starts_with("POST"))
        .count();
    println!("{kills} kills, {minted} calls to make a key");
    assert!(minted > kills / 8, "keys were rotated: {minted}");
}
