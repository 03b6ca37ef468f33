//! Updates in Flashback, in PostgreSQL.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pool::{DURABLE, Pool};
use super::value::{bools, ints, plain, seconds, text, texts, time, times};
use crate::model::{Edit, KeyId, WorkspaceId};
use crate::state::StateError;
use crate::state::edits::{Heard, OVERLAP, Watch};

/// Lets the first replica ask about a workspace that comes when its time has come, by the clock of the state. The lock
/// on the row decides between two that come at once.
const WATCH: &str = "
INSERT INTO rotator_watches AS w (workspace_id, asked_at) VALUES ($1, clock_timestamp())
ON CONFLICT (workspace_id) DO UPDATE SET asked_at = clock_timestamp()
    WHERE w.asked_at <= clock_timestamp() - make_interval(secs => $2)
        OR w.asked_at > clock_timestamp()
RETURNING read_to";

const HEAR: &str = "
WITH new AS (
    SELECT * FROM unnest($3::int8[], $4::text[], $5::text[], $6::bool[], $7::timestamptz[])
        AS n (id, ai_llm_id, user_id, own, at)
    WHERE ai_llm_id IN (SELECT k.ai_llm_id FROM rotator_keys k)
), heard AS (
    INSERT INTO rotator_edits (id, ai_llm_id, user_id, own, at)
    SELECT id, ai_llm_id, user_id, own, at FROM new ON CONFLICT DO NOTHING
), old AS (
    DELETE FROM rotator_edits e WHERE e.at < $2::timestamptz - make_interval(secs => $8)
        AND (e.heard OR NOT EXISTS (SELECT FROM rotator_keys k WHERE k.ai_llm_id = e.ai_llm_id))
)
UPDATE rotator_watches SET read_to = greatest(read_to, $2) WHERE workspace_id = $1";

pub(super) async fn watch(
    pool: &Pool,
    workspace: &WorkspaceId,
    every: Duration,
) -> Result<Watch, StateError> {
    // A little early: each comes by once in that time, and not to the millisecond.
    let every = every.mul_f64(0.9).as_secs_f64();
    let mut session = pool.session().await?;
    let parameters = [text(plain(workspace.as_str())), seconds(every)];
    let rows = session.query(WATCH, &parameters).await?;
    match rows.first() {
        Some(row) => {
            let read_to = pool.columns(row).get("read_to")?;
            Ok(Watch::Mine { read_to })
        }
        None => Ok(Watch::Another),
    }
}

pub(super) async fn hear(
    pool: &Pool,
    workspace: &WorkspaceId,
    read_to: DateTime<Utc>,
    heard: &[Heard],
) -> Result<(), StateError> {
    let all = |of: fn(&Heard) -> &str| heard.iter().map(of).map(plain).collect::<Vec<_>>();
    let parameters = [
        text(plain(workspace.as_str())),
        time(Some(read_to)),
        ints(heard.iter().map(|one| one.edit.id).collect::<Vec<_>>()),
        texts(all(|one| one.ai_llm_id.as_str())),
        texts(all(|one| &one.edit.user_id)),
        bools(heard.iter().map(|one| one.edit.own).collect::<Vec<_>>()),
        times(heard.iter().map(|one| one.at).collect::<Vec<_>>()),
        seconds((OVERLAP * 2).num_seconds() as f64),
    ];
    let mut session = pool.session().await?;
    let statements = [(HEAR, &parameters[..])];
    session.transaction(DURABLE, &statements).await.map(drop)
}

pub(super) async fn edited(pool: &Pool) -> Result<Vec<KeyId>, StateError> {
    let sql = "SELECT key FROM rotator_keys
        WHERE ai_llm_id IN (SELECT ai_llm_id FROM rotator_edits WHERE NOT heard)";
    let mut session = pool.session().await?;
    let rows = session.query(sql, &[]).await?;
    let key = |row| pool.columns(row).get::<&str>("key").map(KeyId::new);
    rows.iter().map(key).collect()
}

pub(super) async fn unheard(pool: &Pool, key: &KeyId) -> Result<Vec<Edit>, StateError> {
    let sql = "SELECT id, user_id, own FROM rotator_edits WHERE NOT heard
        AND ai_llm_id = (SELECT ai_llm_id FROM rotator_keys WHERE key = $1) ORDER BY id";
    let mut session = pool.session().await?;
    let rows = session.query(sql, &[text(key.as_str())]).await?;
    let edit = |row| {
        let columns = pool.columns(row);
        Ok(Edit {
            id: columns.get("id")?,
            user_id: columns.get("user_id")?,
            own: columns.get("own")?,
        })
    };
    rows.iter().map(edit).collect()
}
