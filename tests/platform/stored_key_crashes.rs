//! A stored key is rotated, and created, as promised whatever step the process dies at.

use flashback_rotator::flashback::sandbox::{Operation, Options, Sandbox, sha256_hex};
use serde_json::json;

use super::stored_keys::{held, rotator, shared, stores};
use super::{requests, row, stands};
use crate::support::eventually;
use crate::support::openbao::OpenBao;
use crate::support::rotator::{QUICK, Rotator, sandbox};

/// Counts the writes of one secret to the stored key.
fn writes(sandbox: &Sandbox, secret: &str) -> usize {
    let digest = sha256_hex(secret);
    let updates = requests(sandbox, Operation::UpdateStoredKey).into_iter();
    updates
        .filter(|entry| entry.secret_sha256.as_ref() == Some(&digest))
        .count()
}

/// Waits until a version is verified in every configuration.
async fn verified(rotator: &Rotator, version: &str) {
    eventually(&format!("version {version} is verified"), || async {
        let row = row(rotator, "a").await;
        (row["verified_by"] == "flashback" && row["version"] == version).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_a_shared_key_whatever_step_the_process_dies_at() {
    let bao = OpenBao::shared().await;
    // The point, and how often the new key may be written: twice only where its outcome was unknown.
    let points = [
        ("secret_read:2", 1),
        ("intent_recorded:2", 1),
        ("answer_received:2", 2),
        ("outcome_recorded:2", 1),
        ("validation_answered@after:2", 1),
        ("verdict_recorded@after:2", 1),
    ];
    let runs = points
        .into_iter()
        .enumerate()
        .map(|(number, (point, most))| async move {
            let sandbox = sandbox(Options::default()).await;
            let (key, users) = shared(&sandbox);
            let path = format!("stored-forth-{number}");
            bao.put_kv2("secret", &path, json!({"key": "sk-one"})).await;
            let mut rotator = rotator(&sandbox, bao, &path, "description = \"shared\"").await;
            rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", point)]);
            verified(&rotator, "1").await;
            bao.put_kv2("secret", &path, json!({"key": "sk-two"})).await;
            let status = rotator.ended().await;
            assert!(!status.success(), "{point}");
            rotator.start();
            stores(&sandbox, "sk-two").await;
            verified(&rotator, "2").await;
            let written = writes(&sandbox, "sk-two");
            assert!((1..=most).contains(&written), "{point}: {written}");
            assert_eq!(requests(&sandbox, Operation::Update).len(), 0, "{point}");
            let last = requests(&sandbox, Operation::UpdateStoredKey).pop();
            let after = last.expect("a write").number;
            let asked = requests(&sandbox, Operation::Validate);
            for user in &users {
                let of_it = |id: &Option<String>| id.as_ref() == Some(user);
                let found = asked
                    .iter()
                    .any(|entry| entry.number > after && of_it(&entry.ai_llm_id));
                assert!(found, "{point}: {user} is validated with the new key");
            }
            let ids: Vec<_> = sandbox
                .stored_keys()
                .into_iter()
                .map(|key| key.api_key_id)
                .collect();
            assert_eq!(ids, [key], "{point}");
        });
    futures_util::future::join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_one_stored_key_whatever_step_the_process_dies_at() {
    let points = [
        "secret_read",
        "intent_recorded",
        "answer_received",
        "outcome_recorded",
    ];
    let runs = points.map(|point| async move {
        let sandbox = sandbox(Options::default()).await;
        let key = "[keys.a]\ntarget = \"stored-key\"\ndescription = \"made\"\ncreate = true\n\
                   ai_type = \"OPENAI\"\nsource = \"files\"\npath = \"a\"\n";
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{key}"));
        rotator.put("a", "sk-one");
        rotator.start_with(&[("FLASHBACK_ROTATOR_KILL_AT", point)]);
        let status = rotator.ended().await;
        assert!(!status.success(), "{point}");
        rotator.start();
        let row = stands(&rotator, "a", "in_sync").await;
        assert_eq!(held(&sandbox), sha256_hex("sk-one"), "{point}");
        let made = requests(&sandbox, Operation::CreateStoredKey).len();
        assert_eq!(made, 1, "{point}");
        assert_eq!(
            row["ai_llm_id"],
            sandbox.stored_keys()[0].api_key_id.as_str()
        );
    });
    futures_util::future::join_all(runs).await;
}
