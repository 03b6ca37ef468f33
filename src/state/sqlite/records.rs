//! Records, notes of checks and the audit trail.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, ToSql, Transaction, params};

use super::columns::Time;
use super::place::Place;
use crate::model::{AiLlmId, CheckNote, HistoryRow, KeyId, Record, Verifier};
use crate::state::{StateError, document};

/// The row that a statement has read, or the reason why its contents are invalid.
type Read<T> = rusqlite::Result<Result<T, StateError>>;

/// Reads every record there is, and those of `more` keys, sorted by key.
pub(super) fn load_all(
    connection: &Connection,
    more: &[KeyId],
    place: &Place,
) -> Read<Vec<Record>> {
    let keys =
        "SELECT key FROM keys UNION SELECT key FROM looks UNION SELECT value FROM json_each(?1)";
    connection
        .prepare_cached(&records_of(keys))?
        .query_map([document::of(&more)], |row| record(row, place))?
        .collect()
}

/// Reads one record; a new one where there is none.
pub(super) fn load(connection: &Connection, key: &KeyId, place: &Place) -> Read<Record> {
    connection
        .prepare_cached(&records_of("SELECT ?1 AS key"))?
        .query_row([key.as_str()], |row| record(row, place))
}

/// Selects the records of these keys.
fn records_of(keys: &str) -> String {
    format!(
        "SELECT n.key, k.document, l.note FROM ({keys}) n
         LEFT JOIN keys k ON k.key = n.key LEFT JOIN looks l ON l.key = n.key ORDER BY n.key"
    )
}

fn record(row: &Row<'_>, place: &Place) -> Read<Record> {
    let key = KeyId::new(row.get_ref("key")?.as_str()?);
    let document = row.get_ref("document")?.as_str_or_null()?;
    let note = row.get_ref("note")?.as_str_or_null()?;
    Ok(document::record_with_note(key, document, note, place))
}

pub(super) fn put_record(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO keys (key, ai_llm_id, document) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![
            record.key.as_str(),
            record.ai_llm_id.as_ref().map(AiLlmId::as_str),
            document::of_record(record),
        ])?;
    Ok(())
}

pub(super) fn put_look(
    transaction: &Transaction<'_>,
    key: &KeyId,
    note: &CheckNote,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO looks (key, note) VALUES (?1, ?2)")?
        .execute([key.as_str(), &document::of(note)])?;
    Ok(())
}

pub(super) fn put_history(transaction: &Transaction<'_>, row: &HistoryRow) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO history (at, key, outcome, verified_by, line)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            Time(row.at),
            row.key.as_str(),
            row.outcome.as_str(),
            row.verified_by,
            document::of(row),
        ])?;
    Ok(())
}

/// Writes what has verified the last write of a key that succeeded into its line of the audit trail.
pub(super) fn put_verified(
    transaction: &Transaction<'_>,
    key: &KeyId,
    by: Verifier,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE history SET verified_by = ?2 WHERE id =
                 (SELECT max(id) FROM history WHERE key = ?1 AND outcome = 'succeeded')",
        )?
        .execute(params![key.as_str(), by.as_str()])?;
    Ok(())
}

/// Reads the audit trail, the newest line first.
pub(super) fn history(
    connection: &Connection,
    key: Option<&KeyId>,
    since: Option<DateTime<Utc>>,
    limit: Option<u32>,
    place: &Place,
) -> Read<Vec<HistoryRow>> {
    let limit = limit.map_or(-1, i64::from);
    let since = since.map(Time);
    let rows = |of_key: &str, parameters: &[&dyn ToSql]| {
        let sql = format!(
            "SELECT line, verified_by FROM history
             WHERE {of_key} (?1 IS NULL OR at >= ?1) ORDER BY id DESC LIMIT ?2"
        );
        connection
            .prepare_cached(&sql)?
            .query_map(parameters, |row| history_row(row, place))?
            .collect()
    };
    match key {
        Some(key) => rows("key = ?3 AND", &[&since, &limit, &key.as_str()]),
        None => rows("", &[&since, &limit]),
    }
}

fn history_row(row: &Row<'_>, place: &Place) -> Read<HistoryRow> {
    let verified_by = row.get("verified_by")?;
    let line = document::read(row.get_ref("line")?.as_str()?, place);
    Ok(line.map(|line| HistoryRow {
        verified_by,
        ..line
    }))
}
