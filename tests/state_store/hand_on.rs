//! The task that wakes this replica's keys of whose changes another one has heard.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flashback_rotator::membership::wakeups::{BATCH, EVERY, WakeupTask, Woken};
use flashback_rotator::model::{KeyId, ReplicaId};
use flashback_rotator::state::StateError;
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::wakeups::{Receipt, Wakeup, Wakeups};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::membership::{LONG, OVER, evict};
use super::wakeups::{pending, wakeup};
use super::{Server, claim, database, joined};
use crate::support::eventually;
use crate::support::postgres::Database;

/// The process of a replica, which begins no check before it is told to.
struct Process {
    store: Arc<Postgres>,
    replica: ReplicaId,
    woken: Arc<Mutex<Vec<Woken>>>,
    /// The number of wakeups in each call.
    calls: Arc<Mutex<Vec<usize>>>,
    task: JoinHandle<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Process {
    /// Joins and takes wakeups, which are asked for once in `every` beside what is told.
    async fn start(database: &Database, lease: Duration, every: Duration) -> Self {
        let (store, replica) = joined(database, lease).await;
        let store = Arc::new(store);
        Self::over(store.clone(), store, replica, every)
    }

    fn over(
        store: Arc<Postgres>,
        wakeups: Arc<dyn Wakeups>,
        replica: ReplicaId,
        every: Duration,
    ) -> Self {
        let woken: Arc<Mutex<Vec<Woken>>> = Arc::default();
        let calls: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (there, counts) = (woken.clone(), calls.clone());
        let wake = move |all: Vec<Woken>| {
            counts.lock().push(all.len());
            there.lock().extend(all);
        };
        let mut task = WakeupTask::new(wakeups, every, Box::new(wake));
        Self {
            store,
            replica,
            woken,
            calls,
            task: tokio::spawn(async move { task.run().await }),
        }
    }

    /// Waits until this many wakeups have come, and takes them.
    async fn woken(&self, count: usize) -> Vec<Woken> {
        eventually("the key is woken", async || {
            let mut woken = self.woken.lock();
            (woken.len() >= count).then(|| std::mem::take(&mut *woken))
        })
        .await
    }

    /// Waits until nothing is left for it.
    async fn at_rest(&self) {
        eventually("what was checked is removed", async || {
            pending(&self.store).await.is_empty().then_some(())
        })
        .await;
    }
}

/// Waits until this many sessions listen, and ends them if `end`.
async fn listening(database: &Database, sessions: i64, end: bool) {
    let admin = Server::shared().await.admin(&database.name).await;
    let what = if end {
        "pg_terminate_backend(pid)"
    } else {
        "true"
    };
    // What a session that listens was asked last.
    let sql = format!(
        "SELECT count({what}) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'"
    );
    eventually("it listens", async || {
        let found: i64 = admin.query_one(&sql, &[]).await.expect("asked").get(0);
        (found >= sessions).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wakeup_is_told_to_the_replica_that_has_the_key() {
    let database = database().await;
    // They never ask: what comes was told.
    let a = Process::start(&database, LONG, LONG).await;
    let b = Process::start(&database, LONG, LONG).await;
    claim(&a.store, a.replica, &["a"]).await;
    claim(&b.store, b.replica, &["b"]).await;
    listening(&database, 2, false).await;
    let told = wakeup("b", "v1", None);
    a.store.hand_on(&[told.clone()]).await.expect("left");
    let woken = b.woken(1).await;
    assert_eq!(woken[0].wakeup, told);
    assert!(a.woken.lock().is_empty());
    // One that comes while the first is being checked is told as well, and outlives it.
    let newer = wakeup("b", "v2", None);
    a.store.hand_on(&[newer.clone()]).await.expect("left");
    assert_eq!(b.woken(1).await[0].wakeup, newer);
}

#[tokio::test]
async fn a_wakeup_arrives_when_the_listening_connection_was_cut() {
    let database = database().await;
    let a = Process::start(&database, LONG, LONG).await;
    claim(&a.store, a.replica, &["a", "b"]).await;
    let (b, _) = joined(&database, LONG).await;
    for round in 0..3 {
        listening(&database, 1, true).await;
        let told = wakeup("a", &format!("v{round}"), None);
        b.hand_on(&[told.clone()]).await.expect("left");
        let woken = a.woken(1).await;
        assert_eq!(woken.last().map(|woken| &woken.wakeup), Some(&told));
    }
}

#[tokio::test]
async fn what_was_not_checked_is_left_to_the_next_replica() {
    let database = database().await;
    let a = Process::start(&database, OVER, EVERY).await;
    let b = Process::start(&database, LONG, EVERY).await;
    claim(&a.store, a.replica, &["a", "b", "c"]).await;
    let all = ["a", "b", "c"].map(|name| wakeup(name, "v1", None));
    b.store.hand_on(&all).await.expect("left");
    let mut woken = a.woken(3).await;
    // One check has ended; one key is not in this process's configuration; one check is under way when it dies.
    drop(woken.remove(0));
    woken.remove(0).ending.give_back();
    let left = eventually("one is removed", async || {
        let left = pending(&a.store).await;
        (left.len() == 2).then_some(left)
    });
    left.await;
    assert_eq!(a.woken(1).await[0].wakeup, all[1], "asked again");
    a.task.abort();
    evict(&b.store, b.replica).await.expect("it is there");
    claim(&b.store, b.replica, &["a", "b", "c"]).await;
    let woken = b.woken(2).await;
    let keys: Vec<&KeyId> = woken.iter().map(|woken| &woken.wakeup.key).collect();
    assert_eq!(keys, [&all[1].key, &all[2].key]);
    drop(woken);
    b.at_rest().await;
}

#[tokio::test]
async fn ten_thousand_wakeups_at_once_come_in_bounded_parts_and_once_each() {
    let database = database().await;
    let a = Process::start(&database, LONG, EVERY).await;
    let names: Vec<String> = (0..10_000).map(|n| format!("key-{n:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    claim(&a.store, a.replica, &names).await;
    let (b, _) = joined(&database, LONG).await;
    let all: Vec<Wakeup> = names.iter().map(|name| wakeup(name, "v1", None)).collect();
    b.hand_on(&all).await.expect("left");
    let woken = a.woken(all.len()).await;
    assert!(a.calls.lock().iter().all(|count| *count <= BATCH as usize));
    let mut times: BTreeMap<&KeyId, u32> = BTreeMap::new();
    for woken in &woken {
        *times.entry(&woken.wakeup.key).or_default() += 1;
    }
    assert_eq!((times.len(), woken.len()), (10_000, 10_000));
    drop(woken);
    a.at_rest().await;
    assert!(a.woken.lock().is_empty());
}

/// A state that tells nothing, as behind a pooler in transaction mode.
struct Silent(Arc<Postgres>);

#[async_trait]
impl Wakeups for Silent {
    async fn hand_on(&self, wakeups: &[Wakeup]) -> Result<(), StateError> {
        self.0.hand_on(wakeups).await
    }

    async fn pending(
        &self,
        in_hand: &[Receipt],
        most: u32,
    ) -> Result<Vec<(Wakeup, Receipt)>, StateError> {
        self.0.pending(in_hand, most).await
    }

    async fn done(&self, receipts: &[Receipt]) -> Result<(), StateError> {
        self.0.done(receipts).await
    }

    async fn listen(&self, _: Arc<Notify>) -> Infallible {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_wakeup_arrives_where_nothing_is_told() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    let store = Arc::new(store);
    let silent = Arc::new(Silent(store.clone()));
    let a = Process::over(store, silent, replica, EVERY);
    claim(&a.store, a.replica, &["a"]).await;
    let told = wakeup("a", "v1", None);
    a.store.hand_on(&[told.clone()]).await.expect("left");
    assert_eq!(a.woken(1).await[0].wakeup, told);
}
