//! The trigger of AWS Secrets Manager: EventBridge puts its events into a queue of SQS.

use aws_sdk_secretsmanager::config::Credentials;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use flashback_rotator::model::{SourceId, Version};
use flashback_rotator::outbound::smithy;
use flashback_rotator::source::aws::{Account, AwsConfig};
use flashback_rotator::trigger::sqs::{Listener, Queue};
use serde_json::{Value, json};
use url::Url;

use crate::support::aws::{Aws, BOTH, Emulator, REGION, administrator, loader_at};
use crate::support::policies::policy;
use crate::support::triggers::Listening;
use crate::support::{client, eventually};

/// A queue of an emulator.
struct Events {
    client: aws_sdk_sqs::Client,
    endpoint: String,
    url: String,
}

impl Events {
    /// Makes a queue that delivers a message again after this number of seconds.
    async fn new(aws: &Aws, name: &str, again: u32) -> Self {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(smithy::http_client())
            .region(Region::new(REGION))
            .endpoint_url(aws.url())
            .credentials_provider(administrator());
        let client = aws_sdk_sqs::Client::from_conf(config.build());
        let made = client.create_queue().queue_name(name);
        let made = made
            .attributes(QueueAttributeName::VisibilityTimeout, again.to_string())
            .send()
            .await
            .expect("made");
        let url = Url::parse(made.queue_url().expect("a URL")).expect("a URL");
        Self {
            client,
            endpoint: aws.url().to_owned(),
            url: format!("{}{}", aws.url(), url.path()),
        }
    }

    fn listening(&self, credentials: Credentials) -> Listening {
        listening(&self.endpoint, &self.url, credentials)
    }

    async fn send(&self, body: impl ToString) {
        let message = self.client.send_message().queue_url(&self.url);
        let sent = message.message_body(body.to_string()).send().await;
        sent.expect("sent");
    }

    /// Waits until nothing is in the queue, delivered or not.
    async fn is_empty(&self) {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        eventually("an empty queue", async || {
            let request = self.client.get_queue_attributes().queue_url(&self.url);
            let request = request.set_attribute_names(Some(counts.to_vec()));
            let counts = request.send().await.ok()?.attributes?;
            counts.values().all(|count| count == "0").then_some(())
        })
        .await;
    }
}

fn listening(endpoint: &str, url: &str, credentials: Credentials) -> Listening {
    let endpoint = endpoint.to_owned();
    let account = Account::with_loader(AwsConfig::default(), move || {
        loader_at(&endpoint).credentials_provider(credentials.clone())
    });
    let queue = Queue::of(url, &Url::parse(url).expect("a URL")).expect("a queue");
    let listener = Listener::new(queue, account);
    Listening::to(SourceId::new("aws"), Box::new(listener))
}

/// Calls EventBridge, for which there is no client here.
async fn event_bridge(aws: &Aws, operation: &str, body: Value) {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/events/aws4_request, SignedHeaders=host, Signature=0"
    );
    let answer = client()
        .post(aws.url())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("AWSEvents.{operation}"))
        .header("authorization", authorization)
        .body(body.to_string())
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{operation}: {answer:?}");
}

fn event(name: &str, label: &str, version: &str) -> Value {
    json!({
        "version": "0",
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "time": "2026-01-02T03:04:05Z",
        "resources": [format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1b2c3")],
        "detail": {"name": name, "labelUpdated": label, "versionId": version},
    })
}

#[tokio::test]
async fn a_rotation_comes_through_event_bridge_with_its_version() {
    let aws = Aws::start(Emulator::Ministack).await;
    let events = Events::new(&aws, "through-event-bridge", 60).await;
    let rule = json!({
        "Name": "rotations",
        "EventPattern": json!({"source": ["aws.secretsmanager"]}).to_string(),
    });
    event_bridge(&aws, "PutRule", rule).await;
    let name = events.url.rsplit('/').next().expect("a name");
    let arn = format!("arn:aws:sqs:{REGION}:000000000000:{name}");
    let targets = json!({"Rule": "rotations", "Targets": [{"Id": "queue", "Arn": arn}]});
    event_bridge(&aws, "PutTargets", targets).await;
    let mut listening = events.listening(administrator());
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
        let events = Events::new(aws, "scheduled", 2).await;
        events.send(event("team/key", "AWSCURRENT", "one")).await;
        let mut stopped = events.listening(administrator());
        // Taken and not scheduled: the process ends here.
        stopped.hears_of("team/key").await;
        drop(stopped);
        let mut listening = events.listening(administrator());
        listening.hears_of("team/key").await;
        listening.idle();
        events.is_empty().await;
    }
}

#[tokio::test]
async fn what_is_no_rotation_is_counted_and_deleted() {
    let aws = Aws::shared(Emulator::Moto).await;
    let events = Events::new(aws, "others", 60).await;
    events.send("canary, and no JSON").await;
    events
        .send(event("team/key", "FLASHBACK_LIVE", "one"))
        .await;
    events
        .send(json!({"source": "aws.s3", "detail": ["canary"]}))
        .await;
    events.send(event("team/key", "AWSCURRENT", "two")).await;
    let mut listening = events.listening(administrator());
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
    let events = Events::new(&aws, "policy", 1).await;
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

    let error = events.listening(deaf).ends().await;
    assert!(error.contains("sqs:ReceiveMessage on `http"), "{error}");
    let mut keeping = events.listening(keeps);
    keeping.hears_of("team/key").await;
    keeping.idle();
    let error = keeping.ends().await;
    assert!(error.contains("sqs:DeleteMessage on `http"), "{error}");
    let mut listening = events.listening(all);
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
