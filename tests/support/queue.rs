//! Queues of SQS, and EventBridge, which puts the events of Secrets Manager into them.

use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use flashback_rotator::outbound::smithy;
use serde_json::{Value, json};
use url::Url;

use super::aws::{Aws, REGION, administrator};
use super::{client, eventually};

/// A queue of an emulator.
pub struct Queue {
    pub client: aws_sdk_sqs::Client,
    pub url: String,
}

impl Queue {
    /// Makes a queue that delivers a message again if it is not deleted within this number of seconds.
    pub async fn new(aws: &Aws, name: &str, again: u32) -> Self {
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
        let url = format!("{}{}", aws.url(), url.path());
        Self { client, url }
    }

    pub async fn send(&self, body: impl ToString) {
        let message = self.client.send_message().queue_url(&self.url);
        let sent = message.message_body(body.to_string()).send().await;
        sent.expect("sent");
    }

    /// Waits until nothing is in the queue, delivered or not.
    pub async fn is_empty(&self) {
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

/// Has EventBridge put the events of Secrets Manager into these queues of ministack.
pub async fn send_rotations(aws: &Aws, queues: &[&Queue]) {
    let rule = json!({
        "Name": "rotations",
        "EventPattern": json!({"source": ["aws.secretsmanager"]}).to_string(),
    });
    event_bridge(aws, "PutRule", rule).await;
    let targets = queues.iter().map(|queue| {
        let name = queue.url.rsplit('/').next().expect("a name");
        json!({"Id": name, "Arn": format!("arn:aws:sqs:{REGION}:000000000000:{name}")})
    });
    let body = json!({"Rule": "rotations", "Targets": targets.collect::<Vec<_>>()});
    event_bridge(aws, "PutTargets", body).await;
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

/// Returns the event of a label that was moved.
pub fn event(name: &str, label: &str, version: &str) -> Value {
    json!({
        "version": "0",
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "time": "2026-01-02T03:04:05Z",
        "resources": [format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1b2c3")],
        "detail": {"name": name, "labelUpdated": label, "versionId": version},
    })
}
