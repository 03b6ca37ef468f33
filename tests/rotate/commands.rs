//! `rotate KEY`, and what `status`, `plan`, `history` and `check` say of rotations.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use flashback_rotator::flashback::sandbox::sha256_hex;
use serde_json::{Value, json};

use super::world::{Place, World};
use crate::support::eventually;
use crate::support::providers::Fault;
use crate::support::rotator::{Rotator, arrives};

const AT_ONCE: &str = "overlap = \"0s\"\nidle = \"0s\"";
const LATER: &str = "every = \"30d\"\noverlap = \"1h\"";

/// The steps of a rotation, in order, as the record names them.
const STEPS: [&str; 6] = [
    "started",
    "minted",
    "stored",
    "live",
    "verified",
    "old_key_dead",
];

/// Another key that reads the secret of the key `k`.
const TWIN: &str = "\n[keys.twin]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"k\"\n";

/// A verification that does not last long.
const SHORT: &str = "\n[verify]\ngrace = \"1s\"\n";

/// Makes a world with the key `k`.
async fn world(folder: &str, place: Place, rotate: &str) -> World {
    World::new(folder, &[("k", place)], rotate).await
}

/// Starts the daemon, and waits until the key is live, verified and known to be the provider's.
async fn start(world: &mut World) {
    world.rotator.start();
    stands(world).await;
}

async fn stands(world: &World) {
    eventually("the first key is live", || async {
        let row = world.row("k").await;
        (row["verified_by"].is_string() && row["rotation"]["current"].is_string()).then_some(())
    })
    .await;
}

/// Runs a command with `--json`, and returns its exit code and its document.
async fn asked(rotator: &Rotator, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = rotator.command(&[arguments, &["--json"]].concat()).await;
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code(), document)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that the first steps have times in order and the others none, and returns the times in milliseconds.
fn times(record: &Value, steps: usize) -> Vec<i64> {
    let entry = |step: &&str| record["times"][*step].clone();
    let (done, open) = STEPS.split_at(steps);
    let at: Vec<_> = done
        .iter()
        .map(|step| {
            let at = entry(step)["at"].as_str().expect("a time").to_owned();
            DateTime::parse_from_rfc3339(&at).expect("RFC 3339")
        })
        .collect();
    assert!(at.is_sorted(), "{record:#}");
    for step in open {
        assert_eq!(entry(step), Value::Null, "{step} in {record:#}");
    }
    let ms = done.iter().map(|step| entry(step)["ms"].as_i64());
    ms.map(|ms| ms.expect("milliseconds")).collect()
}

/// From now on no key that is made works, for Flashback.
fn refuse_what_is_made(world: &World) -> tokio::task::JoinHandle<()> {
    let known = world.provider.keys();
    let (provider, flashback) = (Arc::clone(&world.provider), Arc::clone(&world.flashback));
    tokio::spawn(async move {
        loop {
            let keys = provider.keys().into_iter();
            let new = keys.filter(|key| !known.iter().any(|old| old.value == key.value));
            let new: Vec<_> = new.map(|key| sha256_hex(&key.value)).collect();
            flashback.change(|switches| switches.refused_secrets.extend(new));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_rotates_and_the_old_key_lives_through_the_overlap() {
    let mut world = world("rotate-daemon", Place::Vault, LATER).await;
    start(&mut world).await;
    let old = world.stored("k").await;
    let plan = world.rotator.command(&["plan"]).await;
    assert!(
        stdout(&plan).contains("rotates in 2") || stdout(&plan).contains("rotates in 3"),
        "{}",
        stdout(&plan)
    );
    let (code, record) = asked(&world.rotator, &["rotate", "k"]).await;
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["outcome"], "done");
    times(&record, 5);
    for (field, value) in [
        ("form", json!(1)),
        ("key", json!("k")),
        ("provider", json!("openai")),
        ("compromised", json!(false)),
        ("reason", Value::Null),
        ("live_key", record["new_key"].clone()),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(record[field], value, "{field} in {record:#}");
    }
    assert!(record["asked_by"]["host"].is_string(), "{record:#}");
    let [kept] = &record["old_keys"].as_array().expect("old keys")[..] else {
        panic!("{record:#}");
    };
    assert_eq!(kept["id"], record["replaced_key"]);
    assert_eq!(kept["fate"], "active");
    assert!(kept["revoke_after"].is_string(), "{record:#}");
    assert!(world.provider.is_live(&old), "it lives on");
    let new = world.stored("k").await;
    assert_ne!(new, old);
    arrives(&world.flashback, "k", &new).await;

    // What is under way is seen, and the trail has it.
    let row = world.row("k").await;
    assert_eq!(row["rotation"]["stage"], "draining");
    let status = stdout(&world.rotator.command(&["status"]).await);
    for part in [
        "ROTATED KEY",
        "draining",
        "revoked when the overlap is over",
    ] {
        assert!(status.contains(part), "{part} in {status}");
    }
    let status = stdout(&world.rotator.command(&["status", "k"]).await);
    for part in ["rotated by", "old key", "at the earliest", "mint", "store"] {
        assert!(status.contains(part), "{part} in {status}");
    }
    let history = world.rotator.json(&["history", "k"]).await;
    let actions = history["events"].as_array().expect("rows").iter();
    let actions: Vec<_> = actions.map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["create", "mint", "store", "update"]);
    let plan = world.rotator.json(&["plan"]).await;
    assert!(plan["keys"][0]["rotates"]["due_at"].is_string(), "{plan}");

    // The values are nowhere in it.
    for value in [&old, &new] {
        assert!(!record.to_string().contains(value.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_each_key_that_reads_the_secret_is_waited_for() {
    let rotate = format!("{AT_ONCE}{TWIN}");
    let world = world("rotate-alone", Place::File, &rotate).await;
    let old = world.stored("k").await;
    world.rotator.json(&["sync"]).await;
    let (code, record) = asked(&world.rotator, &["rotate", "k"]).await;
    assert_eq!(code, Some(0), "{record:#}");
    assert_eq!(record["outcome"], "done");
    assert!(times(&record, 6).iter().all(|ms| *ms >= 0));
    let new = world.stored("k").await;
    assert_ne!(new, old);
    for key in ["k", "twin"] {
        assert_eq!(world.live()[key], sha256_hex(&new), "{key} has the new one");
    }
    // And with a compromised one until it is dead.
    let output = world
        .rotator
        .command(&["rotate", "k", "--compromised"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!world.provider.is_live(&new));
    let said = stdout(&output);
    for part in [
        "The new key of k is",
        "old key dead",
        "verified",
        "deleted at",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let newest = world.stored("k").await;
    for key in ["k", "twin"] {
        assert_eq!(world.live()[key], sha256_hex(&newest), "{key}");
    }
    let output = world.rotator.command(&["rotate", "twin"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("run `rotate k`"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromised_key_is_dead_when_the_command_ends() {
    let mut world = world("rotate-compromised", Place::Vault, LATER).await;
    start(&mut world).await;
    let old = world.stored("k").await;
    let slow = Duration::from_millis(50);
    world.provider.latency(slow);
    world.flashback.change(|switches| switches.latency_ms = 50);
    let (code, record) = asked(&world.rotator, &["rotate", "k", "--compromised"]).await;
    assert_eq!(code, Some(0), "{record:#}");
    let ms = times(&record, 6);
    println!("begun, minted, stored, live, verified, old key dead after {ms:?} ms");
    assert!(!world.provider.is_live(&old), "it is dead");
    assert!(world.provider.is_live(&world.stored("k").await));
    assert_eq!(record["outcome"], "done");
    let [dead] = &record["old_keys"].as_array().expect("old keys")[..] else {
        panic!("{record:#}");
    };
    assert_eq!(dead["id"], record["replaced_key"]);
    assert_eq!(
        (&dead["fate"], &dead["compromised"]),
        (&json!("deleted"), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_new_key_does_not_work_the_old_one_lives_unless_told_otherwise() {
    let rotate = format!("{AT_ONCE}{SHORT}");
    let mut world = world("rotate-broken", Place::Vault, &rotate).await;
    start(&mut world).await;
    let old = world.stored("k").await;
    let refuses = refuse_what_is_made(&world);
    let wait = ["rotate", "k", "--compromised", "--timeout", "90s"];
    let (code, record) = asked(&world.rotator, &wait).await;
    assert_eq!(code, Some(1), "{record:#}");
    assert_eq!(record["outcome"], "stuck", "{record:#}");
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.contains("so the old one stays"), "{reason}");
    assert!(world.provider.is_live(&old), "the old one works");
    assert_eq!(world.live()["k"], sha256_hex(&old), "and is live again");

    let forced = [&wait[..], &["--even-if-broken"]].concat();
    let (code, record) = asked(&world.rotator, &forced).await;
    refuses.abort();
    assert_eq!(code, Some(1), "{record:#}");
    assert_eq!(record["outcome"], "broken", "{record:#}");
    assert!(!world.provider.is_live(&old), "as it was wanted");
    assert!(
        record["times"]["old_key_dead"]["at"].is_string(),
        "{record:#}"
    );
    assert_eq!(record["times"]["verified"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_revoked_says_why_until_it_can() {
    let mut world = world("rotate-stuck", Place::File, AT_ONCE).await;
    start(&mut world).await;
    let old = world.stored("k").await;
    for _ in 0..6 {
        world.provider.fail_next("DELETE", Fault::Status(403));
    }
    let (code, record) = asked(&world.rotator, &["rotate", "k", "--compromised"]).await;
    assert_eq!(code, Some(1), "{record:#}");
    assert_eq!(record["outcome"], "stuck", "{record:#}");
    times(&record, 5);
    let why = record["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("provider `openai`"), "{why}");
    assert!(record["old_keys"][0]["stuck"].is_string(), "{record:#}");
    assert!(world.provider.is_live(&old));
    let status = world.rotator.command(&["status"]).await;
    assert_eq!(status.status.code(), Some(1), "{}", stdout(&status));
    for part in ["its rotation does not get on", "stuck"] {
        assert!(
            stdout(&status).contains(part),
            "{part} in {}",
            stdout(&status)
        );
    }
    eventually("it is revoked", || async {
        (!world.provider.is_live(&old)).then_some(())
    })
    .await;
    eventually("all is well", || async {
        let status = world.rotator.command(&["status"]).await;
        (status.status.code() == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rotated_says_what_is_missing() {
    let more = format!(
        "{AT_ONCE}\n[keys.plain]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"plain\"\n\
         [keys.off]\nenabled = false\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"off\"\n\
         rotate = {{ provider = \"openai\" }}\n\
         [keys.claude]\nai_type = \"ANTHROPIC\"\nsource = \"files\"\npath = \"claude\"\n\
         rotate = {{ provider = \"anthropic\" }}\n\
         [providers.anthropic]\ntype = \"anthropic\"\nadmin_key = {{ file = \"{{dir}}/admin-openai\" }}\n"
    );
    let world = world("rotate-refused", Place::File, &more).await;
    let refused = [
        (&["rotate", "kk"][..], "did you mean `k`?"),
        (&["rotate", "plain"], "add `rotate = { provider = "),
        (&["rotate", "off"], "is disabled"),
        (&["rotate", "claude"], "in its console alone"),
        (&["rotate", "k", "--even-if-broken"], "--compromised"),
    ];
    for (arguments, because) in refused {
        let output = world.rotator.command(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(because), "{}", stderr(&output));
    }
    assert_eq!(world.provider.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_warns_of_rotations_that_never_end_and_tries_each_provider() {
    let rotate = "every = \"30d\"\n[defaults]\nmax_age = \"7d\"\n[verify]\nafter = \"none\"\n";
    let world = world("rotate-check", Place::File, rotate).await;
    let output = world.rotator.command(&["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for part in [
        "no rotation ends, and no old key is revoked",
        "reported as too old",
    ] {
        assert!(
            stderr(&output).contains(part),
            "{part} in {}",
            stderr(&output)
        );
    }
    let (code, checked) = asked(&world.rotator, &["check", "--connect"]).await;
    assert_eq!(code, Some(0), "{checked:#}");
    assert_eq!(checked["providers"][0]["provider"], "openai");
    assert_eq!(checked["providers"][0]["ok"], true);
    let shown = stdout(&world.rotator.command(&["check", "--connect"]).await);
    assert!(shown.contains("provider openai"), "{shown}");

    std::fs::write(world.admin("openai"), "sk-of-nobody").expect("written");
    let output = world.rotator.command(&["check", "--connect"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert_eq!(said.matches("provider openai: ").count(), 1, "{said}");
}
