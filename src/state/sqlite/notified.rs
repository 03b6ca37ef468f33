//! What receivers of notifications know, in SQLite.

use rusqlite::{Transaction, params};

use super::columns::Time;
use super::desk::Desk;
use crate::model::{Notified, ReceiverId};

impl Desk {
    pub(super) fn notified(&mut self) -> rusqlite::Result<Vec<Notified>> {
        self.connection
            .prepare_cached("SELECT receiver, subject, event, since, told FROM notified")?
            .query_map([], |row| {
                Ok(Notified {
                    receiver: ReceiverId::new(row.get::<_, String>(0)?),
                    subject: row.get(1)?,
                    event: row.get(2)?,
                    since: row.get::<_, Time>(3)?.0,
                    told: row.get(4)?,
                })
            })?
            .collect()
    }

    pub(super) fn save_notified(&mut self, lines: &[Notified]) -> rusqlite::Result<()> {
        self.write(|transaction| lines.iter().try_for_each(|line| put(transaction, line)))
    }
}

fn put(transaction: &Transaction<'_>, line: &Notified) -> rusqlite::Result<()> {
    if line.is_over() {
        transaction
            .prepare_cached("DELETE FROM notified WHERE receiver = ?1 AND subject = ?2")?
            .execute(params![line.receiver.as_str(), line.subject])?;
        return Ok(());
    }
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO notified (receiver, subject, event, since, told)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            line.receiver.as_str(),
            line.subject,
            line.event,
            Time(line.since),
            line.told,
        ])?;
    Ok(())
}
