//! The report of a daemon, in SQLite.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::columns::Json;
use crate::model::LastReport;

/// The row of `meta`: one daemon at a time works on a file.
const ROW: &str = "daemon";

pub(super) fn leave(transaction: &Transaction<'_>, report: &LastReport) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
        .execute(params![ROW, Json(report)])?;
    Ok(())
}

/// Returns the last report. A report of a newer version, which this one cannot read, is skipped.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Option<LastReport>> {
    let left: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([ROW], |row| row.get(0))
        .optional()?;
    Ok(left.and_then(|left| serde_json::from_str(&left).ok()))
}
