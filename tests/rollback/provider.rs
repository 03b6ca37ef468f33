//! `before = "provider"`: what the provider does not take never gets into Flashback.

use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// A provider that knows these keys.
async fn provider(keys: &[&str]) -> MockServer {
    let provider = MockServer::start().await;
    knows(&provider, keys).await;
    provider
}

async fn knows(provider: &MockServer, keys: &[&str]) {
    provider.reset().await;
    for key in keys {
        Mock::given(method("GET"))
            .and(path("/v1/models"))
            .and(header("authorization", format!("Bearer {key}").as_str()))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"data": []})))
            .mount(provider)
            .await;
    }
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(401))
        .mount(provider)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_its_provider_rejects_never_reaches_flashback() {
    let provider = provider(&["sk-good"]).await;
    let verify = "before = \"provider\"\ngrace = \"1s\"\nafter = \"none\"";
    let mut scene = Scene::set("rollback-provider", verify, "").await;
    let config = std::fs::read_to_string(scene.rotator.config()).expect("readable");
    let endpoint = format!("{}/v1", provider.uri());
    scene
        .rotator
        .write_config(&config.replace("https://llm.example.com/v1", &endpoint));
    scene.rotate("sk-good").await;
    scene.rotator.start();
    scene.stands("in_sync", "1", Some("provider")).await;

    scene.rotate("sk-bad").await;
    let held = scene.rotator.event("version_held", |_| true).await;
    assert_eq!(
        (&held["version"], &held["previous_version"]),
        (&json!("2"), &json!("1"))
    );
    let row = scene.stands("held", "1", Some("provider")).await;
    assert!(
        row["held_reason"]
            .as_str()
            .is_some_and(|why| why.contains("401")),
        "{row}"
    );
    scene.is_at_rest().await;
    let bad = sha256_hex("sk-bad");
    let journal = scene.sandbox.journal();
    assert!(
        journal
            .iter()
            .all(|entry| entry.secret_sha256.as_deref() != Some(&bad))
    );

    // The next one is slow to work, and the provider is away in between: it goes in when it works.
    scene.rotate("sk-next").await;
    scene.stands("held", "1", Some("provider")).await;
    knows(&provider, &["sk-good", "sk-later"]).await;
    scene.rotate("sk-later").await;
    scene.stands("in_sync", "4", Some("provider")).await;
    assert_eq!(scene.rotator.count("push_succeeded"), 2);
    // Nobody knows: that holds no rotation back.
    provider.reset().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&provider)
        .await;
    scene.rotate("sk-unknown").await;
    scene.stands("in_sync", "5", None).await;
}
