//! Records, notes and history as rows, and back.

use std::time::Duration;

use rusqlite::{CachedStatement, Row, Transaction, named_params, params};
use serde::de::DeserializeOwned;

use super::columns::{Json, Time, Word};
use crate::model::{
    AiLlmId, CheckNote, Edits, HistoryRow, KeyId, Record, SourceId, Timeline, Verifier, Version,
};
use crate::state::usable_id;

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let text = |name| row.get::<_, Option<String>>(name);
    Ok(Record {
        key: KeyId::new(row.get::<_, String>("key")?),
        ai_llm_id: usable_id(text("ai_llm_id")?),
        seen: text("seen")?.map(Version::new),
        live: row.get::<_, Option<Json<_>>>("live")?.map(|json| json.0),
        intent: row.get::<_, Option<Json<_>>>("intent")?.map(|json| json.0),
        refusal: row.get::<_, Option<Json<_>>>("refusal")?.map(|json| json.0),
        held: row.get::<_, Option<Json<_>>>("held")?.map(|json| json.0),
        previous: later(row, "previous")?,
        verification: later(row, "trial")?,
        candidate: later(row, "candidate")?,
        told: later(row, "told")?,
        look: CheckNote::default(),
        lease: None,
        repair: None,
        edits: later(row, "edits")?.unwrap_or_default(),
        unheard: Vec::new(),
        heard: Vec::new(),
    })
}

/// A column that the first schema had not. A program of this version may read beside one of that.
fn later<T: DeserializeOwned>(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<T>> {
    match row.get::<_, Option<Json<T>>>(name) {
        Ok(found) => Ok(found.map(|json| json.0)),
        Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn put_record(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO keys (key, ai_llm_id, seen, live, intent, refusal, held,
                 previous, trial, candidate, told, edits)
             VALUES (:key, :ai_llm_id, :seen, :live, :intent, :refusal, :held,
                 :previous, :trial, :candidate, :told, :edits)",
        )?
        .execute(named_params! {
            ":key": record.key.as_str(),
            ":ai_llm_id": record.ai_llm_id.as_ref().map(AiLlmId::as_str),
            ":seen": record.seen.as_ref().map(Version::as_str),
            ":live": record.live.as_ref().map(Json),
            ":intent": record.intent.as_ref().map(Json),
            ":refusal": record.refusal.as_ref().map(Json),
            ":held": record.held.as_ref().map(Json),
            ":previous": record.previous.as_ref().map(Json),
            ":trial": record.verification.as_ref().map(Json),
            ":candidate": record.candidate.as_ref().map(Json),
            ":told": record.told.as_ref().map(Json),
            ":edits": Some(&record.edits).filter(|edits| **edits != Edits::default()).map(Json),
        })?;
    Ok(())
}

pub(super) fn look(row: &Row<'_>) -> rusqlite::Result<(KeyId, CheckNote)> {
    let time =
        |name| -> rusqlite::Result<_> { Ok(row.get::<_, Option<Time>>(name)?.map(|time| time.0)) };
    let note = CheckNote {
        checked_at: time("checked_at")?,
        next_at: time("next_at")?,
        problem: row.get::<_, Option<Json<_>>>("problem")?.map(|json| json.0),
        timeline: timeline(row)?,
    };
    Ok((KeyId::new(row.get::<_, String>("key")?), note))
}

/// Beside a process of the version before, the file has no such column yet.
fn timeline(row: &Row<'_>) -> rusqlite::Result<Timeline> {
    let text = match row.get::<_, Option<String>>("strip") {
        Err(rusqlite::Error::InvalidColumnName(_)) => None,
        text => text?,
    };
    Ok(text.as_deref().map(Timeline::parse).unwrap_or_default())
}

pub(super) fn looks<'a>(transaction: &'a Transaction<'_>) -> rusqlite::Result<CachedStatement<'a>> {
    transaction.prepare_cached(
        "INSERT OR REPLACE INTO looks (key, checked_at, next_at, problem, strip)
             VALUES (?1, ?2, ?3, ?4, ?5)",
    )
}

pub(super) fn put_look(
    statement: &mut CachedStatement<'_>,
    key: &KeyId,
    note: &CheckNote,
) -> rusqlite::Result<()> {
    statement.execute(params![
        key.as_str(),
        note.checked_at.map(Time),
        note.next_at.map(Time),
        note.problem.as_ref().map(Json),
        note.timeline.to_string(),
    ])?;
    Ok(())
}

pub(super) fn put_history(transaction: &Transaction<'_>, row: &HistoryRow) -> rusqlite::Result<()> {
    let elapsed_us = i64::try_from(row.elapsed.as_micros()).unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "INSERT INTO history (at, key, source, name, ai_llm_id, previous_version, version,
                 action, outcome, elapsed_us, verified_by, reason, error)
             VALUES (:at, :key, :source, :name, :ai_llm_id, :previous_version, :version,
                 :action, :outcome, :elapsed_us, :verified_by, :reason, :error)",
        )?
        .execute(named_params! {
            ":at": Time(row.at),
            ":key": row.key.as_str(),
            ":source": row.source.as_str(),
            ":name": row.name,
            ":ai_llm_id": row.ai_llm_id.as_ref().map(AiLlmId::as_str),
            ":previous_version": row.previous_version.as_ref().map(Version::as_str),
            ":version": row.version.as_str(),
            ":action": row.action.as_str(),
            ":outcome": row.outcome.as_str(),
            ":elapsed_us": elapsed_us,
            ":verified_by": row.verified_by,
            ":reason": row.reason,
            ":error": row.error,
        })?;
    Ok(())
}

/// Says in the trail what has verified the last write of a key.
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

pub(super) fn history_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    let text = |name| row.get::<_, Option<String>>(name);
    Ok(HistoryRow {
        at: row.get::<_, Time>("at")?.0,
        key: KeyId::new(row.get::<_, String>("key")?),
        source: SourceId::new(row.get::<_, String>("source")?),
        name: row.get("name")?,
        ai_llm_id: usable_id(text("ai_llm_id")?),
        previous_version: text("previous_version")?.map(Version::new),
        version: Version::new(row.get::<_, String>("version")?),
        action: row.get::<_, Word<_>>("action")?.0,
        outcome: row.get::<_, Word<_>>("outcome")?.0,
        elapsed: Duration::from_micros(
            u64::try_from(row.get::<_, i64>("elapsed_us")?).unwrap_or_default(),
        ),
        verified_by: text("verified_by")?,
        reason: row.get("reason")?,
        error: text("error")?,
    })
}
