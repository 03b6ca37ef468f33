//! Telling people: a receiver over HTTP is told what it asks for, once, signed, through its own outages and
//! through restarts of the rotator; and nothing waits for it.

use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Options, Rule, Sandbox, sha256_hex};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::receiver::{PATH, Receiver, SECRET};
use crate::support::rotator::{QUICK, Rotator, arrives, file_key, sandbox};

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
    let metrics = reqwest::get(format!("{}/metrics", rotator.http().await)).await;
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
    let text = reqwest::get(url).await.ok()?.text().await.ok()?;
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
async fn a_receiver_that_is_away_for_half_a_minute_is_told_when_it_is_back() {
    let (sandbox, mut receiver) = (sandbox(Options::default()).await, Receiver::new());
    let notify = cloudevents(&["rotated"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &["k"]);
    rotator.put("k", "sk-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-1").await;
    let away_since = Instant::now();
    rotator.put("k", "sk-2");
    arrives(&sandbox, "k", "sk-2").await;
    let retrying = rotator.event("notification_retrying", |_| true).await;
    assert_eq!(retrying["notified"], "rotated");
    // This is what the test is about: an outage of that length.
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(away_since.elapsed())).await;
    receiver.listen().await;
    let got = receiver.gets_event("rotated", "k").await;
    assert_eq!(
        got.signed(),
        Some(true),
        "signed anew for each try: {}",
        got.text()
    );
    let sent = rotator.event("notification_sent", |_| true).await;
    assert!(sent["attempt"].as_u64() > Some(3), "{sent}");
    assert_eq!(rotator.count("notification_retrying"), 1, "said once");
    assert_eq!(receiver.requests().len(), 1);
    tells_no_secret(&rotator, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_push_waits_for_a_receiver_that_hangs() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    receiver
        .answer(json!([{ "status": 204, "hang": true }]))
        .await;
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let ids: Vec<&str> = keys.iter().map(String::as_str).collect();
    let notify = cloudevents(&["rotated"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &ids);
    ids.iter()
        .for_each(|id| rotator.put(id, &format!("sk-{id}-0")));
    rotator.start();
    for round in 0..3 {
        for id in &ids {
            rotator.put(id, &format!("sk-{id}-{round}"));
        }
        for id in &ids {
            arrives(&sandbox, id, &format!("sk-{id}-{round}")).await;
        }
    }
    // Two rotations of each of twenty keys have arrived, and the first notice of them hangs.
    receiver
        .gets_event(
            "rotated",
            receiver.requests()[0].event()["data"]["key"]
                .as_str()
                .unwrap_or("k0"),
        )
        .await;
    assert_eq!(rotator.count("notification_sent"), 0);
    assert_eq!(
        rotator.count("push_retrying") + rotator.count("push_failed"),
        0
    );
    let pushed = rotator.events();
    let pushed = pushed
        .iter()
        .filter(|line| line["event"] == "push_succeeded");
    assert!(pushed.count() >= 60, "{}", rotator.log());
    // Nor does the end of the process wait for it.
    let begun = Instant::now();
    assert!(rotator.stop().await.success());
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_lasts_is_told_once_whatever_restarts() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let notify = cloudevents(&["failing", "held", "missing", "recovered"], "1s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &["k", "other"]);
    rotator.put("k", "sk-canary with a space");
    rotator.put("other", "sk-other-1");
    rotator.start();
    let failing = receiver.gets_event("failing", "k").await;
    let data = &failing.event()["data"];
    assert!(
        data["detail"].is_string() && data["remedy"].is_string(),
        "{data}"
    );
    assert_eq!(
        data["runbook"],
        "docs/operations.md#flashbackrotatorkeyoutofsync"
    );
    rotator.event("notification_sent", |_| true).await;
    for kills in [true, false] {
        match kills {
            true => rotator.kill(),
            false => assert!(rotator.stop().await.success()),
        }
        rotator.start();
        rotator.ready().await;
        // Each process that tells anything has told `missing` of the other key.
        let secrets = rotator.path().join("secrets");
        std::fs::remove_file(secrets.join("other")).expect("removed");
        let before = receiver.requests().len();
        receiver
            .gets("missing", |request| request.text().contains("missing"))
            .await;
        eventually("told of the other key", || async {
            (receiver.requests().len() > before).then_some(())
        })
        .await;
        rotator.put("other", "sk-other-1");
        let recovered = if kills { 1 } else { 2 };
        eventually("the other key is well again", || async {
            let events = receiver.events();
            let count = events.iter().filter(|it| *it == "recovered other").count();
            (count == recovered).then_some(())
        })
        .await;
    }
    // What ends while nobody is there is told, too.
    assert!(rotator.stop().await.success());
    rotator.put("k", "sk-canary-well");
    rotator.start();
    let recovered = receiver.gets_event("recovered", "k").await;
    assert_eq!(recovered.event()["data"]["was"], "failing");
    let of_k: Vec<String> = receiver
        .events()
        .into_iter()
        .filter(|it| it.ends_with(" k"))
        .collect();
    assert_eq!(of_k, ["failing k", "recovered k"]);
    tells_no_secret(&rotator, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_is_told_once_and_not_for_each_of_its_keys() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let on = ["failing", "source_down", "flashback_down", "recovered"];
    let notify = cloudevents(&on, "1s");
    let keys = ["a", "b", "c"];
    let mut rotator = rotator(&sandbox, &receiver, &notify, &keys);
    keys.iter()
        .for_each(|key| rotator.put(key, &format!("sk-{key}-1")));
    rotator.start();
    rotator.ready().await;
    let (secrets, gone) = (rotator.path().join("secrets"), rotator.path().join("gone"));
    std::fs::rename(&secrets, &gone).expect("renamed");
    let down = receiver.gets_event("source_down", "null").await.event();
    assert_eq!(down["data"]["source"], "files");
    assert_eq!(down["subject"], "sources/files");
    std::fs::rename(&gone, &secrets).expect("renamed");
    receiver.gets_event("recovered", "null").await;

    sandbox.change(|switches| switches.faults = vec![Rule::status(503)]);
    keys.iter()
        .for_each(|key| rotator.put(key, &format!("sk-{key}-2")));
    receiver.gets_event("flashback_down", "null").await;
    sandbox.change(|switches| switches.faults.clear());
    for key in keys {
        arrives(&sandbox, key, &format!("sk-{key}-2")).await;
    }
    eventually("Flashback is back", || async {
        let events = receiver.events();
        (events.len() >= 4).then_some(())
    })
    .await;
    let events = receiver.events();
    let expected = [
        "source_down null",
        "recovered null",
        "flashback_down null",
        "recovered null",
    ];
    assert_eq!(events, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_refuses_is_said_and_not_sent_again() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    receiver
        .answer(json!([{ "status": 410, "body": "gone for good: canary-of-the-receiver" }]))
        .await;
    let notify = cloudevents(&["rotated", "held"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &["k"]);
    rotator.put("k", "sk-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-1").await;
    rotator.put("k", "sk-2");
    let failed = rotator.event("notification_failed", |_| true).await;
    let error = failed["error"].as_str().expect("an error");
    assert!(error.starts_with("the receiver answered 410"), "{error}");
    // The next one is tried all the same, and a receiver that asks for time gets it.
    let busy = json!([
        { "status": 429, "headers": { "retry-after": "2" } },
        { "status": 204 },
    ]);
    receiver.answer(busy).await;
    rotator.put("k", "sk-3");
    let sent = rotator.event("notification_sent", |_| true).await;
    assert_eq!(sent["attempt"], 2);
    let requests = receiver.requests();
    let [refused, busy, taken] = &requests[..] else {
        panic!("{:?}", receiver.events());
    };
    assert_ne!(refused.header("webhook-id"), busy.header("webhook-id"));
    assert_eq!(busy.header("webhook-id"), taken.header("webhook-id"));
    assert!(taken.at() - busy.at() >= 2.0);
    for (outcome, count) in [("refused", 1.0), ("delivered", 1.0), ("dropped", 0.0)] {
        let series = format!("notifications_total{{receiver=\"ops\",outcome=\"{outcome}\"}}");
        assert_eq!(metric(&rotator, &series).await, Some(count), "{outcome}");
    }
    tells_no_secret(&rotator, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_who_is_told_what_and_doubles_nothing() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let cloud = cloudevents(&["rotated"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &cloud, &["k"]);
    rotator.put("k", "sk-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-1").await;
    rotator.put("k", "sk-2");
    receiver.gets_event("rotated", "k").await;
    // Another receiver comes, and its secret goes.
    let slack = Receiver::table("people", "slack", &["rotated", "rolled_back", "held"], "0s");
    let slack = slack.lines().filter(|line| !line.starts_with("secret"));
    let slack = slack.collect::<Vec<_>>().join("\n");
    let key = file_key("k");
    let verify = "[verify]\ngrace = \"1s\"\n";
    rotator.configure(
        &sandbox.url(),
        &format!("{QUICK}{verify}{cloud}{slack}\n{key}"),
    );
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
    // A key that does not work is rolled back from: people are told to revoke nothing.
    sandbox.change(|switches| {
        switches.refused_secrets = [sha256_hex("sk-bad")].into();
    });
    rotator.put("k", "sk-bad");
    let rolled_back = receiver
        .gets("a roll-back", |request| {
            request.text().contains("was rolled back to version")
        })
        .await;
    let text = rolled_back.event()["text"].to_string();
    assert!(
        text.contains("Revoke no older version") && text.contains("docs/operations.md#"),
        "{text}"
    );
    arrives(&sandbox, "k", "sk-3").await;
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
async fn a_version_that_is_too_old_is_seen_everywhere() {
    let (sandbox, receiver) = (sandbox(Options::default()).await, Receiver::start().await);
    let notify = cloudevents(&["old", "recovered"], "0s");
    let mut rotator = rotator(&sandbox, &receiver, &notify, &["k"]);
    let config = std::fs::read_to_string(rotator.config()).expect("a configuration");
    rotator.write_config(&format!("{config}max_age = \"3s\"\n"));
    rotator.put("k", "sk-1");
    rotator.start();
    arrives(&sandbox, "k", "sk-1").await;
    let old = receiver.gets_event("old", "k").await.event();
    let detail = old["data"]["detail"].as_str().expect("a detail");
    assert!(detail.contains("max_age is 3s"), "{detail}");
    let row = rotator.json(&["status"]).await["keys"][0].clone();
    assert_eq!(row["state"], "in_sync", "{row}");
    assert!(
        row["error"].is_null() && row["warning"].is_string(),
        "{row}"
    );
    let table = rotator.command(&["status"]).await.stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    assert!(table.contains("max_age is 3s"), "{table}");
    let page = reqwest::get(rotator.http().await).await.expect("a page");
    let page = page.text().await.expect("text");
    assert!(page.contains("max_age is 3s"));
    let created_at = row["version_created_at"].as_str().expect("a time");
    let created_at = chrono::DateTime::parse_from_rfc3339(created_at).expect("a time");
    let series = "key_version_created_timestamp_seconds{key=\"k\"}";
    let shown = metric(&rotator, series).await.expect("a sample");
    assert!((shown - created_at.timestamp_micros() as f64 / 1e6).abs() < 0.001);
    assert_eq!(
        metric(&rotator, "key_max_age_seconds{key=\"k\"}").await,
        Some(3.0)
    );
    // A rotation makes it young, and a push of the same value does not.
    rotator.command(&["sync", "--force"]).await;
    assert_eq!(metric(&rotator, series).await, Some(shown));
    rotator.put("k", "sk-2");
    receiver.gets_event("recovered", "k").await;
    assert!(metric(&rotator, series).await > Some(shown));
}

/// What is told is told by whoever holds the key, also after that one is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_tell_each_thing_once() {
    use crate::support::postgres::Postgres;
    use crate::support::replicas::Replicas;
    let database = Postgres::shared().await.database().await;
    let receiver = Receiver::start().await;
    let notify = cloudevents(&["rotated", "failing", "recovered"], "1s");
    let rest = format!("{QUICK}{notify}");
    let mut replicas = Replicas::new(&database, "3s", 4, &rest).await;
    for _ in 0..2 {
        let rotator = replicas.add();
        receiver.place(rotator.path());
    }
    replicas.evenly(2).await;
    replicas.arrived(0).await;
    replicas.rotate(1);
    replicas.arrived(1).await;
    for key in replicas.keys() {
        receiver.gets_event("rotated", key).await;
    }
    replicas.put("k00", "sk-bad with a space");
    replicas.put("k01", "sk-bad with a space");
    for key in ["k00", "k01"] {
        receiver.gets_event("failing", key).await;
    }
    // Told, and known to be told.
    for rotator in &replicas.all {
        eventually("all is sent", || async {
            let sent: usize = replicas
                .all
                .iter()
                .map(|it| it.count("notification_sent"))
                .sum();
            (sent == receiver.requests().len()).then_some(())
        })
        .await;
        assert_eq!(rotator.count("notification_failed"), 0);
    }
    replicas.all[0].kill();
    replicas.evenly(1).await;
    replicas.put("k00", "sk-k00-2");
    replicas.put("k01", "sk-k01-2");
    for key in ["k00", "k01"] {
        receiver.gets_event("recovered", key).await;
    }
    let mut events = receiver.events();
    events.retain(|event| !event.starts_with("rotated"));
    events.sort();
    let expected = [
        "failing k00",
        "failing k01",
        "recovered k00",
        "recovered k01",
    ];
    assert_eq!(events, expected);
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
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("add `source_down`"),
        "{said}"
    );
    let _: Value = json!({});
}
