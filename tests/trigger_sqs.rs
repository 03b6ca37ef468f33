//! The trigger of AWS Secrets Manager: EventBridge puts its events into a queue of SQS.

use aws_sdk_secretsmanager::config::Credentials;
use flashback_rotator::model::{SourceId, Version};
use flashback_rotator::source::aws::{Account, AwsConfig};
use flashback_rotator::trigger::sqs::{self, Listener};
use serde_json::json;
use url::Url;

use crate::support::aws::{Aws, BOTH, Emulator, administrator, loader_at};
use crate::support::policies::policy;
use crate::support::queue::{Queue, event, send_rotations};
use crate::support::triggers::Listening;

/// Listens to a queue of an emulator.
fn listen(aws: &Aws, queue: &Queue, credentials: Credentials) -> Listening {
    listening(aws.url(), &queue.url, credentials)
}

fn listening(endpoint: &str, url: &str, credentials: Credentials) -> Listening {
    let endpoint = endpoint.to_owned();
    let account = Account::with_loader(AwsConfig::default(), move || {
        loader_at(&endpoint).credentials_provider(credentials.clone())
    });
    let queue = sqs::Queue::of(url, &Url::parse(url).expect("a URL")).expect("a queue");
    let listener = Listener::new(queue, account);
    Listening::to(SourceId::new("aws"), Box::new(listener))
}

#[tokio::test]
async fn a_rotation_comes_through_event_bridge_with_its_version() {
    let aws = Aws::start(Emulator::Ministack).await;
    let events = Queue::new(&aws, "through-event-bridge", 60).await;
    send_rotations(&aws, &[&events]).await;
    let mut listening = listen(&aws, &events, administrator());
    listening.is_up().await;

    aws.create("events/key", "one").await;
    let version = aws.put("events/key", "two").await;
    let expected = Some(Version::new(&version));
    let heard = loop {
        let mut heard = listening.news().await.heard.into_values();
        if let Some(heard) = heard.find(|heard| heard.version == expected) {
            break heard;
        }
    };
    assert_eq!(heard.paths[0], "events/key");
    let is_arn = |path: &String| path.starts_with("arn:aws:secretsmanager:");
    assert!(heard.paths[1..].iter().all(is_arn), "{heard:?}");
    assert_eq!(
        heard.paths.len(),
        3,
        "with and without its suffix: {heard:?}"
    );
    assert!(heard.at.is_some());
    aws.put_pending("events/key", "three").await;
    listening.idle();
    events.is_empty().await;
}

#[tokio::test]
async fn a_message_is_deleted_once_it_is_scheduled_and_not_before() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let events = Queue::new(aws, "scheduled", 2).await;
        events.send(event("team/key", "AWSCURRENT", "one")).await;
        let mut stopped = listen(aws, &events, administrator());
        // Taken and not scheduled: the process ends here.
        stopped.hears_of("team/key").await;
        drop(stopped);
        let mut listening = listen(aws, &events, administrator());
        listening.hears_of("team/key").await;
        listening.idle();
        events.is_empty().await;
    }
}

#[tokio::test]
async fn what_is_no_rotation_is_counted_and_deleted() {
    let aws = Aws::shared(Emulator::Moto).await;
    let events = Queue::new(aws, "others", 60).await;
    events.send("canary, and no JSON").await;
    events
        .send(event("team/key", "FLASHBACK_LIVE", "one"))
        .await;
    events
        .send(json!({"source": "aws.s3", "detail": ["canary"]}))
        .await;
    events.send(event("team/key", "AWSCURRENT", "two")).await;
    let mut listening = listen(aws, &events, administrator());
    listening.hears_of("team/key").await;
    listening.idle();
    events.is_empty().await;
    let metrics = listening.metrics.render();
    for (outcome, count) in [("heard", 1), ("ignored", 2), ("malformed", 1)] {
        let line = format!("outcome=\"{outcome}\"}} {count}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn the_policy_is_all_it_takes_and_less_is_named() {
    let aws = Aws::start_strict(Emulator::Moto).await;
    let events = Queue::new(&aws, "policy", 1).await;
    // moto takes every call for one on `*`.
    let least = policy("aws-sqs.json");
    let least = least.replace("arn:aws:sqs:eu-west-1:123456789012:flashback-rotator", "*");
    let all = aws.user("all", &least).await;
    let keeps = least.replace("sqs:DeleteMessage", "sqs:GetQueueUrl");
    let keeps = aws.user("keeps", &keeps).await;
    let deaf = least.replace("sqs:ReceiveMessage", "sqs:GetQueueUrl");
    let deaf = aws.user("deaf", &deaf).await;
    events.send(event("team/key", "AWSCURRENT", "one")).await;
    aws.enforce_policies().await;

    let error = listen(&aws, &events, deaf).ends().await;
    assert!(error.contains("sqs:ReceiveMessage on `http"), "{error}");
    let mut keeping = listen(&aws, &events, keeps);
    keeping.hears_of("team/key").await;
    keeping.idle();
    let error = keeping.ends().await;
    assert!(error.contains("sqs:DeleteMessage on `http"), "{error}");
    let mut listening = listen(&aws, &events, all);
    listening.hears_of("team/key").await;
    listening.idle();
}

#[tokio::test]
async fn says_what_is_wrong_with_the_queue() {
    for emulator in BOTH {
        let aws = Aws::shared(emulator).await;
        let url = format!("{}/123456789012/nothing", aws.url());
        let error = listening(aws.url(), &url, administrator()).ends().await;
        assert!(error.contains("there is no queue"), "{emulator:?}: {error}");
    }
    let url = "http://127.0.0.1:9/123456789012/queue";
    let error = listening("http://127.0.0.1:9", url, administrator())
        .ends()
        .await;
    assert!(error.contains("Amazon SQS: "), "{error}");
}
