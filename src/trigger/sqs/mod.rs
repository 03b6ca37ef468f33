//! The events of AWS Secrets Manager, which EventBridge puts into an SQS queue.
//!
//! Secrets Manager sends "Secret Label Updated" to EventBridge by itself, without CloudTrail
//! (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/secret-event-notifications.html>), and a rule there
//! puts it into the queue. A message is deleted once what it says is scheduled, so that none is lost with a process:
//! the queue delivers it again.
//!
//! - `queue`: the settings; `message`: what a message says; `listen`: the trigger; `failure`: why it cannot listen

mod failure;
mod listen;
mod message;
mod queue;

use std::sync::Arc;

use super::contract::{Trigger, TriggerError};
use super::kind::{Context, Kind, TriggerKind};
use crate::source::aws::{Account, AwsConfig};
use queue::SqsTable;

pub use listen::Listener;
pub use queue::{Queue, SqsConfig};

/// The events of AWS Secrets Manager.
pub const KIND: Kind = Kind {
    name: "sqs",
    sources: &["aws-secrets-manager"],
    settings: SqsTable::ALL,
    reference: include_str!("reference.toml"),
    implied: |_| None,
    read: |table| Some(Arc::new(SqsTable::read(table).finish()?)),
};

impl TriggerKind for SqsConfig {
    fn place(&self) -> String {
        format!("the queue {}", self.queue_url.url)
    }

    fn build(&self, context: Context<'_>) -> Result<Box<dyn Trigger>, TriggerError> {
        let Some(source) = context.settings_of::<AwsConfig>() else {
            return Err(TriggerError(
                "a queue has the events of AWS Secrets Manager alone".to_owned(),
            ));
        };
        let account = Account::new(source.clone());
        Ok(Box::new(Listener::new(self.queue_url.clone(), account)))
    }
}
