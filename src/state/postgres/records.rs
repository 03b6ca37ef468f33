//! Records and the audit trail.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::notes::Notes;
use super::pool::{DURABLE, Pool};
use super::value::{Columns, Parameter, boolean, int, ints, number, plain, text, texts, time};
use crate::model::{
    AiLlmId, FencingToken, HistoryRow, KeyId, Lease, Record, Repair, ReplicaId, Verifier,
};
use crate::state::{StateError, document};

/// The time limit for reading a whole table.
const ALL: Duration = Duration::from_secs(60);

/// Writes a record if the lease on its key is still the one under which it was read. The row of the lease is locked
/// before by a statement of its own, so that this one sees the writes for which that one has waited.
/// A line that is already the last one was written by a try whose answer was lost.
const SAVE: &str = "
WITH mine AS (
    SELECT key FROM rotator_leases
    WHERE key = $1 AND holder IS NOT DISTINCT FROM $2 AND ($3::int8 IS NULL OR fence = $3)
), record AS (
    INSERT INTO rotator_keys (key, ai_llm_id, intent, document) SELECT key, $4, $5, $6 FROM mine
    ON CONFLICT (key) DO UPDATE SET (ai_llm_id, intent, document) = ($4, $5, $6)
), heard AS (
    UPDATE rotator_edits SET heard = true WHERE id = ANY ($7) AND EXISTS (SELECT FROM mine)
), look AS (
    INSERT INTO rotator_looks (key, note, session, turn) SELECT key, $8, $9, $10 FROM mine
    ON CONFLICT (key) DO UPDATE SET (note, session, turn) = ($8, $9, $10)
), last AS (
    SELECT h.line FROM rotator_history h WHERE h.key = $1 ORDER BY h.id DESC LIMIT 1
), line AS (
    INSERT INTO rotator_history (at, key, outcome, verified_by, line)
    SELECT $11, key, $12, $13, $14 FROM mine
    WHERE $14::text IS NOT NULL AND NOT EXISTS (SELECT FROM last WHERE last.line = $14)
), verified AS (
    UPDATE rotator_history SET verified_by = $15
    WHERE $15::text IS NOT NULL AND EXISTS (SELECT FROM mine) AND id = (
        SELECT max(id) FROM rotator_history WHERE key = $1 AND outcome = 'succeeded')
), repaired AS (
    UPDATE rotator_leases SET repair_at = NULL
    WHERE key = $1 AND repair_no = $16 AND EXISTS (SELECT FROM mine)
)
SELECT count(*) FROM mine";

/// Reads the records of these keys. A mark that is late is not due before
/// [`renew`](crate::state::membership::Membership::renew) has given it a number of its own.
fn records_of(keys: &str) -> String {
    format!(
        "SELECT n.key, k.document, o.note, l.holder, l.fence, l.repair_no,
             CASE WHEN l.repair_at IS NOT NULL THEN 0::float8
                  WHEN l.late_at IS NOT NULL
                  THEN greatest(extract(epoch FROM l.late_at - clock_timestamp())::float8, 0.001)
             END AS repair_in
         FROM ({keys}) n
         LEFT JOIN rotator_keys k ON k.key = n.key
         LEFT JOIN rotator_looks o ON o.key = n.key
         LEFT JOIN rotator_leases l ON l.key = n.key
         ORDER BY n.key COLLATE \"C\""
    )
}

/// Reads one record, or all there are.
pub(super) async fn load(
    pool: &Pool,
    notes: &Notes,
    key: Option<&KeyId>,
) -> Result<Vec<Record>, StateError> {
    // Taken before the rows are read: what is written meanwhile is in one of the two.
    let noted = notes.all();
    let rows = match key {
        Some(key) => {
            let sql = records_of("SELECT $1::text AS key");
            let mut session = pool.session().await?;
            session.query(&sql, &[text(key.as_str())]).await?
        }
        None => {
            let sql = records_of(
                "SELECT key FROM rotator_keys UNION SELECT key FROM rotator_looks
                 UNION SELECT unnest($1::text[])",
            );
            let keys: Vec<&str> = noted.keys().map(KeyId::as_str).collect();
            read_all(pool, &sql, &[texts(keys)]).await?
        }
    };
    let read = rows.iter().map(|row| {
        let mut record = record(&pool.columns(row))?;
        if let Some(note) = noted.get(&record.key) {
            record.look = note.clone();
        }
        Ok(record)
    });
    read.collect()
}

/// Reads much, with the time that needs.
async fn read_all(
    pool: &Pool,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, StateError> {
    let mut session = pool.session_for(ALL).await?;
    let settings = format!("SET LOCAL statement_timeout = {}", ALL.as_millis());
    let read = session.transaction(&settings, &[(sql, parameters)]).await?;
    Ok(read.into_iter().next().unwrap_or_default())
}

/// Reads what [`records_of`] selects.
fn record(columns: &Columns<'_>) -> Result<Record, StateError> {
    let record = document::record_with_note(
        KeyId::new(columns.get::<&str>("key")?),
        columns.get("document")?,
        columns.get("note")?,
        columns.place,
    )?;
    let number: Option<i64> = columns.get("repair_no")?;
    let due_in: Option<f64> = columns.get("repair_in")?;
    let holder: Option<i64> = columns.get("holder")?;
    let fencing_token: Option<i64> = columns.get("fence")?;
    Ok(Record {
        lease: holder
            .zip(fencing_token)
            .map(|(replica, fencing_token)| Lease {
                replica: ReplicaId(replica),
                fencing_token: FencingToken(fencing_token),
            }),
        repair: number.zip(due_in).map(|(number, due_in)| Repair {
            number,
            due_in: Duration::try_from_secs_f64(due_in).unwrap_or_default(),
            done: false,
        }),
        ..record
    })
}

/// Writes a record and what goes with it. Its note is newer than one left before; one left from
/// now on is newer still.
pub(super) async fn put(
    pool: &Pool,
    notes: &Notes,
    record: &Record,
    row: Option<&HistoryRow>,
    verified_by: Option<Verifier>,
) -> Result<(), StateError> {
    let turn = notes.turn();
    let older = notes.take(&record.key);
    let parameters = parameters(record, row, verified_by, (notes.session, turn));
    let saved = save(pool, record.lease.is_some(), &parameters).await;
    if let (Err(_), Some(note)) = (&saved, older) {
        notes.put_back(&record.key, note);
    }
    saved
}

/// Returns the parameters of [`SAVE`]. `note` is the number of the record's note among those of this process.
fn parameters<'a>(
    record: &'a Record,
    row: Option<&'a HistoryRow>,
    verified_by: Option<Verifier>,
    note: (i64, i64),
) -> [Parameter<'a>; 16] {
    let repaired = record.repair.filter(|repair| repair.done);
    [
        text(record.key.as_str()),
        int(record.lease.map(|lease| lease.replica.0)),
        int(record.lease.map(|lease| lease.fencing_token.0)),
        text(record.ai_llm_id.as_ref().map(AiLlmId::as_str).map(plain)),
        boolean(record.intent.is_some()),
        text(document::of_record(record)),
        ints(&record.heard),
        text(document::of(&record.look)),
        int(note.0),
        int(note.1),
        time(row.map(|row| row.at)),
        text(row.map(|row| row.outcome.as_str())),
        text(row.and_then(|row| row.verified_by.as_deref()).map(plain)),
        text(row.map(document::of)),
        text(verified_by.map(Verifier::as_str)),
        int(repaired.map(|repair| repair.number)),
    ]
}

async fn save(
    pool: &Pool,
    is_held: bool,
    parameters: &[Parameter<'_>; 16],
) -> Result<(), StateError> {
    let key = &parameters[..1];
    // Only a key that no replica ever had may be unknown here.
    let know: (_, &[_]) = match is_held {
        true => ("SELECT", &[]),
        false => (
            "INSERT INTO rotator_leases (key) VALUES ($1) ON CONFLICT DO NOTHING",
            key,
        ),
    };
    let lock = "SELECT FROM rotator_leases WHERE key = $1 FOR NO KEY UPDATE";
    let statements = [know, (lock, key), (SAVE, parameters)];
    let mut session = pool.session().await?;
    let answers = session.transaction(DURABLE, &statements).await?;
    match answers.last().map(|rows| number(rows)) {
        Some(1) => Ok(()),
        _ => Err(StateError::Lost),
    }
}

/// Reads the last `limit` lines of the audit trail that match the request, oldest first.
pub(super) async fn history(
    pool: &Pool,
    key: Option<&KeyId>,
    since: Option<DateTime<Utc>>,
    limit: Option<u32>,
) -> Result<Vec<HistoryRow>, StateError> {
    let sql = "SELECT line, verified_by FROM rotator_history
        WHERE ($1::text IS NULL OR key = $1) AND ($2::timestamptz IS NULL OR at >= $2)
        ORDER BY id DESC LIMIT $3";
    let key = key.map(KeyId::as_str);
    let limit = limit.map(i64::from);
    let rows = read_all(pool, sql, &[text(key), time(since), int(limit)]).await?;
    let line = |row| {
        let columns = pool.columns(row);
        let line: HistoryRow = document::read(columns.get("line")?, columns.place)?;
        Ok(HistoryRow {
            verified_by: columns.get("verified_by")?,
            ..line
        })
    };
    rows.iter().rev().map(line).collect()
}
