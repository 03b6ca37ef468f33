//! Reloads while everything rotates: two hundred keys in an OpenBao, twenty new configurations, five
//! of them broken. No rotation may be lost, and none pushed twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Operation, Options, Sandbox, sha256_hex};
use serde_json::json;

use crate::support::configuration::{key, token_in, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{Rotator, file_key, sandbox};
use crate::support::{LONG, eventually};

const KEYS: usize = 200;
const VERSIONS: usize = 4;
const RELOADS: usize = 20;
const MOUNT: &str = "reload-under-load";

fn name(key: usize) -> String {
    format!("k{key:03}")
}

fn value(key: usize, version: usize) -> String {
    format!("sk-{key}-{version}")
}

/// The configuration of one round: schedules, the source and the set of keys are never the same
/// twice. Each fourth one is broken.
fn config(bao: &str, round: usize) -> String {
    let max_rps = 500 + round / 5;
    let settings = format!("mount = \"{MOUNT}\"\nmax_rps = {max_rps}");
    let mut text = format!(
        "[schedule]\ncheck = \"{}s\"\n[retry]\ninitial = \"100ms\"\nmax = \"500ms\"\n{}",
        1 + round % 2,
        vault("bao", bao, &settings, &token_in("root"))
    );
    for number in 0..KEYS {
        let name = name(number);
        text += &key(&name, "bao", &name);
        if (number + round).is_multiple_of(7) {
            text += "check = \"* * * * * *\"\n";
        }
    }
    text += &file_key(&format!("extra-{round}"));
    if is_broken(round) {
        text += "[keys.broken]\nai_type = \"OPENAI\"\nsource = \"nowhere\"\n";
    }
    text
}

fn is_broken(round: usize) -> bool {
    round % 4 == 3
}

/// How often each value was written to Flashback, by its digest.
fn written(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in sandbox.journal() {
        if let (Operation::Create | Operation::Update, Some(digest)) =
            (entry.operation, entry.secret_sha256)
        {
            *counts.entry(digest).or_insert(0) += 1;
        }
    }
    counts
}

/// Rotates every key as soon as its last version has arrived, so that each one must.
async fn rotate(bao: &OpenBao, sandbox: &Sandbox) {
    let mut at = vec![0; KEYS];
    let digest = |version| move |key| sha256_hex(&value(key, version));
    let digests: Vec<Vec<String>> = (0..=VERSIONS)
        .map(|version| (0..KEYS).map(digest(version)).collect())
        .collect();
    let mut last_progress = Instant::now();
    while at.iter().any(|version| *version <= VERSIONS) {
        let arrived = written(sandbox);
        let mut due = Vec::new();
        for (key, version) in at.iter_mut().enumerate() {
            let is_there = |version: usize| arrived.contains_key(&digests[version][key]);
            if *version <= VERSIONS && (*version == 0 || is_there(*version)) {
                *version += 1;
                if *version <= VERSIONS {
                    due.push((name(key), value(key, *version)));
                }
                last_progress = Instant::now();
            }
        }
        for some in due.chunks(16) {
            let writes = some
                .iter()
                .map(|(name, value)| bao.put_kv2(MOUNT, name, json!({ "key": value })));
            futures_util::future::join_all(writes).await;
        }
        assert!(last_progress.elapsed() < LONG, "it stands still at {at:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How often the log has an event. It is long, and reading each line of it takes longer.
fn told(rotator: &Rotator, event: &str) -> usize {
    let field = format!("\"event\":\"{event}\"");
    rotator.log().matches(&field).count()
}

/// Puts one configuration after the other in place, by file alone and by SIGHUP in turn, and waits
/// for what becomes of each.
async fn reload(rotator: &Rotator, flashback: &str, bao: &str) {
    for round in 1..=RELOADS {
        let event = match is_broken(round) {
            true => "config_rejected",
            false => "config_reloaded",
        };
        let before = told(rotator, event);
        rotator.configure(flashback, &config(bao, round));
        if round % 2 == 0 {
            rotator.signal("HUP");
        }
        eventually(&format!("reload {round}"), || async {
            (told(rotator, event) > before).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rotation_is_lost_and_none_is_pushed_twice() {
    let (sandbox, bao) = (sandbox(Options::default()).await, OpenBao::shared().await);
    bao.mount_kv(MOUNT, 2).await;
    let (sandbox, url) = (Arc::new(sandbox), bao.address.clone());
    sandbox.change(|switches| switches.latency_ms = 20);
    let mut rotator = Rotator::new(&sandbox.url(), &config(&url, 0));
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    rotator.start();
    rotator.http().await;

    let flashback = sandbox.url();
    tokio::join!(rotate(bao, &sandbox), reload(&rotator, &flashback, &url));

    let reloads = |event| told(&rotator, event);
    let broken = (1..=RELOADS).filter(|round| is_broken(*round)).count();
    assert_eq!((broken, reloads("config_rejected")), (5, 5));
    assert_eq!(reloads("config_reloaded"), RELOADS - broken);

    // One more turn of every schedule: what would be pushed again is pushed by then.
    let synced = rotator.json(&["sync"]).await;
    let rows = synced["keys"].as_array().expect("rows");
    let pushed: Vec<_> = rows
        .iter()
        .filter(|row| row["source"] == "bao" && row["action"] != "none")
        .collect();
    assert!(pushed.is_empty(), "{pushed:?}");
    let written = written(&sandbox);
    assert_eq!(written.len(), KEYS * VERSIONS);
    let twice: Vec<_> = written.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let held = sandbox.configurations();
    assert_eq!(held.len(), KEYS);
    for key in 0..KEYS {
        let newest = sha256_hex(&value(key, VERSIONS));
        let name = name(key);
        assert!(
            held.iter()
                .any(|one| one.name == name && one.secret_sha256 == newest),
            "{name}"
        );
    }
    assert!(rotator.stop().await.success());
}
