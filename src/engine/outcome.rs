//! The outcome of a write that Flashback has accepted.

use chrono::{DateTime, Utc};

use crate::model::{Action, HistoryRow, Record};
use crate::reconcile::Reason;

/// A write that Flashback has accepted, and what is to be saved and logged about it.
#[derive(Debug)]
pub struct Written {
    /// The record before the write.
    pub before: Record,
    /// The record after the write.
    pub record: Record,
    /// Its line of the audit trail.
    pub row: Option<HistoryRow>,
    /// The kind of write.
    pub action: Action,
    /// The reason for it.
    pub reason: Reason,
    /// The number of the try within its round.
    pub attempt: u32,
    /// `true` if a configuration that was gone was created again.
    pub again: bool,
    /// The time at which the source got the value, if it says so.
    pub stored_at: Option<DateTime<Utc>>,
}
