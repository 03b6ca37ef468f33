//! `POST /notify`.

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::client;
use crate::support::configuration::Configuration;
use crate::support::rotator::{Rotator, arrives, file_key, sandbox};

/// The token in the file `{dir}/token`, which is the one for Flashback, too.
const TOKEN: &str = "canary-flashback-token";

const TOKEN_FILE: &str = "notify_token = { file = \"{dir}/token\" }\n";

/// A daemon that would not look at its key before tomorrow.
async fn rotator(sandbox: &Sandbox, http: &str) -> Rotator {
    let mut rotator = Rotator::new(&sandbox.url(), "");
    rotator.put("one", "sk-one-0");
    let mut configuration = Configuration::new(&sandbox.url())
        .files()
        .and("[schedule]\ncheck = \"24h\"\n")
        .and(file_key("one"));
    configuration.http = http.to_owned();
    rotator.write_config(&configuration.text());
    rotator.start();
    rotator.ready().await;
    arrives(sandbox, "one", "sk-one-0").await;
    rotator
}

async fn post(rotator: &Rotator, token: Option<&str>, body: &Value) -> (StatusCode, String) {
    let url = format!("{}/notify", rotator.http().await);
    let mut request = client().post(url).body(body.to_string());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    (status, answer.text().await.expect("a text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_has_its_key_checked_at_once() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = rotator(&sandbox, TOKEN_FILE).await;
    let source = json!({ "source": "files", "path": "one" });
    for (number, body) in [source, json!({ "key": "one" })].iter().enumerate() {
        let secret = format!("sk-one-{}", number + 1);
        rotator.put("one", &secret);
        let (status, _) = post(&rotator, Some(TOKEN), body).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        arrives(&sandbox, "one", &secret).await;
    }
    assert!(!rotator.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_without_the_token_or_of_nothing_known_is_refused() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = rotator(&sandbox, TOKEN_FILE).await;
    let known = json!({ "key": "one" });
    for token in [None, Some("another"), Some("")] {
        assert_eq!(
            post(&rotator, token, &known).await.0,
            StatusCode::UNAUTHORIZED
        );
    }
    for unknown in [
        json!({ "key": "two" }),
        json!({ "source": "else", "path": "one" }),
    ] {
        assert_eq!(
            post(&rotator, Some(TOKEN), &unknown).await.0,
            StatusCode::NOT_FOUND
        );
    }
    let both = json!({ "key": "one", "source": "files" });
    let long = json!({ "key": "k".repeat(20_000) });
    for wrong in [json!([]), json!({ "key": 7 }), both, long] {
        assert_eq!(
            post(&rotator, Some(TOKEN), &wrong).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    assert!(!rotator.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_in_the_configuration_there_are_no_notices() {
    let sandbox = sandbox(Options::default()).await;
    let rotator = rotator(&sandbox, "").await;
    let (status, text) = post(&rotator, Some(TOKEN), &json!({ "key": "one" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("notify_token"), "{text}");
}
