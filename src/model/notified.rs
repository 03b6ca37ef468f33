//! What receivers of notifications know.

use chrono::{DateTime, Utc};

use super::ReceiverId;

/// What a receiver has been told of a subject, and what it is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Whom.
    pub receiver: ReceiverId,
    /// Of what: a key, a source, Flashback. The notifier's own word for it.
    pub subject: String,
    /// What is wrong with the subject now; `None` where nothing is.
    pub event: Option<String>,
    /// Since when that has been so.
    pub since: DateTime<Utc>,
    /// What the receiver was last told of it; `None` where it believes that all is well.
    pub told: Option<String>,
}

impl Notified {
    /// Whether there is nothing to remember: all is well, and the receiver believes so.
    pub fn is_over(&self) -> bool {
        self.event.is_none() && self.told.is_none()
    }
}
