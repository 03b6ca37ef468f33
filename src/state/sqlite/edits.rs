//! Updates in Flashback, in SQLite.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::columns::Time;
use crate::model::{Edit, KeyId, Record, WorkspaceId};
use crate::state::edits::{Heard, OVERLAP};

pub(super) fn read_to(
    connection: &Connection,
    workspace: &WorkspaceId,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    connection
        .prepare_cached("SELECT read_to FROM watches WHERE workspace_id = ?1")?
        .query_row([workspace.as_str()], |row| row.get::<_, Time>(0))
        .optional()
        .map(|time| time.map(|time| time.0))
}

/// Reads the keys that have updates to examine.
pub(super) fn edited(connection: &Connection) -> rusqlite::Result<Vec<KeyId>> {
    connection
        .prepare_cached(
            "SELECT key FROM keys
             WHERE ai_llm_id IN (SELECT ai_llm_id FROM edits WHERE NOT heard)",
        )?
        .query_map([], |row| row.get::<_, String>(0).map(KeyId::new))?
        .collect()
}

/// Reads the updates that a key has to examine.
pub(super) fn unheard(connection: &Connection, key: &KeyId) -> rusqlite::Result<Vec<Edit>> {
    connection
        .prepare_cached(
            "SELECT id, user_id, own FROM edits WHERE NOT heard
             AND ai_llm_id = (SELECT ai_llm_id FROM keys WHERE key = ?1) ORDER BY id",
        )?
        .query_map([key.as_str()], |row| {
            Ok(Edit {
                id: row.get(0)?,
                user_id: row.get(1)?,
                own: row.get(2)?,
            })
        })?
        .collect()
}

/// Keeps the updates that were heard of in a workspace up to `read_to`.
pub(super) fn hear(
    transaction: &Transaction<'_>,
    workspace: &WorkspaceId,
    read_to: DateTime<Utc>,
    heard: &[Heard],
) -> rusqlite::Result<()> {
    for one in heard {
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO edits (id, ai_llm_id, user_id, own, at)
                 SELECT ?1, ?2, ?3, ?4, ?5
                 WHERE EXISTS (SELECT 1 FROM keys WHERE ai_llm_id = ?2)",
            )?
            .execute(params![
                one.edit.id,
                one.ai_llm_id.as_str(),
                one.edit.user_id,
                one.edit.own,
                Time(one.at),
            ])?;
    }
    transaction.execute(
        "INSERT OR REPLACE INTO watches (workspace_id, read_to) VALUES (?1, ?2)",
        params![workspace.as_str(), Time(read_to)],
    )?;
    // Twice the time for which they are asked for again.
    transaction.execute(
        "DELETE FROM edits WHERE at < ?1
         AND (heard OR ai_llm_id NOT IN (SELECT ai_llm_id FROM keys WHERE ai_llm_id IS NOT NULL))",
        [Time(read_to - OVERLAP * 2)],
    )?;
    Ok(())
}

/// Marks the updates that a record has heard of.
pub(super) fn put_heard(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    for id in &record.heard {
        transaction
            .prepare_cached("UPDATE edits SET heard = 1 WHERE id = ?1")?
            .execute([id])?;
    }
    Ok(())
}
