//! The commands, the history and the repair of drift, for a stored key as for a configuration.

use flashback_rotator::flashback::sandbox::{Operation, Options, Sandbox, sha256_hex};
use serde_json::{Value, json};

use super::stored_keys::{held, rotator, shared, stores};
use super::{OFTEN, requests, row, stands};
use crate::support::openbao::OpenBao;
use crate::support::rotator::{QUICK, Rotator, sandbox};
use crate::support::{client, eventually};

/// The first row of a command's document.
async fn first(rotator: &Rotator, arguments: &[&str]) -> Value {
    rotator.json(arguments).await["keys"][0].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_sync_rollback_and_history_work_for_a_stored_key() {
    let bao = OpenBao::shared().await;
    let sandbox = sandbox(Options::default()).await;
    let (key, _) = shared(&sandbox);
    let path = "stored-commands";
    bao.put_kv2("secret", path, json!({"key": "sk-one"})).await;
    let mut rotator = rotator(&sandbox, bao, path, "description = \"shared\"").await;
    let plan = first(&rotator, &["plan"]).await;
    assert_eq!(plan["action"], "adopt", "{plan}");
    assert_eq!(requests(&sandbox, Operation::UpdateStoredKey).len(), 0);
    rotator.start();
    stores(&sandbox, "sk-one").await;
    bao.put_kv2("secret", path, json!({"key": "sk-two"})).await;
    eventually("the second is verified", || async {
        let row = row(&rotator, "a").await;
        (row["version"] == "2" && row["verified_by"] == "flashback").then_some(())
    })
    .await;
    assert_eq!(first(&rotator, &["plan"]).await["action"], "none");

    let rollback = rotator.command(&["rollback", "a"]).await;
    assert!(rollback.status.success(), "{rollback:?}");
    let row = stands(&rotator, "a", "held").await;
    assert_eq!(row["held_version"], "2", "{row}");
    assert_eq!(held(&sandbox), sha256_hex("sk-one"));
    assert_eq!(first(&rotator, &["plan"]).await["action"], "hold");
    let forced = first(&rotator, &["sync", "a", "--force"]).await;
    assert_eq!(forced["action"], "update", "{forced}");
    assert_eq!(held(&sandbox), sha256_hex("sk-two"));

    let history = rotator.json(&["history", "a"]).await;
    let rows = history["events"].as_array().expect("rows");
    let versions: Vec<_> = rows
        .iter()
        .filter(|row| row["action"] != "hold" && row["outcome"] == "succeeded")
        .map(|row| row["version"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(versions, ["1", "2", "1", "2"], "{history}");
    assert!(
        rows.iter().all(|row| row["ai_llm_id"] == key.as_str()),
        "{history}"
    );
    assert_eq!(requests(&sandbox, Operation::Update).len(), 0);
}

/// Deletes the one stored key, with the configurations that use it.
async fn delete(sandbox: &Sandbox, users: &[String]) {
    for user in users {
        assert!(sandbox.remove(user));
    }
    let key = sandbox.stored_keys()[0].api_key_id.clone();
    let url = format!("{}/apikeys/{key}", sandbox.url());
    let request = client().delete(url).bearer_auth("somebody");
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stored_key_is_made_again_only_where_that_is_asked_for() {
    for create in [true, false] {
        let sandbox = sandbox(Options::default()).await;
        let (key, users) = shared(&sandbox);
        let config = format!(
            "{QUICK}[keys.a]\ntarget = \"stored-key\"\ndescription = \"shared\"\ncreate = {create}\n\
             ai_type = \"OPENAI\"\nsource = \"files\"\npath = \"a\"\n"
        );
        let mut rotator = Rotator::new(&sandbox.url(), &config);
        rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
        rotator.put("a", "sk-one");
        rotator.start();
        stores(&sandbox, "sk-one").await;
        stands(&rotator, "a", "in_sync").await;
        delete(&sandbox, &users).await;
        if create {
            stores(&sandbox, "sk-one").await;
            let made = sandbox.stored_keys();
            assert_ne!(made[0].api_key_id, key);
            assert_eq!(made[0].description(), Some("shared"));
            stands(&rotator, "a", "in_sync").await;
        } else {
            let row = stands(&rotator, "a", "failing").await;
            let why = row["error"].as_str().unwrap_or_default();
            assert!(why.contains("`create = true`"), "{row}");
            assert!(sandbox.stored_keys().is_empty());
        }
    }
}
