//! Records and the audit trail.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::Inner;
use super::rows::{Line, RECORD, TABLES, history_row, record};
use super::value::{Columns, int, ints, json, number, plain, shape, text, texts, time};
use crate::model::{AiLlmId, Edits, HistoryRow, KeyId, Record, Verifier, Version};
use crate::state::StateError;

/// How long reading all of something may take.
const ALL: Duration = Duration::from_secs(60);

/// What is saved is on the disk when the transaction is over, even where the server was told not to
/// wait for that.
pub(super) const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') = 'off'";

/// Writes a record where the claim on its key is still the one it was read under. The row of the
/// claim is locked before, by a statement of its own: this one sees what that one has waited for.
/// A line that is already the last one was written by a try whose answer was lost.
const SAVE: &str = "
WITH mine AS (
    SELECT key FROM rotator_leases
    WHERE key = $1 AND holder IS NOT DISTINCT FROM $2 AND ($3::int8 IS NULL OR fence = $3)
), record AS (
    INSERT INTO rotator_keys (key, ai_llm_id, seen, live, intent, refusal, held, previous, trial,
        candidate, told, edits)
    SELECT key, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $34 FROM mine
    ON CONFLICT (key) DO UPDATE SET (ai_llm_id, seen, live, intent, refusal, held, previous, trial,
        candidate, told, edits) = ($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $34)
), heard AS (
    UPDATE rotator_edits SET heard = true WHERE id = ANY ($35) AND EXISTS (SELECT FROM mine)
), look AS (
    INSERT INTO rotator_looks (key, checked_at, next_at, problem, strip, session, turn)
    SELECT key, $14, $15, $16, $17, $18, $19 FROM mine
    ON CONFLICT (key) DO UPDATE SET (checked_at, next_at, problem, strip, session, turn)
        = ($14, $15, $16, $17, $18, $19)
), last AS (
    SELECT h.at, h.version, h.outcome FROM rotator_history h
    WHERE h.key = $1 ORDER BY h.id DESC LIMIT 1
), line AS (
    INSERT INTO rotator_history (at, key, source, name, ai_llm_id, previous_version, version,
        action, outcome, elapsed_us, verified_by, reason, error)
    SELECT $20, key, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31 FROM mine
    WHERE $20::timestamptz IS NOT NULL AND NOT EXISTS (
        SELECT FROM last WHERE last.at = $20 AND last.version = $25 AND last.outcome = $27)
), verified AS (
    UPDATE rotator_history SET verified_by = $32
    WHERE $32::text IS NOT NULL AND EXISTS (SELECT FROM mine) AND id = (
        SELECT max(id) FROM rotator_history WHERE key = $1 AND outcome = 'succeeded')
), repaired AS (
    UPDATE rotator_leases SET repair_at = NULL
    WHERE key = $1 AND repair_no = $33 AND EXISTS (SELECT FROM mine)
)
SELECT count(*) FROM mine";

impl Inner {
    pub(super) async fn load_records(
        &self,
        key: Option<&KeyId>,
    ) -> Result<Vec<Record>, StateError> {
        // Taken before the rows are read: what is written meanwhile is in one of the two.
        let noted = self.notes.all();
        let rows = match key {
            Some(key) => {
                let sql = format!("SELECT {RECORD} FROM (SELECT $1::text AS key) n {TABLES}");
                let mut session = self.pool.session().await?;
                session.query(&sql, &[text(key.as_str())]).await?
            }
            None => {
                let sql = format!(
                    "SELECT {RECORD} FROM (
                         SELECT key FROM rotator_keys UNION SELECT key FROM rotator_looks
                         UNION SELECT unnest($1::text[])
                     ) n {TABLES} ORDER BY n.key COLLATE \"C\""
                );
                let keys: Vec<&str> = noted.keys().map(KeyId::as_str).collect();
                self.read_all(&sql, &[texts(keys)]).await?
            }
        };
        let read = rows.iter().map(|row| {
            let mut record = record(&self.columns(row))?;
            if let Some(note) = noted.get(&record.key) {
                record.look = note.clone();
            }
            Ok(record)
        });
        read.collect()
    }

    /// Reads much, with the time that needs.
    async fn read_all(
        &self,
        sql: &str,
        parameters: &[super::value::Parameter<'_>],
    ) -> Result<Vec<Row>, StateError> {
        let mut session = self.pool.session_for(ALL).await?;
        let settings = format!("SET LOCAL statement_timeout = {}", ALL.as_millis());
        let read = session.transaction(&settings, &[(sql, parameters)]).await?;
        Ok(read.into_iter().next().unwrap_or_default())
    }

    /// Writes a record and what goes with it. Its note is newer than one left before; one left from
    /// now on is newer still.
    pub(super) async fn put(
        &self,
        record: &Record,
        row: Option<&HistoryRow>,
        verified_by: Option<Verifier>,
    ) -> Result<(), StateError> {
        let turn = self.notes.turn();
        let older = self.notes.take(&record.key);
        let saved = self.save(record, row, verified_by, turn).await;
        if let (Err(_), Some(note)) = (&saved, older) {
            self.notes.put_back(&record.key, note);
        }
        saved
    }

    async fn save(
        &self,
        record: &Record,
        row: Option<&HistoryRow>,
        verified_by: Option<Verifier>,
        turn: i64,
    ) -> Result<(), StateError> {
        let key = record.key.as_str();
        let holder = record.lease.map(|lease| lease.replica.0);
        let fencing_token = record.lease.map(|lease| lease.fencing_token.0);
        let id = record.ai_llm_id.as_ref().map(AiLlmId::as_str).map(plain);
        let seen = record.seen.as_ref().map(Version::as_str).map(plain);
        let look = &record.look;
        let timeline = look.timeline.to_string();
        let line = row.map(Line::new).unwrap_or_default();
        let by = verified_by.map(Verifier::as_str);
        let repaired = record.repair.filter(|repair| repair.done);
        let repaired = repaired.map(|repair| repair.number);
        let edits = Some(&record.edits).filter(|edits| **edits != Edits::default());
        // Only a key that nobody ever held may be unknown here.
        let know = match holder {
            Some(_) => "SELECT",
            None => "INSERT INTO rotator_leases (key) VALUES ($1) ON CONFLICT DO NOTHING",
        };
        let parameters = [
            text(key),
            int(holder),
            int(fencing_token),
            text(id),
            text(seen),
            json(shape(record.live.as_ref())),
            json(shape(record.intent.as_ref())),
            json(shape(record.refusal.as_ref())),
            json(shape(record.held.as_ref())),
            json(shape(record.previous.as_ref())),
            json(shape(record.verification.as_ref())),
            json(shape(record.candidate.as_ref())),
            json(shape(record.told.as_ref())),
            time(look.checked_at),
            time(look.next_at),
            json(shape(look.problem.as_ref())),
            text(timeline),
            int(self.notes.session),
            int(turn),
            time(line.at),
            text(line.source),
            text(line.name),
            text(line.ai_llm_id),
            text(line.previous_version),
            text(line.version),
            text(line.action),
            text(line.outcome),
            int(line.elapsed_us),
            text(line.verified_by),
            text(line.reason),
            text(line.error),
            text(by),
            int(repaired),
            json(shape(edits)),
            ints(record.heard.clone()),
        ];
        let lock = "SELECT FROM rotator_leases WHERE key = $1 FOR NO KEY UPDATE";
        let one = &parameters[..1];
        let unknown = match holder {
            Some(_) => &parameters[..0],
            None => one,
        };
        let statements = [(know, unknown), (lock, one), (SAVE, &parameters[..])];
        let mut session = self.pool.session().await?;
        let answers = session.transaction(DURABLE, &statements).await?;
        match answers.last().map(|rows| number(rows)) {
            Some(1) => Ok(()),
            _ => Err(StateError::Lost),
        }
    }

    pub(super) async fn history_rows(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        let key = key.map(KeyId::as_str);
        let limit = limit.map(i64::from);
        let rows = self
            .read_all(
                "SELECT * FROM rotator_history
                 WHERE ($1::text IS NULL OR key = $1) AND ($2::timestamptz IS NULL OR at >= $2)
                 ORDER BY id DESC LIMIT $3",
                &[text(key), time(since), int(limit)],
            )
            .await?;
        let rows = rows.iter().rev().map(|row| history_row(&self.columns(row)));
        rows.collect()
    }

    pub(super) fn columns<'a>(&'a self, row: &'a Row) -> Columns<'a> {
        let place = self.pool.place();
        Columns { row, place }
    }
}
