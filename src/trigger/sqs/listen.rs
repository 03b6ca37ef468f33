//! The trigger: takes messages from the queue, and deletes them once what they say is scheduled.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, Region};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message as Received};
use tokio::time::Instant;

use super::failure::Failure;
use super::message::{Message, read};
use super::queue::Queue;
use crate::outbound::smithy;
use crate::source::SourceError;
use crate::source::aws::{Account, QueueOperation, explain_queue};
use crate::trigger::contract::{Ear, Trigger, TriggerError};

/// The longest time that SQS may wait for a message, in seconds, and the most messages of one answer
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).
const POLL: i32 = 20;
const MOST: i32 = 10;

/// The longest time of a call.
const WHOLE: Duration = Duration::from_secs(30);

/// The shortest time between calls that bring nothing, for a server that does not wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens to a queue.
pub struct Listener {
    queue: Queue,
    account: Account,
}

/// A queue, and the client for it.
struct Open<'a> {
    client: Client,
    queue: &'a str,
}

impl Listener {
    /// Returns a listener that signs in to `account`. It calls nothing before it listens.
    pub fn new(queue: Queue, account: Account) -> Self {
        Self { queue, account }
    }

    async fn open(&self) -> Result<Open<'_>, Failure> {
        let settings = self.account.settings().await.map_err(Failure::Call)?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_timeout(WHOLE)
            .build();
        let mut builder = Builder::from(&settings)
            .endpoint_url(&self.queue.endpoint)
            .http_client(smithy::http_client_within(WHOLE))
            .timeout_config(timeouts);
        if let Some(region) = &self.queue.region {
            builder = builder.region(Region::new(region.clone()));
        }
        Ok(Open {
            client: Client::from_conf(builder.build()),
            queue: &self.queue.url,
        })
    }
}

#[async_trait]
impl Trigger for Listener {
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError> {
        let queue = self.open().await?;
        // Waits for nothing, so that it is soon known if the queue can be read.
        let mut messages = queue.receive(0).await?;
        ear.up();
        loop {
            if !messages.is_empty() {
                hear(ear, &messages);
                ear.scheduled().await;
            }
            let asked_at = Instant::now();
            // The next ones are not kept waiting for the end of these.
            let deleted = queue.delete(messages);
            ((), messages) = tokio::try_join!(deleted, queue.receive(POLL))?;
            if messages.is_empty() {
                tokio::time::sleep_until(asked_at + PAUSE).await;
            }
        }
    }
}

fn hear(ear: &Ear, messages: &[Received]) {
    for message in messages {
        match read(message.body().unwrap_or_default()) {
            Message::Changed(heard) => ear.heard(heard),
            Message::Other => ear.passed_over("ignored"),
            Message::Malformed => ear.passed_over("malformed"),
        }
    }
}

impl Open<'_> {
    async fn receive(&self, wait: i32) -> Result<Vec<Received>, Failure> {
        let request = self.client.receive_message().queue_url(self.queue);
        let request = request.max_number_of_messages(MOST).wait_time_seconds(wait);
        match request.send().await {
            Ok(answer) => Ok(answer.messages.unwrap_or_default()),
            Err(error) => {
                let why = explain_queue(QueueOperation::Receive, self.queue, &error);
                Err(self.failed(why))
            }
        }
    }

    /// Deletes messages. One that cannot be deleted is delivered again, which costs a check.
    async fn delete(&self, messages: Vec<Received>) -> Result<(), Failure> {
        if messages.is_empty() {
            return Ok(());
        }
        let receipts = messages
            .into_iter()
            .filter_map(|message| message.receipt_handle);
        let entries: Vec<_> = receipts
            .enumerate()
            .filter_map(|(number, receipt)| {
                let entry = DeleteMessageBatchRequestEntry::builder();
                let entry = entry.id(number.to_string()).receipt_handle(receipt);
                entry.build().ok()
            })
            .collect();
        let request = self.client.delete_message_batch().queue_url(self.queue);
        match request.set_entries(Some(entries)).send().await {
            Ok(answer) if answer.successful().is_empty() => {
                Err(Failure::NotDeleted(self.queue.to_owned()))
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let why = explain_queue(QueueOperation::Delete, self.queue, &error);
                Err(self.failed(why))
            }
        }
    }

    fn failed(&self, why: Option<SourceError>) -> Failure {
        match why {
            Some(error) => Failure::Call(error),
            None => Failure::NoQueue(self.queue.to_owned()),
        }
    }
}
