//! The notifications that receivers have been sent.

use chrono::{DateTime, Utc};

use super::ReceiverId;

/// The last notification of a subject to a receiver, and what is wrong with the subject now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// The receiver.
    pub receiver: ReceiverId,
    /// The subject: a key, a source or Flashback, in the notifier's own notation.
    pub subject: String,
    /// The event that is the case now; `None` if all is well.
    pub event: Option<String>,
    /// The time since which that has been so.
    pub since: DateTime<Utc>,
    /// The event that the receiver was last sent; `None` if it was sent that all is well, or nothing.
    pub told: Option<String>,
}

impl Notified {
    /// Returns whether there is nothing to remember: all is well, and the receiver was sent nothing to the
    /// contrary.
    pub fn is_over(&self) -> bool {
        self.event.is_none() && self.told.is_none()
    }
}
