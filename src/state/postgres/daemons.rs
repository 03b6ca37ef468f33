//! The reports of daemons, in PostgreSQL.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio_postgres::types::Json;

use super::pool::Pool;
use super::value::{Columns, boolean, json, plain, text, time};
use crate::model::{DaemonReport, Daemons, KnownDaemon, LastReport};
use crate::state::StateError;

/// Writes a daemon's report. Each daemon has a row of `rotator_meta`. Rows of other daemons are deleted after a day,
/// because a daemon that runs renews its own.
const LEAVE: &str = "
WITH old AS (
    DELETE FROM rotator_meta WHERE name LIKE 'daemon %' AND name <> 'daemon ' || $1
        AND (convert_from(value, 'UTF8')::json ->> 'at')::timestamptz
            < clock_timestamp() - interval '1 day'
)
INSERT INTO rotator_meta (name, value) VALUES ('daemon ' || $1, convert_to(json_build_object(
    'report', $2::json, 'at', clock_timestamp(), 'clock', $3::timestamptz, 'stopped', $4::bool
)::text, 'UTF8'))
ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value";

/// Reads the daemons that have joined or have left a report.
const DAEMONS: &str = "
SELECT clock_timestamp() AS now, coalesce(r.name, substr(m.name, 8)) AS name,
    coalesce(r.until > clock_timestamp(), false) AS alive, r.id IS NOT NULL AS joined,
    (SELECT count(*) FROM rotator_leases WHERE holder = r.id) AS keys,
    convert_from(m.value, 'UTF8') AS left_behind
FROM (SELECT * FROM rotator_replicas WHERE role = 'daemon') r
FULL JOIN (SELECT * FROM rotator_meta WHERE name LIKE 'daemon %') m ON m.name = 'daemon ' || r.name
ORDER BY 2, 3";

/// The contents of a row. `at` is by the state's clock, `clock` the daemon's at that moment.
#[derive(Deserialize)]
struct Left {
    report: DaemonReport,
    at: DateTime<Utc>,
    clock: DateTime<Utc>,
    stopped: bool,
}

pub(super) async fn leave(
    pool: &Pool,
    report: &DaemonReport,
    stopped: bool,
) -> Result<(), StateError> {
    let parameters = [
        text(plain(&report.name)),
        json(Json(report)),
        time(Some(Utc::now())),
        boolean(stopped),
    ];
    let mut session = pool.session().await?;
    session.query(LEAVE, &parameters).await.map(drop)
}

pub(super) async fn known(pool: &Pool) -> Result<Daemons, StateError> {
    let mut session = pool.session().await?;
    let rows = session.query(DAEMONS, &[]).await?;
    let mut now = Utc::now();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for row in &rows {
        let columns = pool.columns(row);
        now = columns.get("now")?;
        let found = Known {
            joined: columns.get("joined")?,
            daemon: daemon(&columns)?,
        };
        // The former entry of a replica that has joined again may not be evicted yet.
        known.insert(found.daemon.name.clone(), found);
    }
    // A daemon that has left is of no interest as long as others run.
    let alive = known.values().any(|known| known.daemon.alive);
    let all = known.into_values().filter(|known| known.joined || !alive);
    Ok(Daemons {
        now,
        all: all.map(|known| known.daemon).collect(),
    })
}

struct Known {
    /// `true` if it has neither left nor been evicted.
    joined: bool,
    daemon: KnownDaemon,
}

fn daemon(columns: &Columns<'_>) -> Result<KnownDaemon, StateError> {
    let keys: i64 = columns.get("keys")?;
    // A report of a newer version, which this one cannot read, is skipped.
    let left: Option<&str> = columns.get("left_behind")?;
    let left: Option<Left> = left.and_then(|left| serde_json::from_str(left).ok());
    Ok(KnownDaemon {
        name: columns.get("name")?,
        alive: columns.get("alive")?,
        keys: Some(u32::try_from(keys).unwrap_or(u32::MAX)),
        last: left.map(|left| LastReport {
            report: left.report.by_clock(left.at - left.clock),
            at: left.at,
            stopped: left.stopped,
        }),
    })
}
