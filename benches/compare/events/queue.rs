//! AWS Secrets Manager as the source: EventBridge puts its events into queues of SQS. One is the daemon's, and
//! another one shows how long an event takes until a program that does nothing else has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::sleep;

use super::rotations::{self, Rotation};
use super::row::{Latency, Row};
use crate::common::store::{name, secret};
use crate::common::support::aws::{Aws, Emulator};
use crate::common::support::configuration::{Configuration, aws as source, key};
use crate::common::support::queue::{Queue, send_rotations};
use crate::contest::{PATIENCE, SETTLING};
use crate::daemon::{Daemon, run};
use crate::flashback::Flashback;
use crate::length::Length;

/// The expected latency beyond the queue's.
const BEYOND: Duration = Duration::from_millis(50);

/// The seconds after which a message that was not deleted is delivered again.
const AGAIN: u32 = 30;

/// The time at which an event of each version was received.
type Received = Arc<Mutex<HashMap<String, DateTime<Utc>>>>;

/// Returns the figures of the bare reader, and those of the daemon.
pub async fn measure(length: &Length) -> [Row; 2] {
    let (keys, _) = length.events;
    let aws = Aws::start(Emulator::Ministack).await;
    let secrets = aws.client();
    let made = futures_util::stream::iter(0..keys).map(|key| {
        let request = secrets.create_secret().name(name(key));
        request.secret_string(secret(key, "first")).send()
    });
    made.buffer_unordered(8)
        .for_each(async |made| drop(made.expect("created")))
        .await;
    let [queue, bare] = [
        Queue::new(&aws, "daemon", AGAIN).await,
        Queue::new(&aws, "bare", AGAIN).await,
    ];
    send_rotations(&aws, &[&queue, &bare]).await;
    let flashback = Flashback::with(keys).await;
    let daemon = start(keys, &aws, &queue.url, &flashback);
    let filled = flashback.filled(keys, "first", PATIENCE);
    let stale = daemon.until(filled).await;
    assert_eq!(stale, 0, "a queue: not every key arrives at first");
    daemon.ready().await;
    daemon.hears().await;
    let received = Received::default();
    let reads = tokio::spawn(read(bare, received.clone()));
    sleep(SETTLING).await;

    let versions = Mutex::new(HashMap::new());
    let write = async |key: usize, value: &str| {
        let put = secrets.put_secret_value().secret_id(name(key));
        let put = put.secret_string(value).send().await.expect("put");
        let version = put.version_id.expect("a version");
        versions.lock().insert(value.to_owned(), version);
    };
    let (made, used) = rotations::make_beside(&[daemon.pid()], length, write).await;
    let latency = rotations::arrive(&flashback, &made).await;
    reads.abort();
    daemon.stop().await;
    let bare = received_after(&made, &versions.into_inner(), &received.lock());
    let within = bare.median().unwrap_or_default() + BEYOND;
    [
        Row {
            name: "EventBridge and SQS (ministack), to a program that only reads the queue"
                .to_owned(),
            latency: bare,
            calls: None,
            cpu: 0.0,
            expected: None,
        },
        Row {
            name: "EventBridge and SQS (ministack), `sqs`".to_owned(),
            latency,
            calls: None,
            cpu: used.cpu,
            expected: Some((within, None)),
        },
    ]
}

/// Returns how long each rotation took to reach the program that only reads.
fn received_after(
    made: &[Rotation],
    versions: &HashMap<String, String>,
    received: &HashMap<String, DateTime<Utc>>,
) -> Latency {
    let times = made.iter().filter_map(|rotation| {
        let at = received.get(versions.get(&rotation.secret)?)?;
        (*at - rotation.begun).to_std().ok()
    });
    let times: Vec<Duration> = times.collect();
    Latency {
        lost: made.len() - times.len(),
        times,
    }
}

/// Starts a daemon that listens to a queue.
fn start(keys: usize, aws: &Aws, queue: &str, flashback: &Flashback) -> Daemon {
    Daemon::start_as(|directory, http| {
        let mut configuration = Configuration::new(&flashback.sandbox.url());
        configuration.listen = http.to_owned();
        configuration = configuration
            .and("[schedule]\ncheck = \"10m\"\n")
            .and(source("aws", aws.url()))
            .and("max_rps = 100000\n")
            .and(format!(
                "[sources.aws.events]\ntype = \"sqs\"\nqueue_url = \"{queue}\"\n"
            ));
        for id in (0..keys).map(name) {
            configuration = configuration.and(key(&id, "aws", &id));
        }
        let mut command = run(directory, &configuration);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env(name, "test");
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command
    })
}

/// Receives events until it is aborted.
async fn read(queue: Queue, received: Received) {
    let Queue { client, url } = queue;
    loop {
        let request = client.receive_message().queue_url(&url);
        let request = request.wait_time_seconds(20).max_number_of_messages(10);
        let Ok(answer) = request.send().await else {
            continue;
        };
        let now = Utc::now();
        for message in answer.messages() {
            let body = serde_json::from_str::<Value>(message.body().unwrap_or_default());
            let body = body.expect("an event");
            if body["detail"]["labelUpdated"] == "AWSCURRENT"
                && let Some(version) = body["detail"]["versionId"].as_str()
            {
                received.lock().entry(version.to_owned()).or_insert(now);
            }
            let delete = client.delete_message().queue_url(&url);
            let handle = message.receipt_handle().expect("a handle");
            let deleted = delete.receipt_handle(handle).send().await;
            deleted.expect("deleted");
        }
    }
}
