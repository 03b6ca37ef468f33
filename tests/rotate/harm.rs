//! Providers, sources and people that do what a rotation does not expect: it waits and tells, and never harms.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::json;

use super::account::{Kind, Stored};
use super::world::{Key, Place, World};
use crate::support::openbao::OpenBao;
use crate::support::providers::Fault;
use crate::support::{eventually, place_file};

const SETTINGS: &str = "overlap = \"0s\"\nidle = \"0s\"\ncool_off = \"0s\"";

/// Makes a world with the key `k`.
async fn new(folder: &str, kind: Kind, rotate: &str) -> World {
    let key = Key {
        name: "k".to_owned(),
        place: Place::Vault,
        kind,
    };
    World::of(folder, vec![key], rotate).await
}

/// Makes a world with the key `k`, and waits until it is live and known to be the provider's.
async fn world(folder: &str, kind: Kind, rotate: &str) -> World {
    let mut world = new(folder, kind, rotate).await;
    start(&mut world).await;
    world
}

async fn start(world: &mut World) {
    world.rotator.start();
    eventually("the first key is live", || async {
        let row = world.row("k").await;
        (row["verified_by"].is_string() && row["rotation"]["current"].is_string()).then_some(())
    })
    .await;
}

/// Has the daemon rotate the key, without waiting for the end.
async fn asks(world: &World) {
    let _ = world
        .rotator
        .command(&["rotate", "k", "--timeout", "100ms"])
        .await;
}

/// Waits until `status` says why the rotation does not get on, in these words.
async fn tells(world: &World, words: &str) {
    eventually(&format!("status says {words}"), || async {
        let rotation = world.row("k").await["rotation"].clone();
        // Not the whole document: a number is in some time of it, too.
        let old = rotation["old"].as_array().into_iter().flatten();
        let reasons = [&rotation["waiting"], &rotation["stuck"]["why"]];
        let mut reasons = reasons.into_iter().chain(old.map(|old| &old["stuck"]));
        reasons
            .any(|reason| reason.as_str().is_some_and(|why| why.contains(words)))
            .then_some(())
    })
    .await;
}

/// Asserts that what Flashback has is the key that was there at first, and that it works.
fn stands(world: &World, first: &Stored) {
    assert_eq!(world.live()["k"], first.digest(), "it is live");
    let account = world.account(world.key("k"));
    assert!(account.fake().is_live(&first.secret), "it works");
}

/// Waits until another key is live and the first one is dead, and asserts that no other is left.
async fn is_over(world: &World, first: &Stored) {
    eventually("another key is live", || async {
        (world.live()["k"] != first.digest()).then_some(())
    })
    .await;
    world.settles().await;
    let fake = world.account(world.key("k")).fake();
    assert!(!fake.is_live(&first.secret), "the old one is revoked");
}

/// What goes wrong with calls of a provider for some time, and what `status` says meanwhile.
async fn fails_for_a_while(number: usize, call: &str, fault: Fault, words: &str) {
    let world = world(&format!("harm-{number}"), Kind::OpenRouter, SETTINGS).await;
    let watch = world.watch(Duration::ZERO);
    let first = world.pair("k").await;
    let fake = world.account(world.key("k")).fake();
    fake.fail_always(call, fault);
    asks(&world).await;
    tells(&world, words).await;
    if world.live()["k"] == first.digest() {
        stands(&world, &first);
    }
    fake.heal();
    is_over(&world, &first).await;
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_or_refuses_is_waited_for() {
    let cases = [
        ("", Fault::Cut, "provider `openrouter`"),
        ("", Fault::Status(503), "503"),
        ("", Fault::Page, "provider `openrouter`"),
        ("", Fault::TooMany(1), "429"),
        ("GET", Fault::Status(401), "401"),
        ("POST", Fault::Status(403), "403"),
        ("POST", Fault::Lost, "provider `openrouter`"),
        ("PATCH", Fault::Status(500), "500"),
        ("PATCH", Fault::Lost, "provider `openrouter`"),
        ("DELETE", Fault::Cut, "provider `openrouter`"),
    ];
    let runs = cases.into_iter().enumerate();
    join_all(
        runs.map(|(number, (call, fault, words))| fails_for_a_while(number, call, fault, words)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_provider_makes_one_key() {
    let world = world("harm-slow", Kind::OpenRouter, SETTINGS).await;
    let watch = world.watch(Duration::ZERO);
    let first = world.pair("k").await;
    let fake = world.account(world.key("k")).fake();
    fake.latency(Duration::from_secs(3));
    asks(&world).await;
    is_over(&world, &first).await;
    watch.end().await;
    let calls = fake.calls();
    let made = calls.iter().filter(|call| call.starts_with("POST"));
    assert_eq!(made.count(), 1, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_in_use_lives_whatever_its_overlap() {
    let idle = "overlap = \"0s\"\nidle = \"3s\"\ncool_off = \"0s\"";
    let world = world("harm-use", Kind::OpenAi, idle).await;
    let first = world.pair("k").await;
    let fake = world.account(world.key("k")).fake();
    // It is in use before and while it is replaced.
    let uses = async {
        loop {
            fake.use_key(&first.secret);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let is_replaced = async {
        asks(&world).await;
        eventually("another key is live", || async {
            (world.live()["k"] != first.digest()).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = uses => {}
        () = is_replaced => {}
    }
    // A provider whose clock is ahead tells of a use to come: as long as it does, the key counts as used.
    for ahead in [TimeDelta::zero(), TimeDelta::hours(2)] {
        let uses = async {
            loop {
                fake.used_at(&first.secret, Utc::now() + ahead);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let checks = fake.calls().len();
        let is_told = async {
            eventually("its last use is asked for again and again", || async {
                (fake.calls().len() >= checks + 6).then_some(())
            })
            .await;
            tells(&world, "was used a moment ago").await;
        };
        tokio::select! {
            () = uses => {}
            () = is_told => {}
        }
        assert!(fake.is_live(&first.secret));
    }
    fake.used_at(&first.secret, Utc::now() - TimeDelta::minutes(1));
    is_over(&world, &first).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_key_that_the_list_does_not_show_keeps_the_old_one_alive() {
    let world = world("harm-list", Kind::OpenAi, "overlap = \"2s\"\nidle = \"0s\"").await;
    let watch = world.watch(Duration::from_secs(2));
    let first = world.pair("k").await;
    let fake = world.account(world.key("k")).fake();
    asks(&world).await;
    eventually("another key is live", || async {
        (world.live()["k"] != first.digest()).then_some(())
    })
    .await;
    let second = world.pair("k").await;
    let keys = fake.keys();
    let made = keys.iter().find(|key| key.value == second.secret);
    fake.hide(&made.expect("a key").id);
    tells(&world, "does not list the live key").await;
    assert!(fake.is_live(&first.secret), "it may be the only one");
    fake.heal();
    is_over(&world, &first).await;
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_others_up_to_the_limit_are_left_alone() {
    let world = world("harm-limit", Kind::Bedrock, SETTINGS).await;
    let first = world.pair("k").await;
    let fake = world.account(world.key("k")).fake();
    let other = fake.make("somebody-at-123456789012", "ABSKY2FuYXJ5OnNvbWVib2R5");
    asks(&world).await;
    tells(&world, "the provider allows 2 keys").await;
    stands(&world, &first);
    assert!(fake.is_live(&other.value), "it is not ours");
    assert_eq!(fake.keys().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_refuses_to_be_written_leaves_no_key_behind() {
    let mut world = new("harm-source", Kind::OpenRouter, SETTINGS).await;
    let bao = OpenBao::shared().await;
    let rules = |may: &str| {
        format!(
            "path \"secret/data/harm-source/*\" {{ capabilities = [{may}] }}\n\
             path \"secret/metadata/harm-source/*\" {{ capabilities = [\"read\"] }}"
        )
    };
    let may_write = rules("\"read\", \"create\", \"update\", \"patch\"");
    bao.write_policy("harm-source", &may_write).await;
    let policies = json!({ "policies": ["harm-source"] });
    let token = bao.create_token(policies).await;
    place_file(world.rotator.path().join("vault-token"), token);
    start(&mut world).await;
    let watch = world.watch(Duration::ZERO);
    let first = world.pair("k").await;
    bao.write_policy("harm-source", &rules("\"read\"")).await;
    asks(&world).await;
    tells(&world, "source `vault`").await;
    stands(&world, &first);
    let fake = world.account(world.key("k")).fake();
    // A key is made for each try at the most, and none is forgotten.
    eventually("what was made is removed", || async {
        let keys = fake.keys();
        (keys.len() == 1).then_some(())
    })
    .await;
    bao.write_policy("harm-source", &may_write).await;
    is_over(&world, &first).await;
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_writes_meanwhile_is_delivered_and_no_key_of_ours_is_left() {
    let world = world("harm-person", Kind::OpenRouter, SETTINGS).await;
    let watch = world.watch(Duration::ZERO);
    let first = world.pair("k").await;
    let key = world.key("k");
    let account = world.account(key);
    account.fake().latency(Duration::from_millis(500));
    asks(&world).await;
    eventually("a key is being made", || async {
        (account.fake().keys().len() == 2).then_some(())
    })
    .await;
    // It is made, and its answer is under way.
    let theirs = account.make("theirs", 7).await;
    world.put(key, &theirs).await;
    account.fake().latency(Duration::ZERO);
    eventually("theirs is live", || async {
        (world.live()["k"] == theirs.digest()).then_some(())
    })
    .await;
    // What was asked for is done after it. Theirs is not ours to revoke, unless it was found to be live.
    eventually("no key of ours is left", || async {
        let stored = world.stored("k").await;
        let mut keys = account.fake().keys();
        keys.retain(|key| key.value != theirs.secret);
        let is_one = keys.iter().all(|key| key.value == stored);
        let row = world.row("k").await;
        (is_one && row["rotation"]["stage"] == "idle").then_some(())
    })
    .await;
    assert!(!account.fake().is_live(&first.secret));
    stands(&world, &world.pair("k").await);
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_to_be_revoked_is_left_and_said_once() {
    let kept: [BoxFuture<'_, ()>; 2] = [
        async {
            let rotate = "revoke = \"none\"\noverlap = \"0s\"\nidle = \"0s\"";
            let world = world("harm-none", Kind::OpenRouter, rotate).await;
            let first = world.pair("k").await;
            asks(&world).await;
            world.rotator.event("old_key_left", |_| true).await;
            checked_again(&world).await;
            assert_eq!(world.rotator.count("old_key_left"), 1);
            let fake = world.account(world.key("k")).fake();
            assert!(fake.is_live(&first.secret), "it is left");
        }
        .boxed(),
        async {
            let rotate = "overlap = \"1h\"\nidle = \"0s\"";
            let world = world("harm-ended", Kind::OpenRouter, rotate).await;
            let first = world.pair("k").await;
            asks(&world).await;
            eventually("another key is live", || async {
                (world.live()["k"] != first.digest()).then_some(())
            })
            .await;
            let config = std::fs::read_to_string(world.rotator.config()).expect("text");
            let (before, _) = config.split_once("[keys.k.rotate]").expect("a table");
            world.rotator.write_config(before);
            world.rotator.signal("HUP");
            world.rotator.event("rotation_ended", |_| true).await;
            checked_again(&world).await;
            assert_eq!(world.rotator.count("rotation_ended"), 1);
            let fake = world.account(world.key("k")).fake();
            assert!(fake.is_live(&first.secret), "nothing is revoked");
        }
        .boxed(),
    ];
    join_all(kept).await;
}

/// Waits until the key was checked twice more.
async fn checked_again(world: &World) {
    let checked = || async { world.row("k").await["checked_at"].clone() };
    for _ in 0..2 {
        let before = checked().await;
        eventually("it is checked again", || async {
            (checked().await != before).then_some(())
        })
        .await;
    }
}
