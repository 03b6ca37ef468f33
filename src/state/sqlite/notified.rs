//! The notices that were sent to receivers, in SQLite.

use rusqlite::{Connection, Transaction, params};

use super::columns::Json;
use crate::model::Notified;

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<Notified>> {
    connection
        .prepare_cached("SELECT line FROM notified")?
        .query_map([], |row| row.get::<_, Json<_>>(0).map(|line| line.0))?
        .collect()
}

pub(super) fn save(transaction: &Transaction<'_>, lines: &[Notified]) -> rusqlite::Result<()> {
    lines.iter().try_for_each(|line| put(transaction, line))
}

fn put(transaction: &Transaction<'_>, line: &Notified) -> rusqlite::Result<()> {
    let (receiver, subject) = (line.receiver.as_str(), &line.subject);
    if line.is_over() {
        transaction
            .prepare_cached("DELETE FROM notified WHERE receiver = ?1 AND subject = ?2")?
            .execute(params![receiver, subject])?;
        return Ok(());
    }
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO notified (receiver, subject, line) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![receiver, subject, Json(line)])?;
    Ok(())
}
