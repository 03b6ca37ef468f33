//! What a daemon leaves of itself, in SQLite.

use chrono::Utc;
use rusqlite::{OptionalExtension as _, params};

use super::desk::Desk;
use crate::model::{DaemonReport, LastReport};

/// The row of `meta`: one daemon at a time works on a file.
const ROW: &str = "daemon";

impl Desk {
    pub(super) fn leave_report(
        &mut self,
        report: DaemonReport,
        stopped: bool,
    ) -> rusqlite::Result<()> {
        let at = Utc::now();
        let left = serde_json::to_vec(&LastReport {
            report,
            at,
            stopped,
        });
        let left = left.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.write(|transaction| {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
                .execute(params![ROW, left])?;
            Ok(())
        })
    }

    /// What was left last. What a version to come has left, and this one cannot read, is passed over.
    pub(super) fn last_report(&mut self) -> rusqlite::Result<Option<LastReport>> {
        let left: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
            .query_row([ROW], |row| row.get(0))
            .optional()?;
        Ok(left.and_then(|left| serde_json::from_slice(&left).ok()))
    }
}
