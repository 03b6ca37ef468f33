//! Looks at all keys of a folder with one call.

use flashback_rotator::model::Missing;
use serde_json::json;

use super::*;

const KEYS: usize = 20;

async fn fill(bao: &OpenBao, mount: &str) {
    bao.mount_kv(mount, 2).await;
    for key in 0..KEYS {
        bao.put_kv2(mount, &path(key), json!({"key": "sk-one"}))
            .await;
    }
}

fn path(key: usize) -> String {
    format!("llm/{key}")
}

/// Observes all keys at once, and returns the numbers of their versions; 0 for one that is missing.
async fn turn(bench: &Bench) -> Vec<u64> {
    let all = (0..KEYS).map(|key| async move {
        match bench.observe(&path(key)).await {
            Observation::Present { version, .. } => version.number().expect("a number"),
            Observation::Missing(_) => 0,
        }
    });
    futures_util::future::join_all(all).await
}

fn bench(bao: &OpenBao, mount: &str, look: VaultLook, with: &str) -> Bench {
    let mut config = config(&bao.address, mount);
    config.look = look;
    Bench::new(config, token(with))
}

#[tokio::test]
async fn one_list_a_turn_sees_what_looks_at_each_see() {
    let bao = OpenBao::shared().await;
    fill(bao, "turns").await;
    let bench = bench(bao, "turns", VaultLook::Auto, ROOT);
    assert_eq!(turn(&bench).await, [1; KEYS]);
    let alone = bench.calls("read_metadata");
    assert_eq!((alone, bench.calls("list_details")), (KEYS as u64, 0));
    bao.put_kv2("turns", &path(3), json!({"key": "sk-two"}))
        .await;
    let mut expected = vec![1; KEYS];
    expected[3] = 2;
    assert_eq!(turn(&bench).await, expected);
    assert_eq!(bench.calls("list_details"), 1);
    assert_eq!(bench.calls("read_metadata"), alone);

    // Observed again at once, as after a push, and told of by a person.
    bao.put_kv2("turns", &path(3), json!({"key": "sk-three"}))
        .await;
    assert_eq!(bench.version(&path(3)).await.number(), Some(3));
    bao.put_kv2("turns", &path(4), json!({"key": "sk-two"}))
        .await;
    let anew = bench.source.observe_anew(&path(4)).await.expect("a look");
    assert!(matches!(&anew, Observation::Present { version, .. } if version.number() == Some(2)));

    // Deleted, destroyed and gone, each as a look at it alone shows it.
    for (method, place, body) in [
        ("DELETE", "data/llm/5", json!(null)),
        ("PUT", "destroy/llm/6", json!({"versions": [1]})),
        ("DELETE", "metadata/llm/7", json!(null)),
    ] {
        bao.ok(method, &format!("turns/{place}"), body).await;
    }
    turn(&bench).await;
    for (key, missing) in [
        (5, Missing::Deleted),
        (6, Missing::Destroyed),
        (7, Missing::NotFound),
    ] {
        assert_eq!(
            bench.observe(&path(key)).await,
            Observation::Missing(missing)
        );
    }
}

#[tokio::test]
async fn looks_at_each_take_over_where_the_policy_has_no_list() {
    let bao = OpenBao::shared().await;
    fill(bao, "unlisted").await;
    let rules = r#"path "unlisted/metadata/*" { capabilities = ["read"] }"#;
    bao.write_policy("unlisted", rules).await;
    let narrow = bao.create_token(json!({"policies": ["unlisted"]})).await;
    let auto = bench(bao, "unlisted", VaultLook::Auto, &narrow);
    for _ in 0..3 {
        assert_eq!(turn(&auto).await, [1; KEYS]);
    }
    assert_eq!(auto.calls("list_details"), 1);
    assert_eq!(auto.calls("read_metadata"), 3 * KEYS as u64);

    let list = bench(bao, "unlisted", VaultLook::List, &narrow);
    let error = list.source.observe(&path(0)).await.expect_err("no list");
    let error = error.to_string();
    for words in [
        "`list` on `unlisted/detailed-metadata/llm/`",
        "look = \"list\"",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_secret_that_the_policy_hides_in_lists_is_not_missing() {
    let bao = OpenBao::shared().await;
    fill(bao, "hidden").await;
    let rules = r#"
        path "hidden/metadata/*" { capabilities = ["read"] }
        path "hidden/detailed-metadata/llm/" {
            capabilities = ["list"]
            list_scan_response_keys_filter_path = "hidden/nothing/{{ .key }}"
        }"#;
    bao.write_policy("hidden", rules).await;
    let narrow = bao.create_token(json!({"policies": ["hidden"]})).await;
    let bench = bench(bao, "hidden", VaultLook::Auto, &narrow);
    for _ in 0..2 {
        assert_eq!(turn(&bench).await, [1; KEYS]);
    }
    assert_eq!(bench.calls("list_details"), 1);
}
