//! Marks for repair: who takes them back, and when they come due.

use std::time::Duration;

use flashback_rotator::model::{Record, Repair};
use flashback_rotator::state::StateStore as _;
use flashback_rotator::state::membership::{LATE_WRITE, Membership as _};

use super::membership::{LONG, renew, sql};
use super::{claim, database, full, joined, key};
use crate::support::postgres::Database;

/// The record as a write that succeeded leaves it.
fn written(record: &Record) -> Record {
    Record {
        repair: record.repair.map(Repair::written),
        ..record.clone()
    }
}

async fn pass(database: &Database, name: &str) {
    let late = format!(
        "UPDATE rotator_leases SET late_at = clock_timestamp() - interval '1s' WHERE key = '{name}'"
    );
    sql(database, &late).await;
}

#[tokio::test]
async fn a_mark_is_due_at_once_and_once_more() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    claim(&store, replica, &["a", "b"]).await;
    let load = async || store.load(&key("a")).await.expect("read");
    let save = async |record: &Record| store.save(record, None).await.expect("saved");
    let is_due = |record: &Record| record.repair.is_some_and(|repair| repair.is_due());
    assert_eq!(load().await.repair, None);
    store
        .mark(&[key("a"), key("unknown")])
        .await
        .expect("marked");
    let record = load().await;
    assert!(is_due(&record));
    let standing = renew(&store, replica, LONG).await.expect("it is there");
    assert_eq!(standing.due, [key("a")]);
    // What has not written takes nothing back.
    save(&record).await;
    assert!(is_due(&load().await));
    // Nor does what began before the mark.
    store.mark(&[key("a")]).await.expect("marked");
    save(&written(&record)).await;
    let record = load().await;
    assert!(is_due(&record));
    save(&written(&record)).await;
    let record = load().await;
    let repair = record.repair.expect("something may still arrive");
    assert!(!repair.due_in.is_zero() && repair.due_in <= LATE_WRITE);
    let standing = renew(&store, replica, LONG).await.expect("it is there");
    assert!(standing.due.is_empty());
    pass(&database, "a").await;
    let standing = renew(&store, replica, LONG).await.expect("it is there");
    assert_eq!(standing.due, [key("a")]);
    // A save of what was read before it came due does not take it back.
    save(&written(&record)).await;
    let record = load().await;
    assert!(is_due(&record));
    save(&written(&record)).await;
    assert_eq!(load().await.repair, None);
    // A mark is nobody's: it waits for whoever claims the key.
    claim(&store, replica, &["unknown"]).await;
    assert!(is_due(&store.load(&key("unknown")).await.expect("read")));
}

#[tokio::test]
async fn an_intent_that_changes_hands_is_a_mark_that_comes_due() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    claim(&a, replica_a, &["a", "b"]).await;
    let load = async |name: &str| b.load(&key(name)).await.expect("read");
    let mut record = load("a").await;
    record.intent = full("a", 1).intent;
    a.save(&record, None).await.expect("saved");
    assert_eq!(load("a").await.repair, None, "it is nobody else's yet");
    a.leave(replica_a).await.expect("left");
    claim(&b, replica_b, &["a", "b"]).await;
    assert_eq!(load("b").await.repair, None);
    let record = load("a").await;
    let repair = record.repair.expect("marked");
    let almost = LATE_WRITE - Duration::from_secs(30);
    assert!(
        repair.due_in > almost && repair.due_in <= LATE_WRITE,
        "{repair:?}"
    );
    // Not due yet, so a write does not take it back; and a mark that is due at once does not wait for it.
    b.save(&written(&record), None).await.expect("saved");
    b.mark(&[key("a")]).await.expect("marked");
    let record = load("a").await;
    assert_eq!(
        record.repair.map(|repair| repair.due_in),
        Some(Duration::ZERO)
    );
    b.save(&written(&record), None).await.expect("saved");
    let record = load("a").await;
    assert!(record.repair.is_some_and(|repair| repair.due_in > almost));
    pass(&database, "a").await;
    // Until it has a number of its own, a save could not tell it from one before.
    assert!(
        load("a")
            .await
            .repair
            .is_some_and(|repair| !repair.due_in.is_zero())
    );
    let standing = renew(&b, replica_b, LONG).await.expect("it is there");
    assert_eq!(standing.due, [key("a")]);
    b.save(&written(&record), None).await.expect("saved");
    let record = load("a").await;
    assert_eq!(
        record.repair.map(|repair| repair.due_in),
        Some(Duration::ZERO)
    );
    b.save(&written(&record), None).await.expect("saved");
    assert_eq!(load("a").await.repair, None);
}
