//! Promise 2: what is pushed, and what costs no push. Promise 1, as far as the store's side of it
//! shows only end to end: deleted and unusable secrets leave the live key alone.

use flashback_rotator::flashback::sandbox::{Operation, Options};

use crate::support::eventually;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox, writes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_pushed_and_the_same_value_again_is_not() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    let rotated = rotator.event("rotation_detected", |_| true).await;
    assert_eq!(rotated["key"], "a");
    assert_ne!(rotated["version"], rotated["previous_version"]);

    // The same key in another dress: another version, the same value.
    let before = writes(&sandbox);
    rotator.put("a", r#"{"api_key":"sk-two"}"#);
    rotator
        .event("rotation_detected", |line| {
            line["previous_version"] == rotated["version"]
        })
        .await;
    rotator.put("a", "sk-three");
    arrives(&sandbox, "a", "sk-three").await;
    assert_eq!(writes(&sandbox), before + 1, "only sk-three was pushed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_name_type_or_endpoint_is_pushed() {
    let sandbox = sandbox(Options::default()).await;
    let config = format!("{QUICK}{}", file_key("a"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.put("a", "sk-one");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    let id = sandbox.configurations()[0].ai_llm_id.clone();

    let changed = config.replace(
        "name = \"a\"",
        "name = \"b\"\nendpoint = \"https://proxy.example/v1\"",
    );
    rotator.configure(&sandbox.url(), &changed);
    rotator.event("config_reloaded", |_| true).await;
    arrives(&sandbox, "b", "sk-one").await;
    let all = sandbox.configurations();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].ai_llm_id, id);
    assert_eq!(all[0].endpoint, "https://proxy.example/v1");
    rotator
        .event("push_started", |line| line["reason"] == "settings changed")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_of_credentials_goes_where_it_belongs() {
    let sandbox = sandbox(Options::default()).await;
    let key = r#"
[keys.bedrock]
ai_type = "AWS"
endpoint = "https://bedrock-runtime.eu-west-1.amazonaws.com"
source = "files"
path = "bedrock.json"
fields = { key = "AccessKeyId", secret = "/nested/SecretAccessKey" }
"#;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{key}"));
    let pair = r#"{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","nested":{"SecretAccessKey":"s1"}}"#;
    rotator.put("bedrock.json", pair);
    rotator.start();
    arrives(&sandbox, "bedrock", "s1").await;
    let all = sandbox.configurations();
    let digest = flashback_rotator::flashback::sandbox::sha256_hex("AKIAIOSFODNN7EXAMPLE");
    assert_eq!(all[0].key_sha256.as_deref(), Some(digest.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_or_missing_secrets_leave_the_live_key_alone() {
    let sandbox = sandbox(Options::default()).await;
    let config = format!("{QUICK}{}{}", file_key("a"), file_key("b"));
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    rotator.put("a", "sk-one");
    rotator.put("b", "sk-other");
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    arrives(&sandbox, "b", "sk-other").await;
    let before = writes(&sandbox);

    rotator.put("a", r#"{"one":"canary-x","two":"canary-y"}"#);
    let malformed = rotator
        .event("secret_malformed", |line| line["key"] == "a")
        .await;
    let error = malformed["error"].as_str().expect("an error");
    assert!(
        error.contains("`one`") && error.contains("`two`"),
        "{error}"
    );
    std::fs::remove_file(rotator.path().join("secrets/b")).expect("removed");
    rotator
        .event("secret_missing", |line| line["key"] == "b")
        .await;
    // Notes of looks are written a moment later.
    eventually("both in `status`", || async {
        let status = rotator.json(&["status"]).await;
        let states = [0, 1].map(|index| status["keys"][index]["state"].clone());
        (states == ["failing", "missing"]).then_some(())
    })
    .await;

    rotator.put("a", "sk-two");
    arrives(&sandbox, "a", "sk-two").await;
    assert_eq!(writes(&sandbox), before + 1);
    assert_eq!(
        rotator.count("secret_malformed"),
        1,
        "said once, not at every look"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_key_is_pushed_again_when_resync_is_due() {
    let sandbox = sandbox(Options::default()).await;
    let quick = QUICK.replace("check = \"1s\"", "check = \"1s\"\nresync = \"2s\"");
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{quick}{}", file_key("a")));
    rotator.put("a", "sk-one");
    rotator.start();
    rotator
        .event("push_started", |line| line["reason"] == "resync")
        .await;
    let created = sandbox
        .journal()
        .iter()
        .filter(|e| e.operation == Operation::Create)
        .count();
    assert_eq!(created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_field_is_pushed_though_the_version_is_the_same() {
    let sandbox = sandbox(Options::default()).await;
    let with = |field: &str| {
        format!(
            "{QUICK}{}fields = {{ secret = \"{field}\" }}\n",
            file_key("a")
        )
    };
    let mut rotator = Rotator::new(&sandbox.url(), &with("one"));
    rotator.put("a", r#"{"one":"sk-one","two":"sk-two"}"#);
    rotator.start();
    arrives(&sandbox, "a", "sk-one").await;
    rotator.configure(&sandbox.url(), &with("two"));
    arrives(&sandbox, "a", "sk-two").await;
}
