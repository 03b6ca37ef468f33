//! The store knows which version is live and verified in every key that reads it, and never before.

use super::*;

const TWO: &str = r#"# acknowledged
[keys.second]
ai_type = "OTHER"
endpoint = "https://llm.example.com/v1"
source = "bao"
path = "llm/k"
fields = { secret = "second" }
"#;

impl Scene {
    /// What the store says is live.
    async fn told(&self) -> Option<String> {
        let path = format!("{}/metadata/llm/k", self.mount);
        let answer = self.bao.ok("GET", &path, Value::Null).await;
        let told = &answer["data"]["custom_metadata"]["flashback_live_version"];
        told.as_str().map(str::to_owned)
    }

    async fn rotate_both(&self, key: &str, second: &str) {
        let data = json!({ "key": key, "second": second });
        self.bao.put_kv2(self.mount, "llm/k", data).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledges_a_version_only_after_every_key_has_verified_it() {
    let mut scene = Scene::set("rollback-told", "grace = \"1s\"", TWO).await;
    scene.rotate_both("sk-1", "sk-1b").await;
    scene.rotator.start();
    let told = async |version: &str| {
        eventually("the store is told", || async {
            (scene.told().await.as_deref() == Some(version)).then_some(())
        })
        .await;
    };
    told("1").await;

    // One of the two does not work: the older version is what must not be revoked.
    scene.refuse(&["sk-2b"]);
    scene.rotate_both("sk-2", "sk-2b").await;
    scene
        .rotator
        .event("rolled_back", |line| line["key"] == "second")
        .await;
    scene.stands("in_sync", "2", Some("flashback")).await;
    assert_eq!(scene.told().await.as_deref(), Some("1"));

    scene.rotate_both("sk-3", "sk-3b").await;
    told("3").await;
    let times = |version: &str| {
        let events = scene.rotator.events().into_iter();
        events
            .filter(|line| line["event"] == "acknowledged" && line["version"] == version)
            .count()
    };
    scene.is_at_rest().await;
    // Each key has heard of it, and one has told it.
    assert!((1..=2).contains(&times("3")), "{}", times("3"));
    assert_eq!(times("2"), 0);

    // Taken back with the version.
    scene.rotator.json(&["rollback", "k"]).await;
    eventually("it is taken back", || async {
        scene.told().await.is_none().then_some(())
    })
    .await;
    scene.rotator.json(&["sync", "k", "--force"]).await;
    told("3").await;
}

/// The gateway's nodes may use the older key a moment longer: the store is told when that is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledges_a_version_only_after_it_has_settled() {
    let mut scene = Scene::set(
        "rollback-settles",
        "grace = \"1s\"\nsettle = \"3s\"",
        "# acknowledged",
    )
    .await;
    scene.rotate("sk-1").await;
    scene.rotator.start();
    let told = scene.rotator.event("acknowledged", |_| true).await;
    let at = |line: &Value| {
        let text = line["timestamp"].as_str().expect("a time");
        text.parse::<chrono::DateTime<chrono::Utc>>()
            .expect("a time")
    };
    let works = |line: &&Value| line["message"] == "Flashback says that the key works";
    let lines = scene.rotator.log();
    let lines: Vec<Value> = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let verified = lines.iter().find(works).expect("it was verified");
    let settled = at(&told) - at(verified);
    assert!(
        settled >= chrono::TimeDelta::milliseconds(2_990),
        "{settled}"
    );
    assert_eq!(scene.told().await.as_deref(), Some("1"));
}
