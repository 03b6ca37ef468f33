//! Credentials that somebody else has changed are written again, and no write of the rotator's own is
//! taken for one.

use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Operation, Options, sha256_hex};
use serde_json::{Value, json};

use super::{requests, stands};
use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// An edit is put right within this.
const SOON: Duration = Duration::from_secs(3);

/// A rotator that asks each second who has changed what.
fn rotator(url: &str, rest: &str) -> Rotator {
    let rotator = Rotator::new(url, &format!("{QUICK}{rest}"));
    rotator.watch_edits("1s");
    rotator
}

/// Waits until the events of the workspace have been read once more from now on.
async fn asked(sandbox: &flashback_rotator::flashback::sandbox::Sandbox, more: usize) {
    let before = requests(sandbox, Operation::SystemEvents).len();
    eventually("events are asked for", || async {
        (requests(sandbox, Operation::SystemEvents).len() >= before + more).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_by_another_user_are_repaired_within_seconds() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = rotator(
        &sandbox.url(),
        &format!("{}{}", file_key("a"), file_key("b")),
    );
    rotator.put("a", "sk-a");
    rotator.put("b", "sk-b");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    stands(&rotator, "b", "in_sync").await;
    asked(&sandbox, 2).await;
    let all = sandbox.configurations();
    let ours = all.iter().find(|one| one.name == "a").expect("made");
    let other = all.iter().find(|one| one.name == "b").expect("made");
    for round in 0..3 {
        let began = Instant::now();
        let theirs = json!({"secret": format!("sk-theirs-{round}")});
        assert!(sandbox.edit(&ours.ai_llm_id, "user-7", theirs));
        arrives(&sandbox, "a", "sk-a").await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    let repaired = rotator
        .event("drift_repaired", |line| line["key"] == "a")
        .await;
    assert_eq!(
        repaired["reason"],
        "its credentials were changed in Flashback by the user user-7"
    );
    eventually("verified again", || async {
        (super::row(&rotator, "a").await["verified_by"] == "flashback").then_some(())
    })
    .await;
    let history = rotator.json(&["history", "a"]).await;
    let last = history["events"]
        .as_array()
        .and_then(|rows| rows.last())
        .expect("a row");
    assert!(
        last["reason"]
            .as_str()
            .is_some_and(|why| why.contains("user-7")),
        "{last}"
    );
    // Nobody has touched the other one.
    let untouched = sandbox.configurations();
    let untouched = untouched
        .iter()
        .find(|one| one.ai_llm_id == other.ai_llm_id);
    assert_eq!(untouched.expect("there").writes, 1);
}

/// The account is shared with a person: more updates than own writes are that person's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_by_a_person_with_the_rotators_account_are_repaired() {
    let sandbox = sandbox(Options::default()).await;
    // Only an administrator would see what others do.
    sandbox.change(|switches| switches.org_role = 1);
    let mut rotator = rotator(&sandbox.url(), &file_key("a"));
    rotator.put("a", "sk-one");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    asked(&sandbox, 2).await;
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    asked(&sandbox, 3).await;
    assert_eq!(rotator.count("drift_repaired"), 0);
    let id = sandbox.configurations()[0].ai_llm_id.clone();
    let own = flashback_rotator::flashback::sandbox::USER_ID;
    assert!(sandbox.edit(&id, own, json!({"secret": "sk-mine"})));
    arrives(&sandbox, "a", "sk-two").await;
    rotator.event("drift_repaired", |_| true).await;
    let said = rotator.log();
    assert_eq!(said.matches("sees no edits by others").count(), 1);
}

/// A thousand rotations, each a write of the rotator's own, and none is taken for an edit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_no_edits() {
    let sandbox = sandbox(Options::default()).await;
    let keys: Vec<String> = (0..100).map(|number| format!("k{number}")).collect();
    let tables: String = keys.iter().map(|key| file_key(key)).collect();
    let mut rotator = rotator(&sandbox.url(), &tables);
    for round in 0..11 {
        for key in &keys {
            rotator.put(key, &format!("sk-{key}-{round}"));
        }
        if round == 0 {
            rotator.start();
        }
        eventually("all are there", || async {
            let all = sandbox.configurations();
            let there = |one: &&flashback_rotator::flashback::sandbox::Shown| {
                one.secret_sha256 == sha256_hex(&format!("sk-{}-{round}", one.name))
            };
            (all.iter().filter(there).count() == keys.len()).then_some(())
        })
        .await;
        if round == 0 {
            asked(&sandbox, 2).await;
        }
    }
    asked(&sandbox, 3).await;
    assert_eq!(requests(&sandbox, Operation::Update).len(), 1_000);
    assert_eq!(rotator.count("drift_repaired"), 0, "{}", rotator.log());
}

/// Twenty kills, each in the middle of a rotation: a write whose outcome was lost is no edit either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_that_a_crash_cuts_off_are_no_edits() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = rotator(&sandbox.url(), &file_key("a"));
    rotator.put("a", "sk-a");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    asked(&sandbox, 2).await;
    let points = [
        "secret_read",
        "intent_recorded",
        "answer_received",
        "outcome_recorded",
        "edits_heard",
    ];
    for round in 0..20 {
        rotator.kill();
        let (secret, at) = (format!("sk-{round}"), points[round % points.len()]);
        rotator.put("a", &secret);
        rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", at)]);
        assert!(
            !rotator.ended().await.success(),
            "round {round}: dies at {at}"
        );
        rotator.start();
        arrives(&sandbox, "a", &secret).await;
        stands(&rotator, "a", "in_sync").await;
    }
    asked(&sandbox, 3).await;
    assert_eq!(rotator.count("drift_repaired"), 0, "{}", rotator.log());
    // A write is made twice only where the process died before it knew of the first.
    let updates = requests(&sandbox, Operation::Update).len();
    assert!((20..=24).contains(&updates), "{updates}");
}

/// A stored key is watched as a configuration is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_key_that_another_user_changes_is_put_right_within_seconds() {
    let sandbox = sandbox(Options::default()).await;
    let (stored, _) = super::stored_keys::shared(&sandbox);
    let key = "[keys.a]\ntarget = \"stored-key\"\ndescription = \"shared\"\n\
               ai_type = \"OPENAI\"\nsource = \"files\"\npath = \"a\"\n";
    let mut rotator = rotator(&sandbox.url(), key);
    rotator.put("a", "sk-a");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    asked(&sandbox, 2).await;
    for round in 0..3 {
        let began = Instant::now();
        let theirs = json!({"secret": format!("sk-theirs-{round}")});
        assert!(sandbox.edit_stored_key(&stored, "user-7", theirs));
        super::stored_keys::stores(&sandbox, "sk-a").await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    let repaired = rotator.event("drift_repaired", |_| true).await;
    assert!(
        repaired["reason"]
            .as_str()
            .is_some_and(|why| why.contains("user-7")),
        "{repaired}"
    );
}

/// Twenty kills, at random moments, with an edit in each life or between two: each is put right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_lose_no_edit() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = rotator(&sandbox.url(), &file_key("a"));
    rotator.put("a", "sk-a");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    asked(&sandbox, 2).await;
    let id = sandbox.configurations()[0].ai_llm_id.clone();
    let points = [
        "edits_heard",
        "intent_recorded",
        "answer_received",
        "outcome_recorded",
    ];
    for round in 0..20 {
        rotator.kill();
        let theirs = json!({"secret": format!("sk-theirs-{round}")});
        let edit = || assert!(sandbox.edit(&id, "user-7", theirs.clone()));
        let at = points[round % points.len()];
        if round % 2 == 0 {
            edit();
            rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", at)]);
        } else {
            rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", at)]);
            rotator.ready().await;
            edit();
        }
        let status = rotator.ended().await;
        assert!(!status.success(), "round {round}: dies at {at}");
        let began = Instant::now();
        rotator.start();
        arrives(&sandbox, "a", "sk-a").await;
        let took = began.elapsed();
        assert!(took < SOON, "round {round}, {at}: {took:?}");
        stands(&rotator, "a", "in_sync").await;
    }
    asked(&sandbox, 2).await;
    assert_eq!(sandbox.configurations().len(), 1);
    assert_eq!(
        sandbox.configurations()[0].secret_sha256,
        sha256_hex("sk-a")
    );
}

/// Events in either order, and more of them than one page holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_read_to_the_last_page_in_either_order() {
    for oldest_first in [false, true] {
        let sandbox = sandbox(Options::default()).await;
        sandbox.change(|switches| switches.events_oldest_first = oldest_first);
        let mut rotator = rotator(&sandbox.url(), &file_key("a"));
        rotator.put("a", "sk-a");
        rotator.start();
        stands(&rotator, "a", "in_sync").await;
        asked(&sandbox, 2).await;
        rotator.stop().await;
        let noise =
            json!({"name": "noise", "aiType": "OTHER", "endpoint": "https://e", "secret": "x"});
        let noise = sandbox.insert("w", noise);
        let id = sandbox.configurations()[0].ai_llm_id.clone();
        for number in 0..250 {
            if number == 120 {
                assert!(sandbox.edit(&id, "user-7", json!({"secret": "sk-theirs"})));
            }
            assert!(sandbox.edit(&noise, "user-7", json!({"secret": format!("x{number}")})));
        }
        rotator.start();
        arrives(&sandbox, "a", "sk-a").await;
        let repaired = rotator.event("drift_repaired", |_| true).await;
        assert_ne!(repaired["reason"], Value::Null);
    }
}
