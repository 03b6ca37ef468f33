//! The writes of one call of `save`.

use rusqlite::Transaction;

use super::edits::put_heard;
use super::records::{put_history, put_look, put_record, put_verified};
use crate::model::{CheckNote, HistoryRow, Record, Verifier};

/// A record, and what is written with it.
pub(super) struct Save {
    pub record: Record,
    /// A line of the audit trail.
    pub row: Option<HistoryRow>,
    /// The verifier of the last write that succeeded.
    pub verified_by: Option<Verifier>,
    /// A note that was left before and that the record's own replaces.
    pub older: Option<CheckNote>,
}

impl Save {
    /// Writes all of it.
    pub(super) fn put(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        put_record(transaction, &self.record)?;
        put_heard(transaction, &self.record)?;
        put_look(transaction, &self.record.key, &self.record.look)?;
        if let Some(row) = &self.row {
            put_history(transaction, row)?;
        }
        if let Some(by) = self.verified_by {
            put_verified(transaction, &self.record.key, by)?;
        }
        Ok(())
    }
}
