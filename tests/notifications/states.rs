//! States: told once, whoever tells them, and not for each key where one thing is away.

use flashback_rotator::flashback::sandbox::Rule;
use flashback_rotator::state::StateStore as _;
use flashback_rotator::state::sqlite::Sqlite;

use super::*;
use crate::support::get;
use crate::support::postgres::Postgres;
use crate::support::replicas::Replicas;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifies_once_of_a_lasting_state_across_restarts() {
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
    // What was told and is not on record yet would be told once more after a kill.
    let state = Sqlite::open_beside(&rotator.path().join("state.db"));
    let state = state.expect("a state").expect("one that is there");
    eventually("what was told is on record", || async {
        let notified = state.notified().await.expect("what was told");
        let told = notified.iter().filter_map(|line| line.told.as_deref());
        told.into_iter().find(|told| *told == "failing").map(drop)
    })
    .await;
    drop(state);
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
async fn notifies_once_of_an_outage_and_not_for_each_key() {
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
    assert!(detail.contains("max_age is 3 s"), "{detail}");
    let row = rotator.json(&["status"]).await["keys"][0].clone();
    assert_eq!(row["state"], "in_sync", "{row}");
    assert!(
        row["error"].is_null() && row["warning"].is_string(),
        "{row}"
    );
    let table = rotator.command(&["status"]).await.stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    assert!(table.contains("max_age is 3 s"), "{table}");
    let page = get(rotator.http().await).await.expect("a page");
    let page = page.text().await.expect("text");
    assert!(page.contains("max_age is 3 s"));
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
    // Told, and kept for whoever has the keys next.
    let admin = Postgres::shared().await.admin(&database.name).await;
    eventually("what was told is kept", async || {
        let sql = "SELECT count(*) FROM rotator_notified WHERE line LIKE '%\"told\":\"failing\"%'";
        let kept: i64 = admin.query_one(sql, &[]).await.ok()?.get(0);
        (kept == 2).then_some(())
    })
    .await;
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
