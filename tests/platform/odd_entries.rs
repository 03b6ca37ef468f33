//! An entry of a list that is not as the reference says hides none of those beside it.

use flashback_rotator::flashback::sandbox::{OddEntry, Oddity, Operation, Options, sha256_hex};
use serde_json::{Value, json};

use super::{OFTEN, stands};
use crate::support::get;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

/// What stands beside the keys: an entry, and whether it can be read.
fn entries() -> Vec<(&'static str, Value, bool)> {
    let entry = |change: Value| {
        let mut entry = json!({
            "id": "5a4db0c5-1111-4000-8000-000000000001", "orgId": "o", "workspaceId": "w",
            "userId": "u", "name": "somebody's", "aiType": "OPENAI", "endpoint": "https://e",
            "key": null, "createdAt": "2026-11-28T10:00:00Z", "repos": [],
        });
        for (field, value) in change.as_object().expect("fields") {
            match value {
                Value::String(text) if text == "absent" => {
                    entry.as_object_mut().expect("an object").remove(field);
                }
                value => entry[field] = value.clone(),
            }
        }
        entry
    };
    vec![
        ("endpoint null", entry(json!({"endpoint": null})), true),
        (
            "endpoint absent",
            entry(json!({"endpoint": "absent"})),
            true,
        ),
        ("workspace null", entry(json!({"workspaceId": null})), true),
        (
            "workspace absent",
            entry(json!({"workspaceId": "absent"})),
            true,
        ),
        ("type null", entry(json!({"aiType": null})), true),
        ("type unknown", entry(json!({"aiType": "MISTRAL"})), true),
        ("type a number", entry(json!({"aiType": 7})), true),
        ("name null", entry(json!({"name": null})), false),
        ("name absent", entry(json!({"name": "absent"})), false),
        ("id a number", entry(json!({"id": 4711})), false),
        (
            "id too long",
            entry(json!({"id": "i".repeat(70_000)})),
            false,
        ),
        ("id absent", entry(json!({"id": "absent"})), false),
        ("null", json!(null), false),
        ("a text", json!("canary-entry"), false),
        ("a list", json!([[1, 2]]), false),
        (
            "name too long",
            entry(json!({"name": "canary-".repeat(100)})),
            false,
        ),
    ]
}

/// One daemon a kind of entry: a new key is created, one is adopted, one is repaired, and
/// `check --connect` says at which position something cannot be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_an_odd_entry_keys_are_created_adopted_and_repaired() {
    let runs = entries().into_iter().map(|(what, entry, readable)| async move {
        let sandbox = sandbox(Options::default()).await;
        sandbox.insert("w", json!({"name": "adopted", "aiType": "OPENAI", "endpoint": "https://api.openai.com/v1", "secret": "old"}));
        sandbox.change(|switches| {
            switches.odd_entries.push(OddEntry {
                operation: Operation::List,
                at: 0,
                make: Oddity::Insert(entry),
            });
        });
        let keys: String = ["created", "adopted", "repaired"].map(file_key).concat();
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{keys}"));
        rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
        for key in ["created", "adopted", "repaired"] {
            rotator.put(key, &format!("sk-{key}"));
        }
        rotator.start();
        for key in ["created", "adopted", "repaired"] {
            arrives(&sandbox, key, &format!("sk-{key}")).await;
            stands(&rotator, key, "in_sync").await;
        }
        assert_eq!(sandbox.configurations().len(), 3, "{what}");
        assert_eq!(rotator.count("config_adopted"), 1, "{what}");
        let all = sandbox.configurations();
        let ours = all.iter().find(|one| one.name == "repaired").expect("made");
        assert!(sandbox.edit(&ours.ai_llm_id, "user-7", json!({"endpoint": "https://elsewhere.example"})), "{what}");
        rotator.event("drift_repaired", |line| line["key"] == "repaired").await;

        let check = rotator.command(&["check", "--connect"]).await;
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.success(), "{what}: {said}");
        assert_eq!(said.contains("entry 1 cannot be read"), !readable, "{what}: {said}");
        let incomplete: Vec<_> = rotator.events().into_iter().filter(|line| line["event"] == "listing_incomplete").collect();
        assert_eq!(incomplete.len(), usize::from(!readable), "{what}: said once");
        let metrics = get(format!("{}/metrics", rotator.http().await)).await.expect("an answer");
        let metrics = metrics.text().await.expect("a text");
        let line = format!("flashback_rotator_listing_unreadable_entries{{workspace_id=\"w\"}} {}", usize::from(!readable));
        assert!(metrics.contains(&line), "{what}: {metrics}");
        assert!(!format!("{}{said}{metrics}", rotator.log()).contains("canary-"), "{what}");
    });
    futures_util::future::join_all(runs).await;
}

/// The same of the list of stored keys: one is rotated, and one is created.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_an_odd_stored_key_others_are_rotated_and_created() {
    let entry = |id: Value, description: Value| json!({"id": id, "key": null, "provider": 7, "description": description, "createdAt": "?"});
    let entries = [
        (entry(json!("id-1"), Value::Null), true),
        (entry(json!("id-1"), json!(7)), true),
        (entry(json!(4711), json!("theirs")), false),
        (entry(Value::Null, json!("theirs")), false),
        (Value::Null, false),
    ];
    let runs = entries.map(|(entry, readable)| async move {
        let what = entry.to_string();
        let sandbox = sandbox(Options::default()).await;
        super::stored_keys::shared(&sandbox);
        sandbox.change(|switches| {
            switches.odd_entries.push(OddEntry {
                operation: Operation::ListStoredKeys,
                at: 0,
                make: Oddity::Insert(entry),
            });
        });
        let keys: String = ["shared", "created"]
            .map(|key| format!("{}target = \"stored-key\"\ncreate = true\n", file_key(key)))
            .map(|key| key.replace("\nname =", "\ndescription ="))
            .concat();
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{keys}"));
        for key in ["shared", "created"] {
            rotator.put(key, &format!("sk-{key}"));
        }
        rotator.start();
        for key in ["shared", "created"] {
            stands(&rotator, key, "in_sync").await;
        }
        let held = sandbox
            .stored_keys()
            .into_iter()
            .map(|key| key.secret_sha256);
        let held: Vec<_> = held.collect();
        assert_eq!(held, ["sk-shared", "sk-created"].map(sha256_hex), "{what}");
        let incomplete = rotator.count("listing_incomplete");
        assert_eq!(incomplete, usize::from(!readable), "{what}");
    });
    futures_util::future::join_all(runs).await;
}

/// An access key that a configuration had before it was adopted is taken away, where this key has none; an
/// endpoint in other letters is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopts_without_a_left_over_access_key() {
    let sandbox = sandbox(Options::default()).await;
    let theirs = json!({"name": "a", "aiType": "OPENAI", "endpoint": "HTTPS://API.OpenAI.com:443/v1/",
        "key": "AKIA-left-over", "secret": "old"});
    sandbox.insert("w", theirs);
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
    rotator.watch_edits("off");
    rotator.put("a", "sk-a");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    rotator.event("config_adopted", |_| true).await;
    let adopted = &sandbox.configurations()[0];
    assert_eq!(adopted.secret_sha256, sha256_hex("sk-a"));
    assert_eq!(adopted.key_sha256, None);

    let id = adopted.ai_llm_id.clone();
    let same = json!({"endpoint": "HTTPS://API.OpenAI.com:443/v1/"});
    assert!(sandbox.edit(&id, "user-7", same));
    let lists = || super::requests(&sandbox, Operation::List).len();
    let before = lists();
    crate::support::eventually("the list is compared", || async {
        (lists() >= before + 3).then_some(())
    })
    .await;
    assert_eq!(rotator.count("drift_repaired"), 0, "{}", rotator.log());
}

/// An entry of the key's own whose type somebody changed to one that is not known is still its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_entry_of_an_unknown_type_is_put_right() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
    rotator.put("a", "sk-a");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    sandbox.change(|switches| {
        switches.odd_entries.push(OddEntry {
            operation: Operation::List,
            at: 0,
            make: Oddity::Set(
                json!({"aiType": "NEW_ONE"})
                    .as_object()
                    .expect("fields")
                    .clone(),
            ),
        });
    });
    let repaired = rotator.event("drift_repaired", |_| true).await;
    assert!(
        repaired["reason"]
            .as_str()
            .is_some_and(|why| why.contains("ai_type")),
        "{repaired}"
    );
    assert_eq!(sandbox.configurations().len(), 1);
}

/// A workspace that cannot be listed shows as such, and keeps no rotation back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlistable_workspace_is_reported_and_blocks_no_rotation() {
    use flashback_rotator::flashback::sandbox::Rule;
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.environment.push((OFTEN.0.into(), OFTEN.1.into()));
    rotator.put("a", "sk-one");
    rotator.start();
    stands(&rotator, "a", "in_sync").await;
    let broken = r#"{"success":true,"aiLlms":"#;
    sandbox.fail(Rule::page(200, "application/json", broken).on(Operation::List));
    rotator.event("listing_incomplete", |_| true).await;
    crate::support::eventually("status tells of it", || async {
        let row = super::row(&rotator, "a").await;
        let told = row["error"]
            .as_str()
            .is_some_and(|error| error.contains("does not list"));
        (told && row["state"] == "in_sync").then_some(())
    })
    .await;
    let http = rotator.http().await;
    for (page, words) in [
        (
            "/metrics",
            "flashback_rotator_workspace_listed{workspace_id=\"w\"} 0",
        ),
        ("/", "does not list"),
    ] {
        let answer = get(format!("{http}{page}")).await.expect("an answer");
        let text = answer.text().await.expect("a text");
        assert!(text.contains(words), "{page}: {text}");
    }
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    assert_eq!(
        sandbox.configurations()[0].secret_sha256,
        sha256_hex("sk-two")
    );
    assert_eq!(rotator.count("listing_incomplete"), 1);
}
