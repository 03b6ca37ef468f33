//! Telling people: a receiver over HTTP is told what it asks for, once, signed, through its own outages and
//! through restarts of the rotator; and nothing waits for it.

#[path = "notifications/delivery.rs"]
mod delivery;
#[path = "notifications/states.rs"]
mod states;

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use serde_json::json;

use crate::support::configuration::{TOKEN_IN_VARIABLE, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::receiver::{PATH, Receiver, Request, SECRET};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};
use crate::support::{eventually, get};

/// A rotator with these keys, whose receiver is told this.
fn rotator(sandbox: &Sandbox, receiver: &Receiver, notify: &str, keys: &[&str]) -> Rotator {
    let keys: String = keys.iter().map(|key| file_key(key)).collect();
    let rotator = Rotator::new(&sandbox.url(), &format!("{QUICK}{notify}{keys}"));
    receiver.place(rotator.path());
    rotator
}

fn cloudevents(on: &[&str], after: &str) -> String {
    Receiver::table("ops", "cloudevents", on, after)
}

/// Nothing that is a secret of the receiver, or of a key, is in anything that others see.
async fn tells_no_secret(rotator: &Rotator, receiver: &Receiver) {
    let metrics = get(format!("{}/metrics", rotator.http().await)).await;
    let metrics = metrics.expect("an answer").text().await.expect("text");
    let status = rotator.json(&["status"]).await.to_string();
    let key = SECRET.trim_start_matches("whsec_");
    for (place, text) in [
        ("log", &rotator.log()),
        ("metrics", &metrics),
        ("status", &status),
    ] {
        for secret in ["canary", PATH, key] {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
    for request in receiver.requests() {
        let text = request.text().replace(PATH, "");
        for secret in ["canary", key, "sk-"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

async fn metric(rotator: &Rotator, series: &str) -> Option<f64> {
    let url = format!("{}/metrics", rotator.http().await);
    let text = get(url).await.ok()?.text().await.ok()?;
    let line = format!("flashback_rotator_{series} ");
    let mut values = text.lines().filter_map(|text| text.strip_prefix(&line));
    values.next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_a_signed_cloud_event() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let notify = cloudevents(&["rotated"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &["k"]);
    rotator.put("k", "sk-canary-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-canary-1").await;
    rotator.put("k", "sk-canary-2");
    let got = receiver.gets_event("rotated", "k").await;
    assert_eq!(got.signed(), Some(true), "{}", got.text());
    assert_eq!(got.header("content-type"), "application/cloudevents+json");
    let event = got.event();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], got.header("webhook-id"));
    assert_eq!(event["type"], "tech.flashback.rotator.rotated");
    assert_eq!(event["source"], "/flashback-rotator");
    assert_eq!(event["subject"], "keys/k");
    assert_eq!(event["datacontenttype"], "application/json");
    let time = event["time"].as_str().expect("a time");
    chrono::DateTime::parse_from_rfc3339(time).expect("a time");
    let status = rotator.json(&["status"]).await;
    let row = &status["keys"][0];
    assert_eq!(event["data"]["version"], row["version"]);
    assert_ne!(event["data"]["previous_version"], row["version"]);
    assert_eq!(event["data"]["ai_llm_id"], row["ai_llm_id"]);
    assert_eq!(event["data"]["source"], "files");
    assert_eq!(event["data"]["workspace_id"], "w");
    assert_eq!(
        receiver.requests().len(),
        1,
        "the first push is no rotation"
    );
    rotator
        .event("notification_sent", |line| line["receiver"] == "ops")
        .await;
    tells_no_secret(&rotator, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_receivers_without_repeating_notices() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let cloud = cloudevents(&["rotated"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &cloud, &["k"]);
    rotator.put("k", "sk-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-1").await;
    rotator.put("k", "sk-2");
    receiver.gets_event("rotated", "k").await;
    // Another receiver comes, and its secret goes.
    let slack = Receiver::table("people", "slack", &["rotated"], "0s");
    let slack = slack.lines().filter(|line| !line.starts_with("secret"));
    let slack = slack.collect::<Vec<_>>().join("\n");
    let key = file_key("k");
    rotator.configure(&sandbox.url(), &format!("{QUICK}{cloud}{slack}\n{key}"));
    rotator.event("config_reloaded", |_| true).await;
    assert_eq!(receiver.requests().len(), 1, "nothing is told again");
    rotator.put("k", "sk-3");
    let people = receiver
        .gets("a message for people", |request| {
            request.event()["text"].is_string()
        })
        .await;
    assert_eq!(people.signed(), None);
    assert_eq!(people.header("content-type"), "application/json");
    let text = people.event()["text"].to_string();
    assert!(
        text.contains("key k was rotated from version fp-"),
        "{text}"
    );
    // Without receivers nobody is told.
    rotator.configure(&sandbox.url(), &format!("{QUICK}{key}"));
    eventually("the second reload", || async {
        (rotator.count("config_reloaded") == 2).then_some(())
    })
    .await;
    let before = receiver.requests().len();
    rotator.put("k", "sk-4");
    arrives(&sandbox, "k", "sk-4").await;
    assert!(rotator.stop().await.success());
    assert_eq!(receiver.requests().len(), before);
    assert_eq!(rotator.count("notification_dropped"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifies_of_a_rollback_at_once_and_of_a_lasting_hold() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let bao = OpenBao::shared().await;
    bao.mount_kv("notifications", 2).await;
    let notify = Receiver::table("people", "slack", &["rolled_back", "held"], "3s");
    let mount = "mount = \"notifications\"";
    let source = vault("bao", &bao.address, mount, TOKEN_IN_VARIABLE);
    let config = format!(
        "{QUICK}[verify]\ngrace = \"1s\"\n{notify}{source}\
         [keys.k]\nai_type = \"OTHER\"\nendpoint = \"https://llm.example.com/v1\"\nsource = \"bao\"\npath = \"k\"\n"
    );
    let mut rotator = Rotator::new(&sandbox.url(), &config);
    receiver.place(rotator.path());
    let token = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
    rotator.environment.push(token);
    let rotate = async |key: &str| {
        let value = json!({ "key": key });
        bao.put_kv2("notifications", "k", value).await;
    };
    rotate("sk-good").await;
    rotator.start();
    arrives(&sandbox, "k", "sk-good").await;
    eventually("it is verified", || async {
        let row = rotator.json(&["status"]).await["keys"][0].clone();
        (row["verified_by"] == "flashback").then_some(())
    })
    .await;
    sandbox.change(|switches| switches.refused_secrets = [sha256_hex("sk-bad")].into());
    rotate("sk-bad").await;
    let says = |words: &'static str| move |request: &Request| request.text().contains(words);
    let rolled_back = receiver
        .gets(
            "a roll-back",
            says("key k was rolled back to version 1; 2 is held: "),
        )
        .await;
    let held = receiver
        .gets(
            "a hold",
            says("version 2 of key k is held, and is not pushed: "),
        )
        .await;
    for request in [&rolled_back, &held] {
        let text = request.event()["text"].to_string();
        let useful =
            text.contains("Revoke no older version") && text.contains("docs/operations.md#");
        assert!(useful, "{text}");
    }
    assert!(
        held.at() - rolled_back.at() >= 2.0,
        "the roll-back is told at once"
    );
    assert_eq!(receiver.requests().len(), 2);
    // The age of what is live again is known: it is part of KV 2's version.
    let row = rotator.json(&["status"]).await["keys"][0].clone();
    assert_eq!(row["version"], "1");
    assert!(row["version_created_at"].is_string(), "{row}");
}

/// A receiver cannot be told apart from its table's mistakes: each is named before anything starts.
#[tokio::test]
async fn mistakes_in_a_receiver_are_named() {
    let sandbox = sandbox(Options::default()).await;
    let cases: [(&str, &str); 5] = [
        (
            "url = \"https://hooks.slack.com/services/canary\"\nformat = \"slack\"\n",
            "`url` is a secret",
        ),
        (
            "url = { env = \"U\" }\nformat = \"slak\"\n",
            "did you mean `slack`",
        ),
        (
            "url = { env = \"U\" }\nformat = \"slack\"\non = [\"heldd\"]\n",
            "did you mean `held`",
        ),
        (
            "url = { env = \"U\" }\nformat = \"slack\"\non = []\n",
            "`on` names no event",
        ),
        (
            "url = { source = \"nowhere\", path = \"x\" }\nformat = \"slack\"\n",
            "there is no such source",
        ),
    ];
    for (table, message) in cases {
        let rest = format!("[notify.ops]\n{table}{}", file_key("k"));
        let rotator = Rotator::new(&sandbox.url(), &rest);
        let output = rotator.command(&["check"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(message), "{message}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
    let one_sided = "[notify.ops]\nurl = { env = \"U\" }\nformat = \"slack\"\non = [\"failing\"]\n";
    let rotator = Rotator::new(&sandbox.url(), &format!("{one_sided}{}", file_key("k")));
    let output = rotator.command(&["check"]).await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        output.status.success() && said.contains("add `source_down`"),
        "{said}"
    );
}
