//! A month of daily rotations, in fast time, at every provider.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::account::Kind;
use super::world::{Key, Place, World};

/// The rotations of each key, unless the environment names another number.
const DAYS: usize = 2;

/// The number of keys, unless the environment names another one.
const KEYS: usize = 7;

/// The longest that may pass without any rotation ending.
const LONGEST: Duration = Duration::from_secs(120);

fn number_in(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The rotations, by the log and by the providers' lists.
struct Month {
    /// The rotations that each key is to have.
    days: usize,
    read: usize,
    /// The number of the rotations that are over, by key.
    done: BTreeMap<String, usize>,
    /// How often the log has each step of each key.
    steps: BTreeMap<(String, String), usize>,
    /// The number of values that people have made.
    made: usize,
    last: Instant,
}

impl Month {
    /// Reads on. At the end of each rotation all its steps are in the log, and the old key is not in the list.
    async fn read(&mut self, world: &World) {
        for line in world.rotator.events_since(&mut self.read) {
            let event = line["event"].as_str().expect("an event").to_owned();
            let Some(key) = world.keys.iter().find(|key| line["key"] == key.name) else {
                continue;
            };
            let step = (key.name.clone(), event);
            *self.steps.entry(step.clone()).or_default() += 1;
            if step.1 == "old_key_deleted" {
                let done = self.is_over(&key.name, key.kind);
                // Those that are quicker than the others go on beyond their days.
                if done <= self.days {
                    let id = line["provider_key"].as_str().expect("an id");
                    is_not_served(world, key, id).await;
                }
            }
        }
        let waited = self.last.elapsed();
        assert!(waited < LONGEST, "no rotation has ended for {waited:?}");
    }

    /// Each step was taken before as often as rotations are over. A rotation may begin before the last one is over.
    /// Returns the number of those that are over.
    fn is_over(&mut self, key: &str, kind: Kind) -> usize {
        let done = self.done.entry(key.to_owned()).or_default();
        *done += 1;
        for step in steps_of(kind) {
            let times = self.steps.get(&(key.to_owned(), (*step).to_owned()));
            assert!(times >= Some(done), "{key}: {step} {times:?} in {done}");
        }
        self.last = Instant::now();
        *done
    }

    fn is_done(&self, world: &World) -> bool {
        let done = |key: &Key| self.done.get(&key.name).copied().unwrap_or_default();
        world.keys.iter().all(|key| done(key) >= self.days)
    }

    /// Does what a person does for providers that make no keys, where the last key of a secret is all that there is.
    async fn rotate_by_hand(&mut self, world: &World) {
        for key in world.keys.iter().filter(|key| key.kind == Kind::Anthropic) {
            let account = world.account(key);
            let mut keys = account.fake().keys();
            keys.retain(|it| it.name == key.name);
            let live = world.live();
            if keys.len() == 1 && live.get(&key.name) == Some(&world.pair(&key.name).await.digest())
            {
                self.made += 1;
                let value = account.make(&key.name, self.made).await;
                world.put(key, &value).await;
            }
        }
    }
}

/// Returns the events of a rotation before its end.
fn steps_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Anthropic => &["old_key_idle", "old_key_disabled"],
        Kind::OpenAi | Kind::Azure => &[
            "rotation_started",
            "key_minted",
            "key_stored",
            "rotation_verified",
            "old_key_idle",
        ],
        Kind::OpenRouter | Kind::AwsIam | Kind::Bedrock | Kind::Google => &[
            "rotation_started",
            "key_minted",
            "key_stored",
            "rotation_verified",
            "old_key_idle",
            "old_key_disabled",
        ],
    }
}

async fn is_not_served(world: &World, key: &Key, id: &str) {
    // A slot is never empty, and its old value is looked for by the watch.
    if key.kind != Kind::Azure {
        let is_served = world.account(key).serves(id).await;
        assert!(!is_served, "{}: {id} is revoked", key.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotates_every_key_through_all_stages_again_and_again() {
    let days = number_in("FLASHBACK_ROTATOR_TEST_DAYS", DAYS);
    let keys = (0..number_in("FLASHBACK_ROTATOR_TEST_KEYS", KEYS)).map(|number| {
        let kind = Kind::ALL[number % Kind::ALL.len()];
        let place = Place::ALL[number % Place::ALL.len()];
        let name = format!("{}-{number}", kind.word());
        Key { name, place, kind }
    });
    let keys: Vec<_> = keys.collect();
    // The keys of a provider share the calls that it is asked for at the most.
    let daily = |day: &str| {
        format!("every = \"{day}\"\noverlap = \"300ms\"\nidle = \"0s\"\ncool_off = \"300ms\"")
    };
    let day = format!("{}s", 2.max(keys.len() / 5));
    let mut world = World::of("month", keys, &daily(&day)).await;
    world.rotator.start();
    world.rotator.ready().await;
    let watch = world.watch(Duration::from_millis(300));
    let mut month = Month {
        days,
        read: 0,
        done: BTreeMap::new(),
        steps: BTreeMap::new(),
        made: 1_000,
        last: Instant::now(),
    };
    while !month.is_done(&world) {
        month.rotate_by_hand(&world).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        month.read(&world).await;
        watch.goes_on();
    }
    world.configure(&daily("1h"));
    world.rotator.signal("HUP");
    world.settles().await;
    let revoked = watch.end().await;
    println!(
        "{days} days, {} keys, {revoked} old keys revoked",
        world.keys.len()
    );
    let events = world.rotator.events();
    let stuck = events
        .iter()
        .filter(|line| line["event"] == "rotation_stuck");
    let stuck: Vec<_> = stuck.map(|line| (&line["key"], &line["error"])).collect();
    assert!(stuck.is_empty(), "{stuck:#?}");
    assert!(revoked >= (days * world.keys.len()) as u64);
}
