//! Which replica has which key.
//!
//! A claim is a row of `rotator_leases` that points to a row of `rotator_replicas`, and is valid as long as that row is
//! there. So one renewal is one row, and deleting a replica's row takes back all its keys in the same transaction
//! (`ON DELETE SET NULL`). The lock on a replica's row keeps its renewal and its deletion apart; the lock on a claim's
//! row keeps apart another claim and a save under this one.

use std::time::Duration;

use async_trait::async_trait;

use super::Postgres;
use super::pool::Pool;
use super::value::{Columns, int, number, plain, seconds, text, texts};
use crate::model::{FencingToken, KeyId, ReplicaId};
use crate::state::StateError;
use crate::state::membership::{
    LATE_WRITE, LONGEST_LEASE, Member, Membership, Renewal, Replica, Role, Standing,
};

/// Evicts replicas whose lease is over. Those whose renewal is under way are skipped, and a row that was renewed
/// meanwhile is checked again. A replica that was evicted itself evicts no other.
const STRIKE_OUT: &str = "
DELETE FROM rotator_replicas WHERE id = ANY (ARRAY(
    SELECT id FROM rotator_replicas
    WHERE id <> $1 AND until < clock_timestamp()
        AND EXISTS (SELECT FROM rotator_replicas WHERE id = $1)
    ORDER BY id FOR UPDATE SKIP LOCKED))";

/// Shortens leases that end later than any lease can, because the state's clock was set back since. Otherwise a replica
/// that is gone would keep its keys until then. A replica that runs renews its own lease.
const CUT_SHORT: &str = "
UPDATE rotator_replicas SET until = clock_timestamp() + make_interval(secs => $2)
WHERE id = ANY (ARRAY(
    SELECT id FROM rotator_replicas
    WHERE id <> $1 AND until > clock_timestamp() + make_interval(secs => $2)
    ORDER BY id FOR UPDATE SKIP LOCKED))";

/// Gives a delayed mark a new number when it comes due, so that a save begun earlier cannot clear it.
const COME_DUE: &str = "
UPDATE rotator_leases SET repair_no = repair_no + 1, repair_at = clock_timestamp(), late_at = NULL
WHERE holder = $1 AND (late_at <= clock_timestamp()
    OR late_at > clock_timestamp() + make_interval(secs => $2))";

const STANDING: &str = "
SELECT count(*) FILTER (WHERE role = 'daemon') AS daemons,
    count(*) FILTER (WHERE role = 'daemon' AND id < $1) AS rank,
    coalesce(sum(wants) FILTER (
        WHERE role = 'daemon' AND id <> $1 AND until > clock_timestamp()), 0)::int8 AS wanted,
    (SELECT count(*) FROM rotator_leases WHERE holder IS NULL) AS free,
    ARRAY(SELECT key FROM rotator_leases WHERE holder = $1 AND repair_at IS NOT NULL
        ORDER BY key) AS due
FROM rotator_replicas";

/// A key that this replica holds already was claimed by a try whose answer was lost: it gets it with a
/// new fence.
const CLAIM: &str = "
WITH free AS (
    SELECT key FROM rotator_leases
    WHERE key = ANY ($2) AND (holder IS NULL OR holder = $1)
    ORDER BY key LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE rotator_leases l SET holder = $1, fence = l.fence + 1, late_at = CASE
    WHEN EXISTS (SELECT FROM rotator_keys k WHERE k.key = l.key AND k.intent)
    THEN clock_timestamp() + make_interval(secs => $4) ELSE l.late_at END
FROM free WHERE l.key = free.key
RETURNING l.key, l.fence";

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::Command => "command",
        }
    }
}

#[async_trait]
impl Membership for Postgres {
    async fn join(&self, member: &Member, lease: Duration) -> Result<ReplicaId, StateError> {
        let joined = add_replica(&self.pool, member, lease).await;
        let replica = self.health.answered(joined)?;
        self.own_replica.joined(replica);
        Ok(replica)
    }

    async fn know(&self, keys: &[KeyId]) -> Result<(), StateError> {
        let mut session = self.pool.session().await?;
        session
            .query(
                "INSERT INTO rotator_leases (key) SELECT key FROM unnest($1::text[]) AS n (key)
                 ORDER BY key ON CONFLICT DO NOTHING",
                &[texts(names(keys))],
            )
            .await
            .map(drop)
    }

    async fn renew(
        &self,
        replica: ReplicaId,
        renewal: Renewal,
    ) -> Result<Option<Standing>, StateError> {
        let renewed = renew_and_see(&self.pool, replica, renewal).await;
        self.health.answered(renewed)
    }

    async fn claim(
        &self,
        replica: ReplicaId,
        keys: &[KeyId],
        most: u32,
    ) -> Result<Vec<(KeyId, FencingToken)>, StateError> {
        let mut session = self.pool.session().await?;
        let late = LATE_WRITE.as_secs_f64();
        let parameters = [
            int(replica.0),
            texts(names(keys)),
            int(i64::from(most)),
            seconds(late),
        ];
        let there = "SELECT count(*) FROM rotator_replicas WHERE id = $1";
        let answers = session
            .transaction("", &[(CLAIM, &parameters), (there, &parameters[..1])])
            .await?;
        let [claimed, there] = &answers[..] else {
            return Err(StateError::Lost);
        };
        if number(there) == 0 {
            return Err(StateError::Lost);
        }
        let claims = claimed.iter().map(|row| {
            let columns = self.pool.columns(row);
            let fencing_token = FencingToken(columns.get("fence")?);
            Ok((KeyId::new(columns.get::<&str>("key")?), fencing_token))
        });
        claims.collect()
    }

    async fn release(&self, replica: ReplicaId, keys: &[KeyId]) -> Result<(), StateError> {
        let mut session = self.pool.session().await?;
        session
            .query(
                "UPDATE rotator_leases SET holder = NULL WHERE holder = $1 AND key = ANY ($2)",
                &[int(replica.0), texts(names(keys))],
            )
            .await
            .map(drop)
    }

    async fn leave(&self, replica: ReplicaId) -> Result<(), StateError> {
        let mut session = self.pool.session().await?;
        session
            .query(
                "DELETE FROM rotator_replicas WHERE id = $1",
                &[int(replica.0)],
            )
            .await?;
        self.own_replica.left(replica);
        Ok(())
    }

    async fn mark(&self, keys: &[KeyId]) -> Result<(), StateError> {
        let mut session = self.pool.session().await?;
        session
            .query(
                "INSERT INTO rotator_leases AS l (key, repair_no, repair_at, late_at)
                 SELECT key, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2)
                 FROM unnest($1::text[]) AS n (key) ORDER BY key
                 ON CONFLICT (key) DO UPDATE SET repair_no = l.repair_no + 1,
                     repair_at = excluded.repair_at, late_at = excluded.late_at",
                &[texts(names(keys)), seconds(LATE_WRITE.as_secs_f64())],
            )
            .await
            .map(drop)
    }

    async fn replicas(&self) -> Result<Vec<Replica>, StateError> {
        let mut session = self.pool.session().await?;
        let rows = session
            .query(
                "SELECT id, name, role, until > clock_timestamp() AS alive,
                     (SELECT count(*) FROM rotator_leases WHERE holder = r.id) AS keys
                 FROM rotator_replicas r ORDER BY id",
                &[],
            )
            .await?;
        let replica = |row| {
            let columns = self.pool.columns(row);
            Ok(Replica {
                id: ReplicaId(columns.get("id")?),
                member: Member {
                    name: columns.get("name")?,
                    role: match columns.get("role")? {
                        "daemon" => Role::Daemon,
                        _ => Role::Command,
                    },
                },
                alive: columns.get("alive")?,
                keys: count(&columns, "keys")?,
            })
        };
        rows.iter().map(replica).collect()
    }

    async fn unheld(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, StateError> {
        let mut session = self.pool.session().await?;
        let rows = session
            .query(
                "SELECT n.key FROM unnest($1::text[]) AS n (key) WHERE NOT EXISTS (
                     SELECT FROM rotator_leases l WHERE l.key = n.key AND l.holder IS NOT NULL)
                 ORDER BY n.key COLLATE \"C\"",
                &[texts(names(keys))],
            )
            .await?;
        let key = |row| Ok(KeyId::new(self.pool.columns(row).get::<&str>("key")?));
        rows.iter().map(key).collect()
    }
}

async fn add_replica(
    pool: &Pool,
    member: &Member,
    lease: Duration,
) -> Result<ReplicaId, StateError> {
    let mut session = pool.session().await?;
    let rows = session
        .query(
            "INSERT INTO rotator_replicas (name, role, until)
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3)) RETURNING id",
            &[
                text(plain(&member.name)),
                text(member.role.word()),
                seconds(lease.as_secs_f64()),
            ],
        )
        .await?;
    Ok(ReplicaId(number(&rows)))
}

async fn renew_and_see(
    pool: &Pool,
    replica: ReplicaId,
    renewal: Renewal,
) -> Result<Option<Standing>, StateError> {
    let id = replica.0;
    let wants = i64::from(renewal.wants);
    // An answer that comes after the lease is over is of no use, and there is time for another try.
    let mut session = pool.session_within(part(renewal.lease, 2)).await?;
    let renewed = session
        .query(
            "UPDATE rotator_replicas
             SET until = clock_timestamp() + make_interval(secs => $2), wants = $3::int8
             WHERE id = $1 RETURNING id",
            &[int(id), seconds(renewal.lease.as_secs_f64()), int(wants)],
        )
        .await?;
    if renewed.is_empty() {
        return Ok(None);
    }
    if renewal.evict {
        evict(pool, id, part(renewal.lease, 4)).await;
    }
    let late = seconds(LATE_WRITE.as_secs_f64());
    session.query(COME_DUE, &[int(id), late]).await?;
    let rows = session.query(STANDING, &[int(id)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let columns = pool.columns(row);
    let due: Vec<&str> = columns.get("due")?;
    Ok(Some(Standing {
        daemons: count(&columns, "daemons")?,
        rank: count(&columns, "rank")?,
        wanted: count(&columns, "wanted")?,
        free: count(&columns, "free")?,
        due: due.into_iter().map(KeyId::new).collect(),
    }))
}

/// Evicts expired replicas. A row locked by a running save is skipped and tried at the next renewal.
async fn evict(pool: &Pool, id: i64, limit: Duration) {
    let evicted = async {
        let mut session = pool.session_within(limit).await?;
        let longest = seconds(LONGEST_LEASE.as_secs_f64());
        session.query(CUT_SHORT, &[int(id), longest]).await?;
        session.query(STRIKE_OUT, &[int(id)]).await
    };
    if let Err(error) = evicted.await {
        tracing::debug!(%error, "replicas whose lease is over could not be struck out yet");
    }
}

/// Returns a fraction of a lease, and at least a second.
fn part(lease: Duration, of: u32) -> Duration {
    (lease / of).max(Duration::from_secs(1))
}

fn names(keys: &[KeyId]) -> Vec<&str> {
    keys.iter().map(KeyId::as_str).collect()
}

fn count(columns: &Columns<'_>, name: &str) -> Result<u32, StateError> {
    let number: i64 = columns.get(name)?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}
