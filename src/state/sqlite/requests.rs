//! The requests of other processes to the one that works on the state.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::columns::{Json, Time};
use super::writer::Writer;
use crate::state::{REQUEST_LIFE, Request, RequestId, RequestState, StateError, UNKNOWN_REQUEST};

pub(super) fn submit(
    writer: &mut Writer,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<RequestId, StateError> {
    let id = writer.write(|transaction| {
        forget_old(transaction, now)?;
        transaction.execute(
            "INSERT INTO requests (submitted_at, request) VALUES (?1, ?2)",
            params![Time(now), Json(request)],
        )?;
        Ok(transaction.last_insert_rowid())
    })?;
    // `data_version` does not move for what is written here.
    writer.no_request_since = None;
    Ok(RequestId(id))
}

/// Makes requests available again that a process which is gone had taken. Only the process that has the lock may do so.
pub(super) fn give_out_again(
    transaction: &Transaction<'_>,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    forget_old(transaction, now)?;
    transaction.execute(
        "UPDATE requests SET claimed_at = NULL, claimed_by = NULL, done = 0, total = 0
         WHERE claimed_at IS NOT NULL AND answer IS NULL",
        [],
    )?;
    Ok(())
}

/// Takes the oldest request. It is called several times a second, and makes no query while no other process has
/// written.
pub(super) fn take(
    writer: &mut Writer,
    now: DateTime<Utc>,
) -> Result<Option<(RequestId, Request)>, StateError> {
    writer.notice_moves();
    // Read before the question, so that what comes in between is not missed.
    let written = writer.read(|connection| {
        connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get::<_, i64>(0))
    })?;
    if writer.no_request_since == Some(written) {
        return Ok(None);
    }
    while let Some((id, text)) = writer.read(oldest_waiting)? {
        let Ok(request) = serde_json::from_str(&text) else {
            writer.write(|transaction| answer(transaction, id, UNKNOWN_REQUEST))?;
            continue;
        };
        let holder = writer.holder.clone();
        let claimed = writer.write(|transaction| {
            transaction.execute(
                "UPDATE requests SET claimed_at = ?2, claimed_by = ?3
                 WHERE id = ?1 AND claimed_at IS NULL",
                params![id.0, Time(now), holder],
            )
        })?;
        if claimed == 1 {
            return Ok(Some((id, request)));
        }
    }
    writer.no_request_since = Some(written);
    Ok(None)
}

fn oldest_waiting(connection: &Connection) -> rusqlite::Result<Option<(RequestId, String)>> {
    connection
        .prepare_cached(
            "SELECT id, request FROM requests WHERE claimed_at IS NULL AND answer IS NULL
             ORDER BY id LIMIT 1",
        )?
        .query_row([], |row| Ok((RequestId(row.get(0)?), row.get(1)?)))
        .optional()
}

/// Records the progress of a request. A request that was deleted is ignored, because no process waits for it.
pub(super) fn report_progress(
    transaction: &Transaction<'_>,
    id: RequestId,
    done: u32,
    total: u32,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE requests SET done = ?2, total = ?3 WHERE id = ?1")?
        .execute(params![id.0, done, total])?;
    Ok(())
}

pub(super) fn answer(
    transaction: &Transaction<'_>,
    id: RequestId,
    answer: &str,
) -> rusqlite::Result<()> {
    let sql = "UPDATE requests SET answer = ?2 WHERE id = ?1";
    transaction.execute(sql, params![id.0, answer])?;
    Ok(())
}

/// Returns where a request stands, and forgets one that is answered; `None` where there is none any more.
pub(super) fn state(
    writer: &mut Writer,
    id: RequestId,
) -> Result<Option<RequestState>, StateError> {
    let found = writer.read(|connection| find(connection, id))?;
    if let Some(RequestState::Answered(_)) = found {
        writer.write(|transaction| {
            transaction.execute("DELETE FROM requests WHERE id = ?1", [id.0])
        })?;
    }
    Ok(found)
}

fn find(connection: &Connection, id: RequestId) -> rusqlite::Result<Option<RequestState>> {
    connection
        .prepare_cached(
            "SELECT claimed_at IS NOT NULL, done, total, answer FROM requests WHERE id = ?1",
        )?
        .query_row([id.0], |row| {
            let answer: Option<String> = row.get(3)?;
            Ok(match answer {
                Some(answer) => RequestState::Answered(answer),
                None if row.get(0)? => RequestState::Working {
                    done: row.get(1)?,
                    total: row.get(2)?,
                },
                None => RequestState::Waiting,
            })
        })
        .optional()
}

fn forget_old(transaction: &Transaction<'_>, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let life = TimeDelta::from_std(REQUEST_LIFE).unwrap_or(TimeDelta::MAX);
    let oldest = now.checked_sub_signed(life).unwrap_or(now);
    transaction.execute(
        "DELETE FROM requests WHERE submitted_at < ?1",
        [Time(oldest)],
    )?;
    Ok(())
}
