//! A receiver that is away, hangs or refuses.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_to_a_receiver_that_was_down_for_half_a_minute() {
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
    receiver.gets("a notice", |_| true).await;
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
async fn a_refused_notification_is_logged_and_not_sent_again() {
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
