//! What one process asks of the one that works, through the file.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::columns::{Json, Time};
use super::desk::Desk;
use crate::state::{REQUEST_LIFE, Request, RequestId, RequestState, UNKNOWN_REQUEST};

impl Desk {
    pub(super) fn submit(
        &mut self,
        request: &Request,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<RequestId> {
        let id = self.write(|transaction| {
            forget_old(transaction, now)?;
            transaction.execute(
                "INSERT INTO requests (submitted_at, request) VALUES (?1, ?2)",
                params![Time(now), Json(request)],
            )?;
            Ok(transaction.last_insert_rowid())
        })?;
        // `data_version` does not move for what is written here.
        self.no_request_since = None;
        Ok(RequestId(id))
    }

    /// What a process that is gone had taken is there to be taken again. Only whoever holds the
    /// lock may say so.
    pub(super) fn give_out_again(&mut self, now: DateTime<Utc>) -> rusqlite::Result<()> {
        self.write(|transaction| {
            forget_old(transaction, now)?;
            transaction.execute(
                "UPDATE requests SET claimed_at = NULL, claimed_by = NULL, done = 0, total = 0
                 WHERE claimed_at IS NOT NULL AND answer IS NULL",
                [],
            )?;
            Ok(())
        })
    }

    /// Asked several times a second: while nobody else has written, it costs no query.
    pub(super) fn take_request(
        &mut self,
        now: DateTime<Utc>,
    ) -> rusqlite::Result<Option<(RequestId, Request)>> {
        self.notice_moves();
        // Read before the question, so that what comes in between is not missed.
        let written = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get::<_, i64>(0))?;
        if self.no_request_since == Some(written) {
            return Ok(None);
        }
        while let Some((id, text)) = self.oldest_waiting()? {
            let Ok(request) = serde_json::from_str(&text) else {
                self.answer(id, UNKNOWN_REQUEST)?;
                continue;
            };
            let holder = self.holder.clone();
            let claimed = self.write(|transaction| {
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
        self.no_request_since = Some(written);
        Ok(None)
    }

    fn oldest_waiting(&mut self) -> rusqlite::Result<Option<(RequestId, String)>> {
        self.connection
            .prepare_cached(
                "SELECT id, request FROM requests WHERE claimed_at IS NULL AND answer IS NULL
                 ORDER BY id LIMIT 1",
            )?
            .query_row([], |row| Ok((RequestId(row.get(0)?), row.get(1)?)))
            .optional()
    }

    /// A request that was forgotten has nobody who waits for it.
    pub(super) fn report_progress(
        &mut self,
        id: RequestId,
        done: u32,
        total: u32,
    ) -> rusqlite::Result<()> {
        self.write(|transaction| {
            transaction
                .prepare_cached("UPDATE requests SET done = ?2, total = ?3 WHERE id = ?1")?
                .execute(params![id.0, done, total])?;
            Ok(())
        })
    }

    pub(super) fn answer(&mut self, id: RequestId, answer: &str) -> rusqlite::Result<()> {
        self.write(|transaction| {
            let sql = "UPDATE requests SET answer = ?2 WHERE id = ?1";
            transaction.execute(sql, params![id.0, answer])?;
            Ok(())
        })
    }

    /// `None` where there is no such request any more.
    pub(super) fn request_state(
        &mut self,
        id: RequestId,
    ) -> rusqlite::Result<Option<RequestState>> {
        let found = self
            .connection
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
            .optional()?;
        if let Some(RequestState::Answered(_)) = found {
            self.write(|transaction| {
                transaction.execute("DELETE FROM requests WHERE id = ?1", [id.0])
            })?;
        }
        Ok(found)
    }
}

fn forget_old(transaction: &rusqlite::Transaction<'_>, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let life = TimeDelta::from_std(REQUEST_LIFE).unwrap_or(TimeDelta::MAX);
    let oldest = now.checked_sub_signed(life).unwrap_or(now);
    transaction.execute(
        "DELETE FROM requests WHERE submitted_at < ?1",
        [Time(oldest)],
    )?;
    Ok(())
}
