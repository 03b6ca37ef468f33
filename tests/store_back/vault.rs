//! Writing into KV 2 and KV 1 of a real OpenBao.

use std::collections::BTreeMap;
use std::sync::Arc;

use flashback_rotator::credential::{Plain, SecretRef};
use flashback_rotator::model::SourceId;
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::source::vault::{
    KvVersion, VaultAuth, VaultConfig, VaultCredentials, VaultLook, VaultSource,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::cutting::Cutting;
use super::*;
use crate::support::eventually;
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::policies::policy;
use crate::support::upstreams::upstream;

const PATH: &str = "llm/openai";

fn source(address: &str, mount: &str, kv_version: KvVersion, token: &str) -> VaultSource {
    let config = VaultConfig {
        address: address.to_owned(),
        namespace: None,
        mount: mount.to_owned(),
        kv_version,
        look: VaultLook::Metadata,
        ca_file: None,
        auth: VaultAuth::Token {
            token: SecretRef::Env("UNUSED".to_owned()),
        },
    };
    let token = VaultCredentials::Token {
        token: Arc::new(Plain(token.to_owned())),
    };
    let (id, fingerprinter) = (SourceId::new("vault"), Fingerprinter::new([7; 32]));
    VaultSource::new(id, config, token, fingerprinter, upstream("vault")).expect("usable")
}

/// A mount of its own, and a source with the root token.
async fn mounted(mount: &str, kv_version: KvVersion) -> (&'static OpenBao, VaultSource) {
    let bao = OpenBao::shared().await;
    bao.mount_kv(mount, if kv_version == KvVersion::V1 { 1 } else { 2 })
        .await;
    (bao, source(&bao.address, mount, kv_version, ROOT))
}

/// A token with these rules alone.
async fn with_rules(bao: &OpenBao, mount: &str, rules: &str) -> String {
    let rules = rules.replace("\"secret/", &format!("\"{mount}/"));
    bao.write_policy(mount, &rules).await;
    bao.create_token(json!({"policies": [mount], "no_default_policy": true}))
        .await
}

async fn data(bao: &OpenBao, mount: &str) -> Value {
    bao.ok("GET", &format!("{mount}/data/{PATH}"), Value::Null)
        .await["data"]
        .take()
}

/// What else a secret has, which must survive.
const PLAIN: &str =
    r#""n":9007199254740992,"nested":{"deep":["ü\n",null,true]},"uni":"ключ 🔑 \u0000""#;

/// Numbers that no floating-point number holds.
const NUMBERS: &str = r#""big":123456789012345678901234567890,"price":1.10,"odd":9007199254740993"#;

/// Writes a secret as a text, so that numbers arrive as they are written.
async fn put_text(bao: &OpenBao, place: &str, body: String) {
    let url = format!("{}/v1/{place}", bao.address);
    eventually("a write", || async {
        let sent = crate::support::client()
            .post(&url)
            .header("X-Vault-Token", ROOT)
            .body(body.clone())
            .send()
            .await
            .expect("an answer");
        sent.status().is_success().then_some(())
    })
    .await;
}

async fn text(bao: &OpenBao, place: &str) -> String {
    let url = format!("{}/v1/{place}", bao.address);
    let asked = crate::support::client()
        .get(&url)
        .header("X-Vault-Token", ROOT);
    let answer = asked.send().await.expect("an answer");
    answer.text().await.expect("a text")
}

/// The other fields in an answer, as they are written there.
fn rest(answer: &str) -> Vec<String> {
    let mut answer: BTreeMap<String, Box<RawValue>> = serde_json::from_str(answer).expect("JSON");
    let mut data = answer.remove("data").expect("data");
    let inner: BTreeMap<String, Box<RawValue>> = serde_json::from_str(data.get()).expect("JSON");
    if let Some(inner) = inner.get("data") {
        data = inner.clone();
    }
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(data.get()).expect("JSON");
    let others = fields.iter().filter(|(name, _)| *name != "key");
    others
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[tokio::test]
async fn kv2_gets_the_next_version_with_every_other_field_and_the_metadata_as_they_were() {
    let patch = policy("vault-rotate.hcl");
    let update = patch.replace("\"patch\"", "\"update\"");
    let both = patch.replace("\"patch\"", "\"patch\", \"update\"");
    for (mount, rules, others) in [
        ("store-patch", &patch, PLAIN.to_owned()),
        ("store-update", &update, format!("{PLAIN},{NUMBERS}")),
        ("store-numbers", &both, format!("{PLAIN},{NUMBERS}")),
    ] {
        let (bao, root) = mounted(mount, KvVersion::V2).await;
        let place = format!("{mount}/data/{PATH}");
        let body = format!("{{\"data\":{{\"key\":\"sk-old\",{others}}}}}");
        put_text(bao, &place, body).await;
        let metadata = format!("{mount}/metadata/{PATH}");
        let custom = json!({"custom_metadata": {"owner": "ai", "flashback_live_version": "1"}});
        bao.ok("POST", &metadata, custom).await;
        let token = with_rules(bao, mount, &(policy("vault.hcl") + rules)).await;
        let source = source(&bao.address, mount, KvVersion::V2, &token);

        let before = rest(&text(bao, &place).await);
        let first = version(&root, PATH).await;
        let second = stored(store(&source, PATH, Some(&first)).await);
        assert_eq!(second, version(&root, PATH).await, "{mount}");
        assert_eq!(second.number(), Some(2));
        assert_eq!(value(&source, PATH, "key").await, NEW);
        assert_eq!(rest(&text(bao, &place).await), before, "{mount}");
        let kept = bao.ok("GET", &metadata, Value::Null).await;
        let expected = json!({"owner": "ai", "flashback_live_version": "1"});
        assert_eq!(kept["data"]["custom_metadata"], expected);
        // A repeated call finds what it has written.
        assert_eq!(stored(store(&source, PATH, Some(&first)).await), second);
        assert_eq!(version(&root, PATH).await, second);
    }
}

#[tokio::test]
async fn kv2_pointers_into_objects_lists_and_two_fields_are_written() {
    let (bao, source) = mounted("store-pointers", KvVersion::V2).await;
    for (key, secret) in [
        (None, "/openai/key"),
        (None, "/list/1"),
        (Some("id"), "/openai/key"),
        (Some("id"), "plain"),
    ] {
        let old = json!({"id": "AK-old", "plain": "p", "openai": {"key": "k", "n": 1}, "list": ["a", "b"]});
        bao.put_kv2("store-pointers", PATH, old).await;
        let first = version(&source, PATH).await;
        let new = Replacement {
            expected: Some(&first),
            fields: &fields(key, Some(secret)),
            credentials: &Credentials {
                key: key.map(|_| Secret::new("AK-new".to_owned())),
                ..credentials(NEW)
            },
            token: TOKEN,
        };
        stored(source.store(PATH, &new).await);
        let now = data(bao, "store-pointers").await["data"].take();
        let pointer = format!("/{}", secret.trim_start_matches('/'));
        assert_eq!(now.pointer(&pointer), Some(&json!(NEW)), "{secret}");
        assert_eq!(now["openai"]["n"], 1);
        assert_eq!(now["list"][0], "a");
        let id = if key.is_some() { "AK-new" } else { "AK-old" };
        assert_eq!(now["id"], id);
    }
}

#[tokio::test]
async fn kv2_writes_over_no_version_but_the_expected_one() {
    let (bao, source) = mounted("store-conflict", KvVersion::V2).await;
    bao.put_kv2("store-conflict", PATH, json!({"key": "sk-1"}))
        .await;
    let first = version(&source, PATH).await;
    bao.put_kv2("store-conflict", PATH, json!({"key": "sk-theirs"}))
        .await;
    let conflict = Ok(StoreOutcome::Conflict);
    assert_eq!(store(&source, PATH, Some(&first)).await, conflict);
    assert_eq!(store(&source, PATH, None).await, conflict);
    // The number alone is not the version: the secret was deleted and made again.
    let second = version(&source, PATH).await;
    let metadata = format!("store-conflict/metadata/{PATH}");
    bao.ok("DELETE", &metadata, Value::Null).await;
    assert_eq!(store(&source, PATH, Some(&second)).await, conflict);
    for again in ["sk-a", "sk-b"] {
        bao.put_kv2("store-conflict", PATH, json!({ "key": again }))
            .await;
    }
    assert_eq!(store(&source, PATH, Some(&second)).await, conflict);
    assert_eq!(value(&source, PATH, "key").await, "sk-b");
}

#[tokio::test]
async fn kv2_makes_a_secret_that_is_not_there_or_is_deleted() {
    let (bao, source) = mounted("store-new", KvVersion::V2).await;
    bao.put_kv2("store-new", "other", json!({"ready": "yes"}))
        .await;
    let first = stored(store(&source, PATH, None).await);
    assert_eq!(first, version(&source, PATH).await);
    assert_eq!(first.number(), Some(1));
    let place = format!("store-new/data/{PATH}");
    bao.ok("DELETE", &place, Value::Null).await;
    let conflict = Ok(StoreOutcome::Conflict);
    assert_eq!(store(&source, PATH, Some(&first)).await, conflict);
    let second = stored(store_as(&source, PATH, None, "sk-2", OTHER).await);
    assert_eq!(second, version(&source, PATH).await);
    assert_eq!(second.number(), Some(2));
    assert_eq!(value(&source, PATH, "key").await, "sk-2");
    // Vault keeps objects alone.
    let new = Replacement {
        expected: None,
        fields: &FieldMap::default(),
        credentials: &credentials(NEW),
        token: TOKEN,
    };
    let refused = source.store("llm/plain", &new).await.expect_err("refused");
    assert!(matches!(refused, SourceError::Invalid { .. }), "{refused}");
}

#[tokio::test]
async fn of_writers_at_the_same_time_one_writes_and_the_others_are_told() {
    let (bao, root) = mounted("store-race", KvVersion::V2).await;
    bao.put_kv2("store-race", PATH, json!({"key": "sk-1", "n": 1}))
        .await;
    for round in 0..10 {
        let before = version(&root, PATH).await;
        let value_of = |writer: u32| format!("sk-{round}-{writer}");
        let writers = (0..4).map(|writer| {
            let (before, root) = (&before, &root);
            async move {
                let value = format!("sk-{round}-{writer}");
                store_as(root, PATH, Some(before), &value, TOKEN).await
            }
        });
        let outcomes = futures_util::future::join_all(writers).await;
        let won: Vec<_> = (0..4)
            .filter(|writer| matches!(outcomes[*writer as usize], Ok(StoreOutcome::Stored(_))))
            .collect();
        let [winner] = won[..] else {
            panic!("{outcomes:?}");
        };
        let lost = outcomes
            .iter()
            .filter(|outcome| **outcome == Ok(StoreOutcome::Conflict));
        assert_eq!(lost.count(), 3, "{outcomes:?}");
        assert_eq!(value(&root, PATH, "key").await, value_of(winner));
        let number = before.number().expect("a number");
        assert_eq!(version(&root, PATH).await.number(), Some(number + 1));
    }
}

#[tokio::test]
async fn a_lost_answer_of_kv2_or_kv1_is_found_out_by_the_next_call() {
    for (mount, kv, mark) in [
        ("store-lost-2", KvVersion::V2, "PATCH /"),
        ("store-lost-1", KvVersion::V1, "POST /"),
    ] {
        let (bao, root) = mounted(mount, kv).await;
        match kv {
            KvVersion::V2 => drop(
                bao.put_kv2(mount, PATH, json!({"key": "sk-1", "n": 1}))
                    .await,
            ),
            KvVersion::V1 => {
                let place = format!("{mount}/{PATH}");
                bao.ok("POST", &place, json!({"key": "sk-1", "n": 1})).await;
            }
        }
        let cutting = Cutting::start(&bao.address, mark, 1).await;
        let source = source(&cutting.url, mount, kv, ROOT);
        let first = version(&root, PATH).await;
        let error = store(&source, PATH, Some(&first))
            .await
            .expect_err("no answer");
        assert!(!error.is_certain(), "{error:?}");
        assert_eq!(cutting.left(), 0);
        assert_eq!(value(&root, PATH, "key").await, NEW, "it was written");
        let written = version(&root, PATH).await;
        let again = eventually("the circuit is closed", || async {
            store(&source, PATH, Some(&first)).await.ok()
        })
        .await;
        assert_eq!(again, StoreOutcome::Stored(written.clone()));
        assert_eq!(version(&root, PATH).await, written, "once");
    }
}

#[tokio::test]
async fn a_policy_that_lacks_writing_is_told_by_the_capability_before_and_after() {
    let (bao, root) = mounted("store-denied", KvVersion::V2).await;
    bao.put_kv2("store-denied", PATH, json!({"key": "sk-1"}))
        .await;
    let first = version(&root, PATH).await;
    let ask = "\npath \"sys/capabilities-self\" { capabilities = [\"update\"] }\n";
    let place = format!("`store-denied/data/{PATH}`");
    for (rules, needs) in [
        (policy("vault.hcl"), Some("`patch` (or else `update`)")),
        (policy("vault.hcl") + &policy("vault-rotate.hcl"), None),
    ] {
        for ask in ["", ask] {
            let token = with_rules(bao, "store-denied", &(rules.clone() + ask)).await;
            let source = source(&bao.address, "store-denied", KvVersion::V2, &token);
            let may = source.may_store(PATH).await;
            match needs.filter(|_| !ask.is_empty()) {
                Some(needs) => {
                    let error = may.expect_err("denied").to_string();
                    assert!(error.contains(needs) && error.contains(&place), "{error}");
                }
                // Without the right to ask, nothing is known.
                None => assert_eq!(may, Ok(())),
            }
            if let Some(needs) = needs {
                let error = store(&source, PATH, Some(&first))
                    .await
                    .expect_err("denied");
                assert!(error.is_certain() && matches!(error, SourceError::Denied { .. }));
                let (error, lacks) = (error.to_string(), format!("lack {needs} on {place}"));
                assert!(error.contains(&lacks), "{error}");
            }
        }
    }
    assert_eq!(root.may_store(PATH).await, Ok(()));
    assert_eq!(version(&root, PATH).await, first);
}

#[tokio::test]
async fn kv1_is_written_whole_over_the_expected_content_alone() {
    let (bao, root) = mounted("store-kv1", KvVersion::V1).await;
    let place = format!("store-kv1/{PATH}");
    put_text(
        bao,
        &place,
        format!("{{\"key\":\"sk-old\",{PLAIN},{NUMBERS}}}"),
    )
    .await;
    let before = rest(&text(bao, &place).await);
    let rules = format!(
        "path \"{place}\" {{ capabilities = [\"read\", \"update\"] }}\npath \"sys/capabilities-self\" {{ capabilities = [\"update\"] }}"
    );
    let token = with_rules(bao, "store-kv1", &(policy("vault.hcl") + &rules)).await;
    let source = source(&bao.address, "store-kv1", KvVersion::V1, &token);
    assert_eq!(source.may_store(PATH).await, Ok(()));
    let first = version(&root, PATH).await;
    let second = stored(store(&source, PATH, Some(&first)).await);
    assert_eq!(second, version(&root, PATH).await);
    assert_eq!(value(&source, PATH, "key").await, NEW);
    assert_eq!(rest(&text(bao, &place).await), before);
    assert_eq!(stored(store(&source, PATH, Some(&first)).await), second);
    let theirs = store_as(&source, PATH, Some(&first), "sk-other", OTHER).await;
    assert_eq!(theirs, Ok(StoreOutcome::Conflict));
    assert_eq!(value(&source, PATH, "key").await, NEW);
    let made = stored(store(&root, "llm/made", None).await);
    assert_eq!(made, version(&root, "llm/made").await);
}
