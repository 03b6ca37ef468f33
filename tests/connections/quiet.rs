//! `Retry-After`, and what of it is obeyed.

use serde_json::Value;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use flashback_rotator::flashback::sandbox::{Fault, Operation, Rule};

use super::*;
use crate::support::configuration::{aws, key, token_in, vault};
use crate::support::eventually;
use crate::support::rotator::file_key;

/// Nothing is held back for longer: a quarter of an hour, and the jitter on top.
const LONGEST_MS: u64 = 15 * 60 * 1_000 + 1_000;

/// Lengths of time that nobody means.
const LONG_ONES: [&str; 3] = [
    "99999",
    "18446744073709551615",
    "Fri, 31 Dec 9999 23:59:59 GMT",
];

/// Texts that are no length of time.
const GARBAGE: [&str; 7] = [
    "soon",
    "-1",
    "1e9",
    "99999999999999999999999",
    "inf",
    "Fri, 99 Dec 9999 99:99:99 GMT",
    "",
];

/// Requires that no line of the log tells of a longer wait.
fn waits_are_capped(what: &str, rotator: &Rotator) {
    let events = rotator.events();
    let waits: Vec<_> = events
        .iter()
        .filter_map(|line| line["retry_in_ms"].as_u64())
        .collect();
    for wait in waits {
        assert!(wait <= LONGEST_MS, "{what}: {wait} ms\n{}", rotator.log());
    }
}

/// The next check of each key, as people see it, is not farther away than that either.
async fn checks_are_soon(what: &str, rotator: &Rotator) {
    let status = rotator.json(&["status"]).await;
    for row in status["keys"].as_array().expect("rows") {
        for (field, value) in row.as_object().expect("a row") {
            let time = value.as_str().and_then(|text| text.parse().ok());
            let Some(time): Option<chrono::DateTime<chrono::Utc>> = time else {
                continue;
            };
            let ahead = time - chrono::Utc::now();
            let most = i64::try_from(LONGEST_MS).expect("fits");
            assert!(ahead.num_milliseconds() <= most, "{what}: {field}: {row}");
        }
    }
}

/// Every request of that kind is answered with this status and this length of time.
async fn flashback(operation: Operation, status: u16, retry_after: &str) {
    let what = format!("{operation:?}: {status}, {retry_after}");
    let sandbox = sandbox(Options::default()).await;
    sandbox.fail(Rule {
        status,
        retry_after: Some(retry_after.to_owned()),
        operations: vec![operation],
        ..Rule::new(Fault::Status)
    });
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("k")));
    rotator.put("k", "sk-1");
    rotator.start();
    eventually(&format!("{what}: the answer is known"), || async {
        let asked = sandbox.journal();
        let asked = asked.iter().any(|entry| entry.operation == operation);
        let status = rotator.json(&["status"]).await;
        let error = status["keys"][0]["error"].is_string();
        (asked && (error || rotator.count("push_succeeded") > 0)).then_some(())
    })
    .await;
    waits_are_capped(&what, &rotator);
    checks_are_soon(&what, &rotator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_holds_nothing_back_for_longer_than_a_quarter_of_an_hour() {
    for operation in [Operation::List, Operation::Create, Operation::Validate] {
        for status in [429, 503, 500] {
            let all = LONG_ONES.map(|retry_after| flashback(operation, status, retry_after));
            futures_util::future::join_all(all).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flashback_is_asked_again_soon_where_it_names_no_time() {
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("k")));
    rotator.put("k", "sk-first");
    rotator.start();
    arrives(&sandbox, "k", "sk-first").await;
    for (round, garbage) in GARBAGE.iter().enumerate() {
        for status in [429, 503] {
            sandbox.heal();
            sandbox.fail(Rule {
                status,
                retry_after: Some((*garbage).to_owned()),
                operations: vec![Operation::Update],
                next: Some(1),
                ..Rule::new(Fault::Status)
            });
            let value = format!("sk-{round}-{status}");
            rotator.put("k", &value);
            arrives(&sandbox, "k", &value).await;
        }
    }
    waits_are_capped("garbage", &rotator);
    for line in rotator.events() {
        if let Some(wait) = line["retry_in_ms"].as_u64() {
            assert!(wait <= 1_000, "{line}");
        }
    }
}

/// A server that asks for quiet, whatever it is asked.
async fn asks_for_quiet(status: u16, retry_after: &str) -> MockServer {
    let server = MockServer::start().await;
    let about = json!({"data": {
        "ttl": 0, "creation_ttl": 0, "renewable": false, "policies": ["p"], "display_name": "d",
    }});
    Mock::given(method("GET"))
        .and(path("/v1/auth/token/lookup-self"))
        .respond_with(ResponseTemplate::new(200).set_body_json(about))
        .with_priority(1)
        .mount(&server)
        .await;
    let answer = ResponseTemplate::new(status).insert_header("Retry-After", retry_after);
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_hold_nothing_back_for_longer_than_a_quarter_of_an_hour() {
    let mut servers = Vec::new();
    let mut rest = QUICK.to_owned();
    for (number, retry_after) in LONG_ONES.iter().enumerate() {
        for status in [429, 503, 500] {
            let server = asks_for_quiet(status, retry_after).await;
            let url = server.uri();
            let (in_vault, in_aws) = (
                format!("vault-{number}-{status}"),
                format!("aws-{number}-{status}"),
            );
            rest += &vault(&in_vault, &url, "", &token_in("root"));
            rest += &aws(&in_aws, &url);
            for id in [in_vault, in_aws] {
                rest += &key(&id, &id, "k");
            }
            servers.push(server);
        }
    }
    let sandbox = sandbox(Options::default()).await;
    let mut rotator = Rotator::new(&sandbox.url(), &rest);
    std::fs::write(rotator.path().join("root"), ROOT).expect("written");
    rotator.environment.extend(aws_credentials());
    rotator.start();
    eventually("each key has met its answer", || async {
        let status = rotator.json(&["status"]).await;
        let rows = status["keys"].as_array()?;
        let met = |row: &Value| row["error"].is_string();
        (rows.len() == 18 && rows.iter().all(met)).then_some(())
    })
    .await;
    waits_are_capped("sources", &rotator);
    checks_are_soon("sources", &rotator).await;
}
