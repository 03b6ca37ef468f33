//! Stored keys, which several configurations share: never overwritten from one of them, rotated as one.

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule, Sandbox, sha256_hex};
use serde_json::{Value, json};

use super::{OFTEN, requests, row, stands};
use crate::support::eventually;
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// A stored key with the description `shared` and three configurations that use it.
pub(super) fn shared(sandbox: &Sandbox) -> (String, Vec<String>) {
    let key = json!({"key": "", "secret": "sk-old", "provider": "OPENAI", "description": "shared"});
    let key = sandbox.create_stored_key("w", key);
    let users = (0..3).map(|number| {
        let body = json!({"name": format!("user-{number}"), "aiType": "OPENAI", "apiKeyUuid": key});
        sandbox.insert("w", body)
    });
    let users = users.collect();
    (key, users)
}

/// The SHA-256 of the stored key's secret, where there is one.
pub(super) fn held(sandbox: &Sandbox) -> String {
    let keys = sandbox.stored_keys();
    assert!(keys.len() <= 1, "{keys:?}");
    keys.first()
        .map(|key| key.secret_sha256.clone())
        .unwrap_or_default()
}

pub(super) async fn stores(sandbox: &Sandbox, secret: &str) {
    let digest = sha256_hex(secret);
    eventually("the stored key has it", || async {
        (held(sandbox) == digest).then_some(())
    })
    .await;
}

/// A rotator with one key of OpenBao, whose older versions can be read again.
pub(super) async fn rotator(sandbox: &Sandbox, bao: &OpenBao, path: &str, target: &str) -> Rotator {
    let config = format!(
        "{QUICK}[verify]\ngrace = \"2s\"\nsettle = \"0s\"\n[sources.bao]\ntype = \"vault\"\naddress = \"{}\"\n\
         acknowledge = true\n[sources.bao.auth]\nmethod = \"token\"\ntoken = {{ env = \"TEST_BAO_TOKEN\" }}\n\
         [keys.a]\ntarget = \"stored-key\"\n{target}\nai_type = \"OPENAI\"\nsource = \"bao\"\npath = \"{path}\"\n",
        bao.address
    );
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator
        .environment
        .push(("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned()));
    rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
    rotator
}

/// One PUT, and a validation of each configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_key_is_rotated_by_one_write_and_validated_everywhere() {
    let bao = OpenBao::shared().await;
    for target in ["description = \"shared\"", "api_key_id = \"ID\""] {
        let sandbox = sandbox(Options::default()).await;
        let (key, users) = shared(&sandbox);
        let path = format!("stored-{}", target.len());
        bao.put_kv2("secret", &path, json!({"key": "sk-one"})).await;
        let target = target.replace("ID", &key);
        let mut rotator = rotator(&sandbox, bao, &path, &target).await;
        rotator.start();
        stores(&sandbox, "sk-one").await;
        eventually("verified", || async {
            (row(&rotator, "a").await["verified_by"] == "flashback").then_some(())
        })
        .await;
        let before = sandbox.journal().len();
        bao.put_kv2("secret", &path, json!({"key": "sk-two"})).await;
        stores(&sandbox, "sk-two").await;
        let verified = eventually("verified", || async {
            let row = row(&rotator, "a").await;
            (row["verified_by"] == "flashback" && row["version"] == "2").then_some(row)
        })
        .await;
        assert_eq!(verified["ai_llm_id"], key.as_str());
        assert_eq!(verified["target"], "stored-key");
        let since: Vec<_> = sandbox.journal().into_iter().skip(before).collect();
        let count = |operation| {
            since
                .iter()
                .filter(|entry| entry.operation == operation)
                .count()
        };
        assert_eq!(count(Operation::UpdateStoredKey), 1);
        assert_eq!(count(Operation::Update) + count(Operation::Create), 0);
        let asked: Vec<_> = since
            .iter()
            .filter(|entry| entry.operation == Operation::Validate)
            .collect();
        assert_eq!(asked.len(), 3);
        for user in &users {
            assert!(
                asked
                    .iter()
                    .any(|entry| entry.ai_llm_id.as_ref() == Some(user))
            );
        }
        rotator
            .event("acknowledged", |line| line["version"] == "2")
            .await;
        assert_eq!(sandbox.stored_keys()[0].description(), Some("shared"));
        let history = rotator.json(&["history"]).await;
        let first = &history["events"][0];
        assert_eq!(
            (&first["action"], &first["ai_llm_id"]),
            (&json!("adopt"), &json!(key))
        );
    }
}

/// One of the configurations does not work with the new key: the old one goes back in for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_fails_in_one_place_is_rolled_back_as_one() {
    let bao = OpenBao::shared().await;
    let points = [
        None,
        Some("intent_recorded:2"),
        Some("answer_received:2"),
        Some("outcome_recorded:2"),
        Some("validation_answered@after:2"),
        Some("verdict_recorded@after:2"),
        Some("turn_back_recorded"),
        Some("older_read"),
        Some("intent_recorded:3"),
        Some("answer_received:3"),
        Some("outcome_recorded:3"),
        Some("validation_answered@back"),
        Some("verdict_recorded@back"),
    ];
    let runs = points.iter().enumerate().map(|(number, point)| async move {
        let what = format!("{point:?}");
        let sandbox = sandbox(Options::default()).await;
        let (_, users) = shared(&sandbox);
        let path = format!("stored-back-{number}");
        bao.put_kv2("secret", &path, json!({"key": "sk-one"})).await;
        let mut rotator = rotator(&sandbox, bao, &path, "description = \"shared\"").await;
        let kill: Vec<_> = point
            .iter()
            .map(|point| ("FLASHBACK_ROTATOR_KILL_AT", *point))
            .collect();
        rotator.start_with(&kill);
        stores(&sandbox, "sk-one").await;
        eventually("verified", || async {
            (row(&rotator, "a").await["verified_by"] == "flashback").then_some(())
        })
        .await;
        // It works in two of the three.
        let refused = users[1].clone();
        sandbox.change(|switches| {
            switches.refused_configurations.insert(refused.clone());
        });
        bao.put_kv2("secret", &path, json!({"key": "sk-two"})).await;
        if point.is_some() {
            let status = rotator.ended().await;
            assert!(!status.success(), "{what}");
        } else {
            stores(&sandbox, "sk-two").await;
        }
        // The old key works there, once it is back.
        let taken_back = sha256_hex("sk-one");
        let watcher = async {
            eventually("the old key is back", || async {
                (held(&sandbox) == taken_back
                    && requests(&sandbox, Operation::UpdateStoredKey).len() >= 3)
                    .then_some(())
            })
            .await;
            sandbox.change(|switches| switches.refused_configurations.clear());
        };
        if point.is_some() {
            rotator.start();
        }
        watcher.await;
        let row = stands(&rotator, "a", "held").await;
        assert_eq!(held(&sandbox), taken_back, "{what}: {row}");
        assert_eq!(row["held_version"], "2", "{what}");
        assert_eq!(requests(&sandbox, Operation::Update).len(), 0, "{what}");
        assert_eq!(sandbox.stored_keys().len(), 1, "{what}");
    });
    futures_util::future::join_all(runs).await;
}

/// Without `create` none is made; with it one is, and a lost answer makes no second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_key_is_made_where_that_is_asked_for_and_once() {
    let key = |create: &str| {
        format!(
            "[keys.a]\ntarget = \"stored-key\"\ndescription = \"made\"\n{create}ai_type = \"OPENAI\"\nsource = \"files\"\npath = \"a\"\n"
        )
    };
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", key("")));
    rotator.put("a", "sk-one");
    let plan = rotator.json(&["plan"]).await;
    let why = plan["keys"][0]["error"].as_str().unwrap_or_default();
    assert!(why.contains("`create = true`"), "{plan}");
    rotator.start();
    let row = stands(&rotator, "a", "failing").await;
    assert!(
        row["error"]
            .as_str()
            .is_some_and(|why| why.contains("`create = true`")),
        "{row}"
    );
    assert!(sandbox.stored_keys().is_empty());
    rotator.stop().await;

    sandbox.fail(
        Rule::new(flashback_rotator::flashback::sandbox::Fault::LoseAnswer)
            .on(Operation::CreateStoredKey),
    );
    rotator.configure(
        &sandbox.url(),
        &format!("{QUICK}{}", key("create = true\n")),
    );
    rotator.start();
    stores(&sandbox, "sk-one").await;
    stands(&rotator, "a", "in_sync").await;
    assert_eq!(sandbox.stored_keys().len(), 1);
    assert_eq!(requests(&sandbox, Operation::CreateStoredKey).len(), 1);
}

/// A configuration that somebody attaches to a stored key is not written to, is not called verified,
/// and is told of with the remedy; detached, it is the key's again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_a_stored_key_is_left_alone() {
    let sandbox = sandbox(Options::default()).await;
    let config = format!("{QUICK}refused = \"2s\"\n{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    stands(&rotator, "a", "in_sync").await;
    let id = sandbox.configurations()[0].ai_llm_id.clone();
    let (key, _) = shared(&sandbox);
    assert!(sandbox.edit(&id, "user-7", json!({"apiKeyUuid": key})));
    let row = stands(&rotator, "a", "failing").await;
    let why = row["error"].as_str().expect("a reason");
    assert!(
        why.contains(&key) && why.contains("target = \"stored-key\""),
        "{why}"
    );
    assert_eq!(row["verified_by"], Value::Null);
    let before = requests(&sandbox, Operation::Update).len();
    rotator.put("a", "sk-two");
    rotator.event("rotation_detected", |_| true).await;
    let forced = rotator.json(&["sync", "--force"]).await;
    assert_eq!(forced["keys"][0]["action"], "error", "{forced}");
    assert_eq!(requests(&sandbox, Operation::Update).len(), before);
    assert_eq!(held(&sandbox), sha256_hex("sk-old"));
}
