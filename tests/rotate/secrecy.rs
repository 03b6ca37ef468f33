//! What makes keys, and the keys that are made, are in nothing that the program says or keeps, and not in its memory once
//! nobody needs them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::account::{Account, Kind};
use super::world::{Key, Place, World};
use crate::secrecy::canary::{Said, Search, random};
use crate::secrecy::process;
use crate::secrecy::work::{LOUD, TALKATIVE, ask_everything};
use crate::support::eventually;
use crate::support::process_memory::each_chunk;
use crate::support::providers::Fault;

/// Every credential, token and value of the fakes has one of these in it, as it is or in base64.
const MARKS: [&str; 3] = ["canary", "BEGIN PRIVATE KEY", "ABSKZmxhc2hi"];

/// What is held for the next call: the token for Flashback, and what Google and Microsoft give for an hour.
const HELD: [&str; 3] = ["canary-flashback-token", "ya29.canary", "eyJ.canary"];

/// How long it may take until they are gone from memory.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// What the test itself puts secrets into, below the rotator's directory.
const GIVEN: [&str; 3] = ["secrets", "token", "vault-token"];

const SETTINGS: &str = "every = \"2s\"\noverlap = \"0s\"\nidle = \"0s\"\ncool_off = \"0s\"\n";

/// Adds the credentials, and what the providers and the sources have now.
async fn learn(world: &World, search: &mut Search) {
    for key in &world.keys {
        let account = world.account(key);
        if let Account::Fake { fake, .. } = &**account {
            let admin = fake.admin_key();
            // Of an account of Google, the private key is the secret.
            let account: Option<Value> = serde_json::from_str(&admin).ok();
            let private = account.as_ref().and_then(|it| it["private_key"].as_str());
            search.add("an admin key", private.unwrap_or(&admin));
            for key in fake.keys() {
                search.add("a value that was made", &key.value);
            }
        }
        search.add("a value", &world.pair(&key.name).await.secret);
    }
}

/// The marks that are in the memory of a process, each with what is around it.
fn remembered(process: u32) -> Vec<String> {
    let mut found = Vec::new();
    each_chunk(process, 32, |chunk, name| {
        for mark in MARKS.map(str::as_bytes) {
            let mut from = 0;
            while let Some(next) = chunk[from..].iter().position(|byte| *byte == mark[0]) {
                from += next + 1;
                if chunk[from - 1..].starts_with(mark) {
                    let around = &chunk[from.saturating_sub(6)..(from + 40).min(chunk.len())];
                    let around = around.escape_ascii().to_string();
                    if !HELD.iter().any(|held| around.contains(held)) {
                        found.push(format!("{name}: {around}"));
                    }
                }
            }
        }
    });
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_keys_and_minted_values_are_said_nowhere_and_forgotten() {
    let mut search = Search::default();
    let mut said = Said::default();
    let keys = Kind::ALL.into_iter().enumerate().map(|(number, kind)| Key {
        name: kind.word().to_owned(),
        place: Place::ALL[number % Place::ALL.len()],
        kind,
    });
    let log = format!("[log]\nformat = \"json\"\nlevel = \"{LOUD}\"\n");
    let mut world = World::of("rotate-secrecy", keys.collect(), SETTINGS).await;
    let secret = search.canary("the secret access key", random(40));
    for (name, value) in TALKATIVE
        .into_iter()
        .chain([("AWS_SECRET_ACCESS_KEY", &*secret)])
    {
        let variable = (name.to_owned(), value.to_owned());
        world.rotator.environment.retain(|(other, _)| other != name);
        world.rotator.environment.push(variable);
    }
    world.add(&log);
    // Each fake repeats all that it knows where it refuses something.
    for key in &world.keys {
        if let Account::Fake { fake, .. } = &**world.account(key) {
            for fault in [Fault::Status(403), Fault::Half] {
                fake.fail_next("POST", fault);
            }
            fake.fail_next("GET", Fault::Status(500));
        }
    }
    world.rotator.start();
    let rotated = || {
        let events = world.rotator.events().into_iter();
        let done = events.filter(|line| line["event"] == "old_key_deleted");
        let done: BTreeSet<_> = done.map(|line| line["key"].to_string()).collect();
        done.len()
    };
    let made_by_people = 1;
    eventually("each provider's key is rotated", || async {
        (rotated() == Kind::ALL.len() - made_by_people).then_some(())
    })
    .await;
    learn(&world, &mut search).await;
    ask_everything(&world.rotator, &mut said).await;
    for command in [
        &["rotate", "openai"][..],
        &["rotate", "openrouter", "--json"],
        &["rotate", "google", "--compromised", "--json"],
        &["rotate", "aws-iam", "--compromised"],
    ] {
        said.output(command, world.rotator.command(command).await);
    }
    learn(&world, &mut search).await;
    process::examine(&world.rotator, &search, &mut said);

    let quiet = SETTINGS.replace("2s", "1h");
    world.configure(&quiet);
    world.add(&log);
    world.rotator.signal("HUP");
    world.settles().await;
    let deadline = Instant::now() + GONE_WITHIN;
    let left = loop {
        let left = remembered(world.rotator.pid());
        if left.is_empty() || Instant::now() > deadline {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert!(left.is_empty(), "in memory: {left:#?}");
    learn(&world, &mut search).await;
    ask_everything(&world.rotator, &mut said).await;
    assert!(world.rotator.stop().await.success());
    let admins: Vec<_> = world.admins();
    let given: Vec<&str> = admins.iter().map(String::as_str).chain(GIVEN).collect();
    let read = said.files(&world.rotator, &given);
    for name in ["state.db", "log", "config.toml"] {
        assert!(read.iter().any(|read| read == name), "{name} in {read:?}");
    }
    search.nothing_in(&said);
    said.nowhere("canary");
}
