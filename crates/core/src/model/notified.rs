//! The notifications that receivers have been sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ReceiverId;

/// The notices about one subject that were sent, or are to be sent, to a receiver of notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// The receiver.
    pub receiver: ReceiverId,
    /// The subject, in the notifier's own words: a key, a source or Flashback.
    pub subject: String,
    /// The event that is the case now; `None` if all is well.
    pub event: Option<String>,
    /// Since when there is something wrong, or nothing any more.
    pub since: DateTime<Utc>,
    /// The event that the receiver was last sent; `None` if it was sent that all is well, or nothing.
    pub told: Option<String>,
}

impl Notified {
    /// Returns `true` if there is nothing to remember: all is well, and the receiver believes so.
    pub fn is_over(&self) -> bool {
        self.event.is_none() && self.told.is_none()
    }
}
