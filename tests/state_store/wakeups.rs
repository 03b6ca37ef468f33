//! Wakeups that one replica leaves for another: who sees them, which one stands for several, and when they go.

use chrono::{DateTime, Utc};
use flashback_rotator::model::Version;
use flashback_rotator::state::membership::Membership as _;
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::wakeups::{Receipt, Wakeup, Wakeups as _};

use super::membership::{LONG, OVER, evict, sql};
use super::{at, claim, database, joined, key, opened};

/// More than any of these tests leaves.
const ALL: u32 = 100;

pub fn wakeup(name: &str, version: &str, at: Option<DateTime<Utc>>) -> Wakeup {
    Wakeup {
        key: key(name),
        version: Some(Version::new(version)),
        index: Some(format!("index-{version}")),
        at,
    }
}

pub async fn pending(store: &Postgres) -> Vec<(Wakeup, Receipt)> {
    store.pending(&[], ALL).await.expect("read")
}

fn wakeups(pending: &[(Wakeup, Receipt)]) -> Vec<Wakeup> {
    pending.iter().map(|(wakeup, _)| wakeup.clone()).collect()
}

#[tokio::test]
async fn each_replica_sees_the_wakeups_of_its_own_keys_in_order() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    claim(&a, replica_a, &["a"]).await;
    claim(&b, replica_b, &["b", "c"]).await;
    let all = ["d", "c", "b", "a"].map(|name| wakeup(name, "v1", Some(at(1))));
    for one in &all {
        a.hand_on(std::slice::from_ref(one)).await.expect("left");
    }
    let [d, c, b_, a_] = all;
    assert_eq!(wakeups(&pending(&a).await), [a_]);
    assert_eq!(wakeups(&pending(&b).await), [c.clone(), b_]);
    let first = b.pending(&[], 1).await.expect("read");
    assert_eq!(wakeups(&first), [c]);
    // It stays until somebody has the key.
    claim(&a, replica_a, &["d"]).await;
    assert!(wakeups(&pending(&a).await).contains(&d));
    // A process that is no replica has no keys.
    assert_eq!(pending(&opened(&database).await).await, []);
}

#[tokio::test]
async fn newest_wakeup_of_a_key_stands_for_all_and_is_a_new_one() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    claim(&store, replica, &["a"]).await;
    let one = async |wakeup: Wakeup| {
        store.hand_on(&[wakeup]).await.expect("left");
        let mut pending = pending(&store).await;
        assert_eq!(pending.len(), 1);
        pending.remove(0)
    };
    let (first, seen) = one(wakeup("a", "v2", Some(at(2)))).await;
    assert_eq!(first, wakeup("a", "v2", Some(at(2))));
    // An event that comes late asks for another check, and what is known of the newer one stays.
    let (second, again) = one(wakeup("a", "v1", Some(at(1)))).await;
    assert_eq!(second, first);
    assert_ne!(again, seen);
    let (third, _) = one(wakeup("a", "v3", None)).await;
    assert_eq!(third, wakeup("a", "v3", None));
    let several = [
        wakeup("a", "v5", Some(at(5))),
        wakeup("b", "v1", Some(at(1))),
        wakeup("a", "v4", Some(at(4))),
    ];
    store.hand_on(&several).await.expect("left");
    let last = pending(&store).await;
    assert_eq!(wakeups(&last), several[..1]);
    // What was done is the wakeup that was seen, and not the one that is there now.
    store.done(&[seen, again]).await.expect("done");
    assert_eq!(pending(&store).await, last);
    store.done(&[last[0].1]).await.expect("done");
    assert_eq!(pending(&store).await, []);
}

#[tokio::test]
async fn wakeup_of_a_replica_that_died_goes_to_the_next_one() {
    let database = database().await;
    let (a, replica_a) = joined(&database, OVER).await;
    let (b, replica_b) = joined(&database, LONG).await;
    claim(&a, replica_a, &["a", "b"]).await;
    let all = ["a", "b"].map(|name| wakeup(name, "v1", None));
    b.hand_on(&all).await.expect("left");
    let seen: Vec<Receipt> = pending(&a).await.iter().map(|(_, seen)| *seen).collect();
    assert_eq!(a.pending(&seen, ALL).await, Ok(Vec::new()), "in hand");
    a.done(&seen[..1]).await.expect("done");
    evict(&b, replica_b).await.expect("it is there");
    assert_eq!(pending(&b).await, [], "nobody's yet");
    claim(&b, replica_b, &["a", "b"]).await;
    // A check that ends after its lease removes nothing.
    a.done(&seen).await.expect("passed over");
    assert_eq!(wakeups(&pending(&b).await), all[1..]);
    // Under another lease it is not in hand any more, although its number is the same.
    let seen = pending(&b).await[0].1;
    b.release(replica_b, &[key("b")]).await.expect("given back");
    claim(&b, replica_b, &["b"]).await;
    let again = b.pending(&[seen], ALL).await.expect("read");
    assert_eq!(wakeups(&again), all[1..]);
    b.done(&[seen]).await.expect("passed over");
    assert_eq!(pending(&b).await, again);
    b.done(&[again[0].1]).await.expect("done");
    assert_eq!(pending(&b).await, []);
}

#[tokio::test]
async fn wakeups_of_keys_that_nobody_has_are_forgotten_after_a_week() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    claim(&store, replica, &["a"]).await;
    let all = ["a", "b", "c"].map(|name| wakeup(name, "v1", None));
    store.hand_on(&all).await.expect("left");
    let old = "UPDATE rotator_wakeups SET left_at = left_at - interval '8 days' WHERE key <> 'c'";
    sql(&database, old).await;
    store
        .hand_on(&[wakeup("d", "v1", None)])
        .await
        .expect("left");
    claim(&store, replica, &["b", "c", "d"]).await;
    let left = wakeups(&pending(&store).await);
    let names: Vec<_> = left.iter().map(|wakeup| wakeup.key.as_str()).collect();
    assert_eq!(names, ["a", "c", "d"]);
}
