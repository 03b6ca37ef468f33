//! What the engines hold, and what a policy lets us see of it.

use chrono::{Duration as Span, Utc};
use flashback_rotator::model::Missing;
use serde_json::{Value, json};

use super::*;
use crate::support::eventually;

const PATH: &str = "llm/openai";

#[tokio::test]
async fn observe_finds_each_version_and_read_its_value() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-look", 2).await;
    let bench = Bench::root(bao, "kv-look");
    bao.put_kv2("kv-look", PATH, json!({"key": "sk-1"})).await;
    let first = bench.version(PATH).await;
    assert_eq!(first.number(), Some(1));
    assert_eq!(bench.version(PATH).await, first, "nothing changed");
    bao.put_kv2("kv-look", PATH, json!({"key": "sk-2"})).await;
    assert_eq!(bench.version(PATH).await.number(), Some(2));
    assert_eq!(bench.value(PATH).await, "sk-2");

    let Reading::Present {
        version,
        written_at,
        document,
    } = bench.source.read(PATH, &first).await.expect("a read")
    else {
        panic!("version 1 is there");
    };
    assert_eq!(version, first, "that very version is read");
    let age = Utc::now() - written_at.expect("a time");
    assert!(age >= Span::zero() && age < Span::minutes(5), "{age}");
    assert_eq!(document.field("key").expect("a key").expose(), "sk-1");
}

#[tokio::test]
async fn observe_makes_a_single_metadata_request() {
    let bao = OpenBao::start_with(|directory| {
        let log = directory.join("audit.log");
        format!(
            "audit \"file\" \"log\" {{ options = {{ file_path = \"{}\" }} }}",
            log.display()
        )
    })
    .await;
    bao.put_kv2("secret", PATH, json!({"key": "sk-1"})).await;
    let bench = Bench::root(&bao, "secret");
    bench.source.connect().await.expect("signed in");
    let requests = || {
        let log = std::fs::read_to_string(bao.directory.path().join("audit.log")).expect("a log");
        log.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|entry| entry["type"] == "response")
            .map(|entry| {
                entry["request"]["path"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let before = requests().len();
    for _ in 0..5 {
        bench.observe(PATH).await;
    }
    let made = requests().split_off(before);
    assert_eq!(made, vec![format!("secret/metadata/{PATH}"); 5]);
}

#[tokio::test]
async fn distinguishes_deleted_destroyed_undeleted_and_absent_versions() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-gone", 2).await;
    let bench = Bench::root(bao, "kv-gone");
    let missing = |reason| Observation::Missing(reason);
    assert_eq!(bench.observe(PATH).await, missing(Missing::NotFound));
    bao.put_kv2("kv-gone", PATH, json!({"key": "sk-1"})).await;
    let version = bench.version(PATH).await;
    let read = async || match bench.source.read(PATH, &version).await.expect("a read") {
        Reading::Missing(reason) => Some(reason),
        Reading::Present { .. } => None,
    };

    let versions = json!({"versions": [1]});
    bao.ok("POST", &format!("kv-gone/delete/{PATH}"), versions.clone())
        .await;
    assert_eq!(bench.observe(PATH).await, missing(Missing::Deleted));
    assert_eq!(read().await, Some(Missing::Deleted));

    bao.ok(
        "POST",
        &format!("kv-gone/undelete/{PATH}"),
        versions.clone(),
    )
    .await;
    assert_eq!(bench.version(PATH).await, version);
    assert_eq!(read().await, None);

    bao.ok("POST", &format!("kv-gone/destroy/{PATH}"), versions)
        .await;
    assert_eq!(bench.observe(PATH).await, missing(Missing::Destroyed));
    assert_eq!(read().await, Some(Missing::Destroyed));

    let custom = json!({"custom_metadata": {"owner": "ai"}});
    bao.ok("POST", "kv-gone/metadata/empty", custom).await;
    assert_eq!(bench.observe("empty").await, missing(Missing::NoValueYet));
}

#[tokio::test]
async fn a_secret_that_was_deleted_whole_and_made_again_is_another_version() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-again", 2).await;
    let bench = Bench::root(bao, "kv-again");
    bao.put_kv2("kv-again", PATH, json!({"key": "sk-old"}))
        .await;
    let old = bench.version(PATH).await;
    bao.ok("DELETE", &format!("kv-again/metadata/{PATH}"), Value::Null)
        .await;
    bao.put_kv2("kv-again", PATH, json!({"key": "sk-new"}))
        .await;
    let new = bench.version(PATH).await;
    assert_eq!(new.number(), Some(1));
    assert_ne!(old, new, "its time tells it apart");
    let reading = bench.source.read(PATH, &old).await.expect("a read");
    let Reading::Present { version, .. } = reading else {
        panic!("a version 1 is there");
    };
    assert_eq!(version, new, "what is read is said truthfully");
}

#[tokio::test]
async fn kv_1_versions_are_derived_from_the_value() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-one", 1).await;
    let mut config = config(&bao.address, "kv-one");
    config.kv_version = KvVersion::V1;
    let bench = Bench::new(config, token(ROOT));
    let missing = Observation::Missing(Missing::NotFound);
    assert_eq!(bench.observe(PATH).await, missing);
    let put = async |value: &str| {
        let path = format!("kv-one/{PATH}");
        bao.ok("POST", &path, json!({ "key": value })).await;
        bench.version(PATH).await
    };
    let first = put("sk-1").await;
    assert_eq!(bench.value(PATH).await, "sk-1");
    let second = put("sk-2").await;
    assert_ne!(first, second);
    assert_eq!(
        put("sk-1").await,
        first,
        "the same value is the same version"
    );
    assert!(!first.as_str().contains("sk-1"));
}

#[tokio::test]
async fn denied_metadata_is_made_up_for_by_the_data() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-data", 2).await;
    bao.put_kv2("kv-data", PATH, json!({"key": "sk-1"})).await;
    bao.write_policy(
        "kv-data",
        "path \"kv-data/data/*\" { capabilities = [\"read\"] }",
    )
    .await;
    let limited = bao.create_token(json!({"policies": ["kv-data"]})).await;
    let bench = Bench::new(config(&bao.address, "kv-data"), token(&limited));
    let root = Bench::root(bao, "kv-data");
    assert_eq!(bench.version(PATH).await, root.version(PATH).await);
    for _ in 0..3 {
        bench.observe(PATH).await;
    }
    assert_eq!(bench.calls("read_metadata"), 1, "the denial is remembered");
    assert_eq!(bench.calls("read_data"), 4);
    assert_eq!(
        bench.observe("nothing").await,
        Observation::Missing(Missing::NotFound)
    );
    bao.ok("DELETE", &format!("kv-data/data/{PATH}"), Value::Null)
        .await;
    assert_eq!(
        bench.observe(PATH).await,
        Observation::Missing(Missing::Deleted)
    );
    assert_eq!(
        bench.calls("lookup_self"),
        1,
        "nobody doubts a token that reads"
    );
}

#[tokio::test]
async fn a_new_token_tries_metadata_again() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-retry", 2).await;
    bao.put_kv2("kv-retry", PATH, json!({"key": "sk-1"})).await;
    let grant = async |place: &str| {
        let rules = format!("path \"kv-retry/{place}/*\" {{ capabilities = [\"read\"] }}");
        bao.write_policy("kv-retry", &rules).await;
    };
    grant("data").await;
    let ids = bao
        .app_role("kv-retry", json!({"token_policies": "kv-retry"}))
        .await;
    let bench = Bench::new(config(&bao.address, "kv-retry"), app_role("kv-retry", &ids));
    let version = bench.version(PATH).await;
    grant("metadata").await;
    let leases = "sys/leases/revoke-prefix/auth/kv-retry/login";
    bao.ok("POST", leases, json!({})).await;
    assert_eq!(bench.version(PATH).await, version);
    let reads = bench.calls("read_data");
    assert_eq!(bench.version(PATH).await, version);
    assert_eq!(bench.calls("read_data"), reads, "metadata is enough again");
}

#[tokio::test]
async fn a_refused_path_names_the_permission_and_costs_no_sign_in() {
    let bao = OpenBao::shared().await;
    bao.mount_kv("kv-none", 2).await;
    bao.write_policy(
        "kv-none",
        "path \"kv-none/metadata/*\" { capabilities = [\"read\"] }",
    )
    .await;
    bao.put_kv2("kv-none", PATH, json!({"key": "sk-1"})).await;
    let ids = bao
        .app_role("kv-none", json!({"token_policies": "kv-none"}))
        .await;
    let bench = Bench::new(config(&bao.address, "kv-none"), app_role("kv-none", &ids));
    let version = bench.version(PATH).await;
    let error = bench
        .source
        .read(PATH, &version)
        .await
        .expect_err("data is denied");
    let needs = format!("`read` on `kv-none/data/{PATH}`");
    assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    assert!(error.to_string().contains(&needs), "{error}");

    bao.write_policy(
        "kv-none",
        "path \"elsewhere/*\" { capabilities = [\"read\"] }",
    )
    .await;
    for key in 0..10 {
        let path = format!("llm/{key}");
        let error = bench.source.observe(&path).await.expect_err("denied");
        for part in ["metadata", "data"] {
            let needs = format!("`read` on `kv-none/{part}/{path}`");
            assert!(error.to_string().contains(&needs), "{error}");
        }
    }
    assert_eq!(bench.calls("login"), 1);
    assert!(
        bench.calls("lookup_self") <= 3,
        "{}",
        bench.calls("lookup_self")
    );
    assert!(bench.outages.0.lock().is_empty());
}

#[tokio::test]
async fn a_wrong_mount_version_or_namespace_says_so() {
    let bao = OpenBao::shared().await;
    let error = async |change: &dyn Fn(&mut VaultConfig)| {
        let mut config = config(&bao.address, "secret");
        change(&mut config);
        let bench = Bench::new(config, token(ROOT));
        let error = bench.source.observe(PATH).await.expect_err("wrong");
        assert!(bench.outages.0.lock().is_empty() || matches!(error, SourceError::SignIn { .. }));
        error.to_string()
    };
    let said = error(&|config| config.mount = "no-such-mount".to_owned()).await;
    assert!(
        said.contains("nothing is mounted") && said.contains("no-such-mount"),
        "{said}"
    );
    let said = error(&|config| config.kv_version = KvVersion::V1).await;
    assert!(said.contains("kv_version = 2"), "{said}");
    let said = error(&|config| config.namespace = Some("no-such".to_owned())).await;
    assert!(said.contains("namespace"), "{said}");
    let bench = Bench::root(bao, "secret");
    for path in ["", "/a", "a/../b", "a//b", "a\u{7f}"] {
        let error = bench.source.observe(path).await.expect_err("no path");
        assert!(matches!(error, SourceError::Invalid { .. }), "{error}");
    }
    for path in ["a b", "ü", "100%", "q?x=1#y", "%2e%2e", "[a]|{b}^`\"<>\\"] {
        bao.put_kv2("secret", &url_path(path), json!({"key": path}))
            .await;
        assert_eq!(bench.value(path).await, path);
    }
}

/// As rustify writes it: one segment, percent-encoded.
fn url_path(path: &str) -> String {
    let mut url = url::Url::parse("http://h").expect("a URL");
    url.path_segments_mut().expect("a base").push(path);
    url.path().trim_start_matches('/').to_owned()
}

#[tokio::test]
async fn a_namespace_is_used() {
    let bao = OpenBao::shared().await;
    bao.ok("POST", "sys/namespaces/team-ai", json!({})).await;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    let (status, answer) = bao.api_in("team-ai", "POST", "sys/mounts/kv", mount).await;
    assert_eq!(status, 204, "{answer}");
    let data = json!({"data": {"key": "sk-team"}});
    eventually("the mount takes a write", || async {
        let path = format!("kv/data/{PATH}");
        let (status, _) = bao.api_in("team-ai", "POST", &path, data.clone()).await;
        (status == 200).then_some(())
    })
    .await;
    let mut config = config(&bao.address, "kv");
    config.namespace = Some("team-ai/".to_owned());
    let bench = Bench::new(config, token(ROOT));
    assert_eq!(bench.value(PATH).await, "sk-team");
}
