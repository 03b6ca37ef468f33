//! Telling KV 2 which version is live.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;
use crate::support::policies::policy;

const PATH: &str = "llm/openai";

struct Store {
    bao: &'static OpenBao,
    mount: &'static str,
}

impl Store {
    async fn new(mount: &'static str) -> Self {
        let bao = OpenBao::shared().await;
        bao.mount_kv(mount, 2).await;
        bao.put_kv2(mount, PATH, json!({"key": "sk-1"})).await;
        Self { bao, mount }
    }

    fn metadata_path(&self) -> String {
        format!("{}/metadata/{PATH}", self.mount)
    }

    async fn metadata(&self) -> Value {
        self.bao.ok("GET", &self.metadata_path(), Value::Null).await["data"].take()
    }

    async fn custom(&self) -> Value {
        self.metadata().await["custom_metadata"].take()
    }

    async fn set(&self, custom: Value) {
        let body = json!({ "custom_metadata": custom });
        self.bao.ok("POST", &self.metadata_path(), body).await;
    }

    /// A source with these rules alone, beside what the documentation's policy for looking gives.
    async fn with(&self, rules: &str) -> Bench {
        let rules = rules.replace("\"secret/", &format!("\"{}/", self.mount));
        self.bao.write_policy(self.mount, &rules).await;
        let limits = json!({"policies": [self.mount], "no_default_policy": true});
        let given = self.bao.create_token(limits).await;
        let mut bench = Bench::new(config(&self.bao.address, self.mount), token(&given));
        bench.source = bench.source.acknowledging(true);
        assert!(bench.source.acknowledges());
        bench
    }

    /// With the policies of the documentation.
    async fn documented(&self) -> Bench {
        let rules = policy("vault.hcl") + &policy("vault-acknowledge.hcl");
        self.with(&rules).await
    }

    /// Where the policy has `update` in place of `patch`.
    async fn without_patch(&self) -> Bench {
        let rules = policy("vault.hcl") + &policy("vault-acknowledge.hcl");
        self.with(&rules.replace("\"patch\"", "\"update\"")).await
    }
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 123_456_789).expect("a time")
}

async fn acknowledge(bench: &Bench) -> Result<(), SourceError> {
    let version = bench.version(PATH).await;
    bench.source.acknowledge(PATH, &version, at()).await
}

#[tokio::test]
async fn the_live_version_stands_in_the_custom_metadata_and_nothing_else_changes() {
    for (mount, may_patch) in [("kv-ack-patch", true), ("kv-ack-write", false)] {
        let store = Store::new(mount).await;
        let settings = json!({"custom_metadata": {"owner": "ai"}, "max_versions": 7});
        store.bao.ok("POST", &store.metadata_path(), settings).await;
        let bench = match may_patch {
            true => store.documented().await,
            false => store.without_patch().await,
        };
        let before = bench.observe(PATH).await;
        acknowledge(&bench).await.expect("told");
        let told = json!({"owner": "ai", "flashback_live_version": "1",
            "flashback_live_at": "2026-01-01T00:00:00Z"});
        assert_eq!(store.custom().await, told);
        assert_eq!(store.metadata().await["max_versions"], 7);
        assert_eq!(
            bench.observe(PATH).await,
            before,
            "no rotation, and no other time of one"
        );

        let writes = || bench.calls("patch_metadata") + bench.calls("write_metadata");
        let made = writes();
        let version = bench.version(PATH).await;
        bench
            .source
            .acknowledge(PATH, &version, Utc::now())
            .await
            .expect("told already");
        assert_eq!(store.custom().await, told, "the first time stays");
        assert_eq!(writes(), made, "nothing is written that is there");

        store.bao.put_kv2(mount, PATH, json!({"key": "sk-2"})).await;
        acknowledge(&bench).await.expect("told");
        assert_eq!(store.custom().await["flashback_live_version"], "2");

        bench.source.withdraw(PATH).await.expect("withdrawn");
        assert_eq!(store.custom().await, json!({"owner": "ai"}));
        bench
            .source
            .withdraw(PATH)
            .await
            .expect("nothing to withdraw");
    }
}

#[tokio::test]
async fn concurrent_metadata_writes_by_others_are_kept() {
    for (mount, may_patch) in [("kv-ack-busy", true), ("kv-ack-busy-write", false)] {
        let store = Store::new(mount).await;
        let bench = match may_patch {
            true => store.documented().await,
            false => store.without_patch().await,
        };
        let version = bench.version(PATH).await;
        let others = async {
            for number in 0..30 {
                // As careful as we are: OpenBao's check-and-set, tried until it holds.
                crate::support::eventually("a write of another", || async {
                    let found = store.metadata().await;
                    let mut custom = match &found["custom_metadata"] {
                        Value::Null => json!({}),
                        custom => custom.clone(),
                    };
                    custom[format!("other-{number}")] = json!("kept");
                    let body = json!({"custom_metadata": custom,
                        "metadata_cas": found["current_metadata_version"]});
                    let path = store.metadata_path();
                    let (status, _) = store.bao.api("POST", &path, body).await;
                    (status == 204).then_some(())
                })
                .await;
            }
        };
        let ours = async {
            for _ in 0..15 {
                // Somebody else may be faster five times in a row.
                crate::support::eventually("it is told", || async {
                    bench.source.acknowledge(PATH, &version, at()).await.ok()
                })
                .await;
                crate::support::eventually("it is withdrawn", || async {
                    bench.source.withdraw(PATH).await.ok()
                })
                .await;
            }
            bench.source.acknowledge(PATH, &version, at()).await
        };
        let ((), told) = tokio::join!(others, ours);
        if told.is_err() {
            acknowledge(&bench)
                .await
                .expect("told, now that it is quiet");
        }
        let custom = store.custom().await;
        for number in 0..30 {
            assert_eq!(custom[format!("other-{number}")], "kept", "{custom}");
        }
        assert_eq!(custom["flashback_live_version"], "1");
    }
}

#[tokio::test]
async fn metadata_that_ask_for_check_and_set_get_it() {
    let store = Store::new("kv-ack-cas").await;
    let settings = json!({"metadata_cas_required": true, "custom_metadata": {"owner": "ai"}});
    store.bao.ok("POST", &store.metadata_path(), settings).await;
    for bench in [store.documented().await, store.without_patch().await] {
        acknowledge(&bench).await.expect("told");
        assert_eq!(store.custom().await["flashback_live_version"], "1");
        bench.source.withdraw(PATH).await.expect("withdrawn");
        assert_eq!(store.custom().await, json!({"owner": "ai"}));
    }
}

#[tokio::test]
async fn a_refusal_names_the_permission_and_harms_nothing() {
    let store = Store::new("kv-ack-denied").await;
    let bench = store.with(&policy("vault.hcl")).await;
    let error = acknowledge(&bench).await.expect_err("denied");
    assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    let needs = format!("`patch` (or else `update`) on `kv-ack-denied/metadata/{PATH}`");
    assert!(error.to_string().contains(&needs), "{error}");
    assert_eq!(bench.value(PATH).await, "sk-1");
    assert_eq!(store.custom().await, Value::Null);
    assert!(bench.outages.0.lock().is_empty());

    store.set(json!({"flashback_live_version": "1"})).await;
    let error = bench.source.withdraw(PATH).await.expect_err("denied");
    assert!(error.to_string().contains(&needs), "{error}");
}

#[tokio::test]
async fn a_secret_that_went_away_or_began_again_is_not_called_live() {
    let store = Store::new("kv-ack-gone").await;
    let bench = store.documented().await;
    let old = bench.version(PATH).await;
    let path = store.metadata_path();
    store.bao.ok("DELETE", &path, Value::Null).await;
    let error = bench.source.acknowledge(PATH, &old, at()).await;
    assert!(
        matches!(error, Err(SourceError::Invalid { .. })),
        "{error:?}"
    );
    bench
        .source
        .withdraw(PATH)
        .await
        .expect("nothing to withdraw");
    let (status, _) = store.bao.api("GET", &path, Value::Null).await;
    assert_eq!(status, 404, "nothing was made");

    store
        .bao
        .put_kv2(store.mount, PATH, json!({"key": "sk-new"}))
        .await;
    let error = bench.source.acknowledge(PATH, &old, at()).await;
    assert!(
        matches!(error, Err(SourceError::Invalid { .. })),
        "{error:?}"
    );
    assert_eq!(store.custom().await, Value::Null);
}
