//! The task that wakes this replica's keys of whose changes another one has heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::membership::wakeups::{BATCH, EVERY, WakeupTask, Woken};
use flashback_rotator::model::{KeyId, ReplicaId};
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::wakeups::{Wakeup, Wakeups as _};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::membership::{LONG, OVER, evict, sql};
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
        let woken: Arc<Mutex<Vec<Woken>>> = Arc::default();
        let calls: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (there, counts) = (woken.clone(), calls.clone());
        let wake = move |all: Vec<Woken>| {
            counts.lock().push(all.len());
            there.lock().extend(all);
        };
        let mut task = WakeupTask::new(store.clone(), every, Box::new(wake));
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

/// Does `what` to each session that listens, and returns how many there are.
async fn sessions(database: &Database, what: &str) -> i64 {
    let admin = Server::shared().await.admin(&database.name).await;
    // It is what such a session was asked last.
    let sql = format!(
        "SELECT count({what}) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'"
    );
    admin.query_one(&sql, &[]).await.expect("asked").get(0)
}

/// Does `what` to the sessions that listen, once there are this many.
async fn listening(database: &Database, count: i64, what: &str) {
    eventually("it listens", async || {
        (sessions(database, what).await >= count).then_some(())
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
    listening(&database, 2, "true").await;
    let told = wakeup("b", "v1", None);
    a.store
        .hand_on(std::slice::from_ref(&told))
        .await
        .expect("left");
    let woken = b.woken(1).await;
    assert_eq!(woken[0].wakeup, told);
    assert!(a.woken.lock().is_empty());
    // One that comes while the first is being checked is told as well, and outlives it.
    let newer = wakeup("b", "v2", None);
    a.store
        .hand_on(std::slice::from_ref(&newer))
        .await
        .expect("left");
    assert_eq!(b.woken(1).await[0].wakeup, newer);
}

#[tokio::test]
async fn a_wakeup_arrives_when_the_listening_connection_was_cut() {
    let database = database().await;
    let a = Process::start(&database, LONG, LONG).await;
    claim(&a.store, a.replica, &["a", "b"]).await;
    let (b, _) = joined(&database, LONG).await;
    for round in 0..3 {
        listening(&database, 1, "pg_terminate_backend(pid)").await;
        let told = wakeup("a", &format!("v{round}"), None);
        b.hand_on(std::slice::from_ref(&told)).await.expect("left");
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

/// What a pooler in transaction mode does to notifications, a function does here: nobody hears them.
#[tokio::test]
async fn a_wakeup_arrives_where_notifications_do_not_come_through() {
    let database = database().await;
    let deaf = format!(
        "CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS '';
         GRANT CREATE ON SCHEMA public TO rotator;
         ALTER DATABASE {} SET search_path = public, pg_catalog",
        database.name
    );
    sql(&database, &deaf).await;
    let a = Process::start(&database, LONG, EVERY).await;
    claim(&a.store, a.replica, &["a"]).await;
    listening(&database, 1, "true").await;
    for version in ["v1", "v2"] {
        let told = wakeup("a", version, None);
        a.store
            .hand_on(std::slice::from_ref(&told))
            .await
            .expect("left");
        assert_eq!(a.woken(1).await[0].wakeup, told);
        // A connection on which nothing comes is not kept.
        eventually("none listens", async || {
            (sessions(&database, "true").await == 0).then_some(())
        })
        .await;
    }
}
