//! What stands in front of Flashback answers what nobody promised, and Flashback answers with less
//! than the reference says.

use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Operation, Options, Rule, sha256_hex};

use serde_json::json;

use super::{requests, stands};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::place_file;
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

const PAGE: &str = "<!doctype html><title>Sign in</title><p>Please sign in.";

/// A gateway's page for three seconds around a rotation: the key is delivered within five seconds of
/// its end, into the same configuration, and nothing is said of the configuration or the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_front_delays_a_rotation_and_no_more() {
    let pages = [
        (200, "text/html", PAGE),
        (301, "text/html", PAGE),
        (302, "text/html", PAGE),
        (307, "text/plain", ""),
        (400, "text/html", PAGE),
        (401, "text/html", PAGE),
        (403, "text/html", PAGE),
        (403, "application/json", r#"{"fault":"blocked by policy"}"#),
        (403, "application/json", r#"{"message":"Forbidden"}"#),
        (404, "text/html", PAGE),
        (404, "text/plain", "404 page not found"),
        (404, "text/plain", ""),
        (
            404,
            "application/json",
            r#"{"message":"no Route matched with those values"}"#,
        ),
        (407, "text/html", PAGE),
        (502, "text/html", PAGE),
        (503, "text/html", PAGE),
    ];
    // Half of them with an account that logs in.
    let runs = pages
        .into_iter()
        .enumerate()
        .map(|(number, (status, kind, body))| async move {
            let what = format!("{status} {kind} {body}");
            let sandbox = sandbox(Options::default()).await;
            let config = format!("[schedule]\ncheck = \"1s\"\n{}", file_key("a"));
            let mut rotator = Rotator::new(&sandbox.url(), &config);
            if number % 2 == 0 {
                place_file(rotator.path().join("password"), "canary-password");
                let auth = "email = \"me@example.com\"\npassword = { file = \"{dir}/password\" }";
                rotator.configure_signing_in(&sandbox.url(), auth, &config);
            }
            rotator.put("a", "sk-one");
            rotator.start();
            stands(&rotator, "a", "in_sync").await;
            let before = sandbox.configurations()[0].ai_llm_id.clone();
            let page = Rule {
                location: Some("https://login.example/".to_owned()),
                ..Rule::page(status, kind, body)
            };
            sandbox.fail(page);
            rotator.put("a", "sk-two");
            tokio::time::sleep(Duration::from_secs(3)).await;
            sandbox.heal();
            let healed = Instant::now();
            arrives(&sandbox, "a", "sk-two").await;
            let took = healed.elapsed();
            stands(&rotator, "a", "in_sync").await;
            let all = sandbox.configurations();
            assert_eq!((all.len(), &all[0].ai_llm_id), (1, &before), "{what}");
            for event in [
                "config_missing",
                "push_failed",
                "sign_in_failed",
                "verification_failed",
            ] {
                assert_eq!(
                    rotator.count(event),
                    0,
                    "{what}: {event}\n{}",
                    rotator.log()
                );
            }
            (what, took)
        });
    for (what, took) in futures_util::future::join_all(runs).await {
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    }
}

/// A 2xx to a PUT is a success, however little it says: one write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sparse_success_of_a_put_is_one() {
    let answers = [
        (204, "application/json", ""),
        (200, "application/json", ""),
        (200, "text/plain", "OK"),
        (200, "application/json", r#"{"aiLlmId":"x"}"#),
        (200, "application/json", "{}"),
        (202, "application/json", "null"),
    ];
    let runs = answers.map(|(status, kind, body)| async move {
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
        rotator.put("a", "sk-one");
        rotator.start();
        stands(&rotator, "a", "in_sync").await;
        sandbox.fail(
            Rule::page(status, kind, body)
                .on(Operation::Update)
                .carried_out(),
        );
        rotator.put("a", "sk-two");
        arrives(&sandbox, "a", "sk-two").await;
        rotator
            .event("push_succeeded", |line| line["action"] == "update")
            .await;
        let row = stands(&rotator, "a", "in_sync").await;
        assert_eq!(row["error"], serde_json::Value::Null, "{status} {body}");
        // A second look finds nothing to do.
        let looks = rotator.json(&["sync"]).await;
        assert_eq!(looks["keys"][0]["action"], "none", "{looks}");
        assert_eq!(
            requests(&sandbox, Operation::Update).len(),
            1,
            "{status} {body}"
        );
        assert_eq!(rotator.count("push_retrying"), 0, "{status} {body}");
    });
    futures_util::future::join_all(runs).await;
}

/// A POST that is answered without an id that can be used has made a configuration, which is found by
/// its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_created_without_a_usable_id_is_found_by_name() {
    let long = format!(r#"{{"success":true,"aiLlmId":"{}"}}"#, "i".repeat(70_000));
    let answers = [
        (201, String::new()),
        (200, "created".to_owned()),
        (200, r#"{"success":true}"#.to_owned()),
        (200, r#"{"success":true,"aiLlmId":7}"#.to_owned()),
        (200, long),
    ];
    let runs = answers.map(|(status, body)| async move {
        let sandbox = sandbox(Options::default()).await;
        let mut rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{}", file_key("a")));
        sandbox.fail(
            Rule::page(status, "application/json", &body)
                .on(Operation::Create)
                .carried_out(),
        );
        rotator.put("a", "sk-one");
        rotator.start();
        let row = stands(&rotator, "a", "in_sync").await;
        let all = sandbox.configurations();
        assert_eq!((all.len(), all[0].writes), (1, 1), "{status} {all:?}");
        assert_eq!(row["ai_llm_id"], all[0].ai_llm_id.as_str());
        assert_eq!(all[0].secret_sha256, sha256_hex("sk-one"));
        assert!(std::fs::metadata(rotator.log_path()).expect("a log").len() < 100_000);
    });
    futures_util::future::join_all(runs).await;
}

/// What `validate` says of a key, by status and words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_validation_says_what_it_says() {
    let api = r#"{"success":false,"message":"Invalid API key"}"#;
    // Status, body, what becomes of the new key, and whether it is called verified.
    let answers = [
        (400, api, "held"),
        (422, api, "held"),
        (403, api, "in_sync"),
        (404, api, "in_sync"),
        (404, PAGE, "in_sync"),
        (500, api, "in_sync"),
    ];
    let runs = answers.map(|(status, body, state)| async move {
        let what = format!("{status} {body}");
        let sandbox = sandbox(Options::default()).await;
        let config = format!("{QUICK}[verify]\ngrace = \"2s\"\n{}", file_key("a"));
        let mut rotator = Rotator::new(&sandbox.url(), &config);
        rotator.put("a", "sk-one");
        rotator.start();
        stands(&rotator, "a", "in_sync").await;
        rotator.event("push_succeeded", |_| true).await;
        crate::support::eventually("the first is verified", || async {
            (super::row(&rotator, "a").await["verified_by"] == "flashback").then_some(())
        })
        .await;
        rotator.stop().await;
        let refusal = Rule::page(status, "application/json", body).on(Operation::Validate);
        let new_one_only = if state == "held" {
            refusal.times(30)
        } else {
            refusal
        };
        sandbox.fail(new_one_only);
        // A file has no older version to put back: what is rejected stays and is told of.
        rotator.put("a", "sk-two");
        rotator.start();
        arrives(&sandbox, "a", "sk-two").await;
        match state {
            "held" => {
                rotator.event("verification_failed", |_| true).await;
                assert!(
                    row_error(&rotator).await.contains("Invalid API key"),
                    "{what}"
                );
            }
            _ => {
                let row = stands(&rotator, "a", "in_sync").await;
                assert_eq!(row["verified_by"], serde_json::Value::Null, "{what}: {row}");
                assert_eq!(rotator.count("verification_failed"), 0, "{what}");
            }
        }
    });
    futures_util::future::join_all(runs).await;
}

/// A key that `validate` rejects with a status of its own is taken out again, as with any rejection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_a_validation_rejects_by_its_status_is_rolled_back() {
    let bao = OpenBao::shared().await;
    let runs = [400, 422].map(|status| async move {
        let sandbox = sandbox(Options::default()).await;
        let path = format!("rejected-{status}");
        bao.put_kv2("secret", &path, json!({"key": "sk-one"})).await;
        let config = format!(
            "{QUICK}[verify]\ngrace = \"1s\"\n[sources.bao]\ntype = \"vault\"\naddress = \"{}\"\n\
             [sources.bao.auth]\nmethod = \"token\"\ntoken = {{ env = \"TEST_BAO_TOKEN\" }}\n\
             [keys.a]\nai_type = \"OPENAI\"\nsource = \"bao\"\npath = \"{path}\"\n",
            bao.address
        );
        let mut rotator = Rotator::new(&sandbox.url(), &config);
        let token = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
        rotator.environment.push(token);
        rotator.start();
        crate::support::eventually("the first is verified", || async {
            (super::row(&rotator, "a").await["verified_by"] == "flashback").then_some(())
        })
        .await;
        let refusal = r#"{"success":false,"message":"Invalid API key"}"#;
        sandbox.fail(Rule::page(status, "application/json", refusal).on(Operation::Validate));
        bao.put_kv2("secret", &path, json!({"key": "sk-two"})).await;
        arrives(&sandbox, "a", "sk-two").await;
        arrives(&sandbox, "a", "sk-one").await;
        sandbox.heal();
        let row = stands(&rotator, "a", "held").await;
        assert_eq!(row["held_version"], "2", "{status}: {row}");
        rotator.event("rolled_back", |_| true).await;
    });
    futures_util::future::join_all(runs).await;
}

async fn row_error(rotator: &Rotator) -> String {
    crate::support::eventually("an error in status", || async {
        super::row(rotator, "a").await["error"]
            .as_str()
            .map(str::to_owned)
    })
    .await
}
