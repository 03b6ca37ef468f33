//! The sign-in of a source, for the clients of other services in the same account.

use std::error::Error;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use super::config::AwsConfig;
use super::error::{Answer, Call, DELETE, RECEIVE};
use super::session::Sessions;
use crate::source::contract::SourceError;

/// The account that a source signs in to.
pub struct Account(Sessions);

/// An operation on a queue, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOperation {
    /// Messages are taken.
    Receive,
    /// Messages are deleted.
    Delete,
}

impl Account {
    /// Returns the account that a source with these settings signs in to. Nothing is read or called before it is used.
    pub fn new(config: AwsConfig) -> Self {
        Self::with_loader(config, || {
            aws_config::defaults(BehaviorVersion::v2026_01_12())
        })
    }

    /// Returns an account like [`new`](Self::new), but takes the SDK's own settings from `loader` and not from the
    /// process's environment.
    pub fn with_loader(
        config: AwsConfig,
        loader: impl Fn() -> ConfigLoader + Send + Sync + 'static,
    ) -> Self {
        Self(Sessions::new(config, Box::new(loader)))
    }

    /// Loads the settings for the client of a service, credentials included. The credentials are fetched when the
    /// client first needs them.
    ///
    /// # Errors
    /// Returns [`SourceError::SignIn`] if there is no region.
    pub async fn settings(&self) -> Result<SdkConfig, SourceError> {
        self.0.base().await.map(|base| base.settings)
    }
}

/// The codes of an answer about a queue that does not exist: of the JSON protocol, and of the one before it, whose codes
/// SQS still sends (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>).
const NO_QUEUE: [&str; 2] = [
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
];

/// Returns the meaning of an error of the SDK; `None` if there is no such queue.
pub fn explain_queue<E>(
    operation: QueueOperation,
    queue: &str,
    error: &SdkError<E>,
) -> Option<SourceError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let code = error.as_service_error().and_then(E::code);
    if code.is_some_and(|code| NO_QUEUE.contains(&code)) {
        return None;
    }
    let operation = match operation {
        QueueOperation::Receive => RECEIVE,
        QueueOperation::Delete => DELETE,
    };
    let call = Call {
        operation,
        path: queue,
    };
    match call.explain::<(), E>(error) {
        Ok(Answer::NotFound) => None,
        Ok(Answer::Value(()) | Answer::WrongState) => Some(SourceError::Protocol {
            what: format!("{operation} was refused in the state that {queue} is in"),
            status: "state".to_owned(),
        }),
        Err(error) => Some(error),
    }
}
