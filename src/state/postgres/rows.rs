//! Records, notes and history as rows, and back.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::value::{Columns, plain};
use crate::model::{
    CheckNote, FencingToken, HistoryRow, KeyId, Lease, Record, Repair, ReplicaId, SourceId,
    Timeline, Version,
};
use crate::state::{StateError, usable_id};

/// Reads what [`RECORD`] selects.
pub(super) fn record(columns: &Columns<'_>) -> Result<Record, StateError> {
    let text = |name| columns.get::<Option<String>>(name);
    Ok(Record {
        key: KeyId::new(columns.get::<&str>("key")?),
        ai_llm_id: usable_id(text("ai_llm_id")?),
        seen: text("seen")?.map(Version::new),
        live: columns.shape("live")?,
        intent: columns.shape("intent")?,
        refusal: columns.shape("refusal")?,
        held: columns.shape("held")?,
        previous: columns.shape("previous")?,
        verification: columns.shape("trial")?,
        candidate: columns.shape("candidate")?,
        told: columns.shape("told")?,
        look: CheckNote {
            checked_at: columns.get("checked_at")?,
            next_at: columns.get("next_at")?,
            problem: columns.shape("problem")?,
            timeline: text("strip")?
                .as_deref()
                .map(Timeline::parse)
                .unwrap_or_default(),
        },
        lease: lease(columns)?,
        repair: repair(columns)?,
        edits: columns.shape("edits")?.unwrap_or_default(),
        unheard: Vec::new(),
        heard: Vec::new(),
    })
}

fn lease(columns: &Columns<'_>) -> Result<Option<Lease>, StateError> {
    let holder: Option<i64> = columns.get("holder")?;
    let fencing_token: Option<i64> = columns.get("fence")?;
    Ok(holder
        .zip(fencing_token)
        .map(|(replica, fencing_token)| Lease {
            replica: ReplicaId(replica),
            fencing_token: FencingToken(fencing_token),
        }))
}

fn repair(columns: &Columns<'_>) -> Result<Option<Repair>, StateError> {
    let number: Option<i64> = columns.get("repair_no")?;
    let due_in: Option<f64> = columns.get("repair_in")?;
    Ok(number.zip(due_in).map(|(number, due_in)| Repair {
        number,
        due_in: Duration::try_from_secs_f64(due_in).unwrap_or_default(),
        done: false,
    }))
}

/// The columns of a record, of a key called `n.key`. A mark that is late is not due before
/// [`renew`](super::sharing) has given it a number of its own. `edits` is a column that the first schema
/// has not: a program of this version may read beside one of that.
pub(super) const RECORD: &str = "
    n.key, k.ai_llm_id, k.seen, k.live, k.intent, k.refusal, k.held, k.previous, k.trial,
    k.candidate, k.told, nullif(to_jsonb(k) -> 'edits', 'null')::json AS edits, o.checked_at, o.next_at, o.problem, o.strip, l.holder, l.fence, l.repair_no,
    CASE WHEN l.repair_at IS NOT NULL THEN 0::float8
         WHEN l.late_at IS NOT NULL
         THEN greatest(extract(epoch FROM l.late_at - clock_timestamp())::float8, 0.001)
    END AS repair_in";

/// Where they come from.
pub(super) const TABLES: &str = "
    LEFT JOIN rotator_keys k ON k.key = n.key
    LEFT JOIN rotator_looks o ON o.key = n.key
    LEFT JOIN rotator_leases l ON l.key = n.key";

pub(super) fn history_row(columns: &Columns<'_>) -> Result<HistoryRow, StateError> {
    let text = |name| columns.get::<Option<String>>(name);
    let elapsed: i64 = columns.get("elapsed_us")?;
    Ok(HistoryRow {
        at: columns.get("at")?,
        key: KeyId::new(columns.get::<&str>("key")?),
        source: SourceId::new(columns.get::<&str>("source")?),
        name: columns.get("name")?,
        ai_llm_id: usable_id(text("ai_llm_id")?),
        previous_version: text("previous_version")?.map(Version::new),
        version: Version::new(columns.get::<&str>("version")?),
        action: columns.word("action")?,
        outcome: columns.word("outcome")?,
        elapsed: Duration::from_micros(u64::try_from(elapsed).unwrap_or_default()),
        verified_by: text("verified_by")?,
        reason: columns.get("reason")?,
        error: text("error")?,
    })
}

/// A line of the audit trail as parameters; `None` where there is none.
#[derive(Default)]
pub(super) struct Line {
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) source: Option<String>,
    pub(super) name: Option<String>,
    pub(super) ai_llm_id: Option<String>,
    pub(super) previous_version: Option<String>,
    pub(super) version: Option<String>,
    pub(super) action: Option<&'static str>,
    pub(super) outcome: Option<&'static str>,
    pub(super) elapsed_us: Option<i64>,
    pub(super) verified_by: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) error: Option<String>,
}

impl Line {
    pub(super) fn new(row: &HistoryRow) -> Self {
        Self {
            at: Some(row.at),
            source: Some(plain(row.source.as_str())),
            name: Some(plain(&row.name)),
            ai_llm_id: row.ai_llm_id.as_ref().map(|id| plain(id.as_str())),
            previous_version: row.previous_version.as_ref().map(|v| plain(v.as_str())),
            version: Some(plain(row.version.as_str())),
            action: Some(row.action.as_str()),
            outcome: Some(row.outcome.as_str()),
            elapsed_us: Some(i64::try_from(row.elapsed.as_micros()).unwrap_or(i64::MAX)),
            verified_by: row.verified_by.as_deref().map(plain),
            reason: Some(plain(&row.reason)),
            error: row.error.as_deref().map(plain),
        }
    }
}
