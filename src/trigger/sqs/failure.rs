//! Why the queue cannot be listened to.

use crate::source::SourceError;
use crate::trigger::contract::TriggerError;

/// The reason why the queue cannot be listened to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// There is no such queue.
    #[error(
        "there is no queue {0}: check `queue_url` (`aws sqs get-queue-url` prints it), and the account that is signed in to"
    )]
    NoQueue(String),
    /// A call has failed.
    #[error("{0}")]
    Call(SourceError),
    /// SQS has deleted none of the messages that it was asked to.
    #[error(
        "Amazon SQS deletes none of the messages of {0}, and would deliver them again and again"
    )]
    NotDeleted(String),
}

impl From<Failure> for TriggerError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}
