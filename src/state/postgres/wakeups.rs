//! Wakeups that replicas leave each other, in PostgreSQL.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::Postgres;
use super::listen::{CHANNEL, Listener};
use super::pool::DURABLE;
use super::value::{int, ints, plain, seconds, text, texts, times};
use crate::model::{FencingToken, KeyId, Version};
use crate::state::StateError;
use crate::state::wakeups::{Receipt, Wakeup, Wakeups};

/// The time after which a wakeup is removed whose key no replica has leased. Whoever leases it after that checks it
/// anyway.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const FORGET: &str = "
DELETE FROM rotator_wakeups WHERE key = ANY (ARRAY(
    SELECT w.key FROM rotator_wakeups w
    WHERE w.left_at < clock_timestamp() - make_interval(secs => $1) AND NOT EXISTS (
        SELECT FROM rotator_leases l WHERE l.key = w.key AND l.holder IS NOT NULL)
    ORDER BY w.key FOR UPDATE SKIP LOCKED))";

/// Each wakeup gets a number of its own, also where what was heard before is newer: the check that it causes is to
/// begin after it came. The replicas that have the keys are told by their numbers once this is committed.
const HAND_ON: &str = "
WITH put AS (
    INSERT INTO rotator_wakeups AS w (key, version, read_index, at)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
        AS n (key, version, read_index, at)
    ORDER BY key
    ON CONFLICT (key) DO UPDATE SET number = excluded.number, left_at = excluded.left_at,
        version = CASE WHEN w.at > excluded.at THEN w.version ELSE excluded.version END,
        read_index = CASE WHEN w.at > excluded.at THEN w.read_index ELSE excluded.read_index END,
        at = CASE WHEN w.at > excluded.at THEN w.at ELSE excluded.at END
    RETURNING key
), holders AS (
    SELECT DISTINCT l.holder FROM put JOIN rotator_leases l ON l.key = put.key
    WHERE l.holder IS NOT NULL
)
SELECT pg_notify($5, holder::text) FROM holders";

/// There are few wakeups and many leases: each wakeup looks up its lease (`OFFSET 0` keeps the planner from reading all
/// leases of the replica instead).
const PENDING: &str = "
SELECT w.key, w.version, w.read_index, w.at, w.number, l.fence
FROM rotator_wakeups w CROSS JOIN LATERAL (
    SELECT fence FROM rotator_leases WHERE key = w.key AND holder = $1 OFFSET 0) AS l
WHERE NOT EXISTS (SELECT FROM unnest($2::int8[], $3::int8[]) AS n (number, fence)
    WHERE n.number = w.number AND n.fence = l.fence)
ORDER BY w.number LIMIT $4";

/// A wakeup that is locked is being replaced by a newer one, and is left to that.
const DONE: &str = "
DELETE FROM rotator_wakeups WHERE key = ANY (ARRAY(
    SELECT w.key FROM rotator_wakeups w
        JOIN unnest($2::int8[], $3::int8[]) AS n (number, fence) ON n.number = w.number
        JOIN rotator_leases l ON l.key = w.key AND l.holder = $1 AND l.fence = n.fence
    ORDER BY w.key FOR UPDATE OF w SKIP LOCKED))";

#[async_trait]
impl Wakeups for Postgres {
    async fn hand_on(&self, wakeups: &[Wakeup]) -> Result<(), StateError> {
        if wakeups.is_empty() {
            return Ok(());
        }
        let newest = newest(wakeups);
        let version = |wakeup: &&Wakeup| Some(plain(wakeup.version.as_ref()?.as_str()));
        let index = |wakeup: &&Wakeup| wakeup.index.as_ref().map(plain);
        let parameters = [
            texts(newest.keys().map(|key| key.as_str()).collect::<Vec<_>>()),
            texts(newest.values().map(version).collect::<Vec<_>>()),
            texts(newest.values().map(index).collect::<Vec<_>>()),
            times(newest.values().map(|wakeup| wakeup.at).collect::<Vec<_>>()),
            text(CHANNEL),
        ];
        let life = [seconds(LIFE.as_secs_f64())];
        let statements = [(FORGET, &life[..]), (HAND_ON, &parameters[..])];
        let mut session = self.pool.session().await?;
        let left = session.transaction(DURABLE, &statements).await;
        self.health.written(left.map(drop))
    }

    async fn pending(
        &self,
        in_hand: &[Receipt],
        most: u32,
    ) -> Result<Vec<(Wakeup, Receipt)>, StateError> {
        let Some(replica) = self.own_replica.replica() else {
            return Ok(Vec::new());
        };
        let (numbers, fences) = columns(in_hand);
        let most = int(i64::from(most));
        let parameters = [int(replica), ints(numbers), ints(fences), most];
        let mut session = self.pool.session().await?;
        let rows = session.query(PENDING, &parameters).await?;
        let pending = |row| {
            let columns = self.pool.columns(row);
            let wakeup = Wakeup {
                key: KeyId::new(columns.get::<&str>("key")?),
                version: columns.get::<Option<&str>>("version")?.map(Version::new),
                index: columns.get("read_index")?,
                at: columns.get("at")?,
            };
            let receipt = Receipt {
                number: columns.get("number")?,
                fencing_token: FencingToken(columns.get("fence")?),
            };
            Ok((wakeup, receipt))
        };
        rows.iter().map(pending).collect()
    }

    async fn done(&self, receipts: &[Receipt]) -> Result<(), StateError> {
        let Some(replica) = self.own_replica.replica().filter(|_| !receipts.is_empty()) else {
            return Ok(());
        };
        let (numbers, fences) = columns(receipts);
        let parameters = [int(replica), ints(numbers), ints(fences)];
        let mut session = self.pool.session().await?;
        session.query(DONE, &parameters).await.map(drop)
    }

    async fn listen(&self, came: Arc<Notify>) -> Infallible {
        let connector = self.connector.clone();
        let (pool, own_replica) = (self.pool.clone(), Arc::clone(&self.own_replica));
        Listener::new(connector, pool, own_replica)
            .listen(came)
            .await
    }
}

/// Returns one wakeup for each key: that of the latest change, and otherwise the last one.
fn newest(wakeups: &[Wakeup]) -> BTreeMap<&KeyId, &Wakeup> {
    let mut newest: BTreeMap<&KeyId, &Wakeup> = BTreeMap::new();
    for wakeup in wakeups {
        let kept = newest.entry(&wakeup.key).or_insert(wakeup);
        if !kept.is_after(wakeup) {
            *kept = wakeup;
        }
    }
    newest
}

fn columns(receipts: &[Receipt]) -> (Vec<i64>, Vec<i64>) {
    let columns = |receipt: &Receipt| (receipt.number, receipt.fencing_token.0);
    receipts.iter().map(columns).unzip()
}
