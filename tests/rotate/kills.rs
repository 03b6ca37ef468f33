//! The process is killed again and again in the middle of rotations.

use std::collections::BTreeSet;
use std::time::Duration;

use super::account::{Account, Kind};
use super::world::{Key, Place, World};
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

/// The keys, with every provider that makes keys and every source that takes them.
fn keys() -> Vec<Key> {
    let keys = [
        (Kind::OpenAi, Place::File),
        (Kind::OpenAi, Place::Vault),
        (Kind::OpenRouter, Place::Kv1),
        (Kind::AwsIam, Place::Vault),
        (Kind::Google, Place::Aws),
        (Kind::Azure, Place::File),
        (Kind::Bedrock, Place::Vault),
    ];
    let named = keys.into_iter().enumerate().map(|(number, (kind, place))| {
        let name = format!("{}-{number}", kind.word());
        Key { name, place, kind }
    });
    named.collect()
}

/// Which keys are being rotated, by the log.
#[derive(Default)]
struct UnderWay {
    read: usize,
    keys: BTreeSet<String>,
    /// The number of keys that were made.
    made: usize,
}

impl UnderWay {
    /// Reads on, and returns `true` if one is.
    fn is_any(&mut self, world: &World) -> bool {
        for line in world.rotator.events_since(&mut self.read) {
            let key = line["key"].as_str().unwrap_or_default();
            match line["event"].as_str() {
                Some("rotation_started") => drop(self.keys.insert(key.to_owned())),
                Some("key_minted") => self.made += 1,
                Some("old_key_deleted" | "key_discarded") => drop(self.keys.remove(key)),
                _ => {}
            }
        }
        !self.keys.is_empty()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_leave_no_orphan_and_break_no_key() {
    let kills = std::env::var("FLASHBACK_ROTATOR_TEST_KILLS");
    let kills = kills.map_or(KILLS, |kills| kills.parse().expect("a number"));
    let overlap = Duration::from_millis(200);
    let busy = "every = \"1s\"\noverlap = \"200ms\"\nidle = \"0s\"\ncool_off = \"100ms\"";
    let mut world = World::of("kills", keys(), busy).await;
    world.rotator.start();
    world.rotator.ready().await;
    let watch = world.watch(overlap);
    world.rotator.kill();
    let (mut under_way, mut at_a_step, mut at_any_time) = (UnderWay::default(), 0, 0);
    for start in 0.. {
        if at_a_step + at_any_time >= kills {
            break;
        }
        // Every other one dies at a step of a rotation, the others at any time.
        let point = format!("{}:{}", POINTS[start / 2 % POINTS.len()], 1 + start % 3);
        let environment = [("FLASHBACK_ROTATOR_KILL_AT", point.as_str())];
        lose_answers(&world, start);
        world.rotator.start_with(match start % 2 {
            0 => &environment,
            _ => &[],
        });
        let life = Duration::from_millis(rand::random_range(100..1_200));
        let died = tokio::time::timeout(life, world.rotator.ended()).await;
        world.rotator.kill();
        watch.goes_on();
        match (died, under_way.is_any(&world)) {
            (Ok(_), _) => at_a_step += 1,
            (Err(_), true) => at_any_time += 1,
            (Err(_), false) => {}
        }
    }
    world.heal();
    world.configure(&busy.replace("1s", "1h"));
    world.rotator.start();
    world.settles().await;
    let revoked = watch.end().await;
    let made = under_way.made;
    println!(
        "{at_a_step} kills at a step and {at_any_time} at any time of a rotation; {made} keys made, {revoked} revoked"
    );
    assert!(made > kills / 8, "keys were made: {made}");
}

/// Has a fake lose an answer now and then.
fn lose_answers(world: &World, start: usize) {
    let key = &world.keys[start / 2 % world.keys.len()];
    if let Account::Fake { fake, .. } = &**world.account(key) {
        // None of those before are left.
        fake.heal();
        match start % 8 {
            0 => fake.fail_next(key.kind.making(), Fault::Lost),
            2 => fake.fail_next("DELETE", Fault::Lost),
            4 => fake.fail_next("PATCH", Fault::Lost),
            _ => {}
        }
    }
}
