//! Several processes share the keys of one state: what is claimed, lost, marked and given back.

use std::collections::BTreeSet;
use std::time::Duration;

use flashback_rotator::model::{FencingToken, KeyId, Lease, Record, ReplicaId};
use flashback_rotator::state::membership::{
    LONGEST_LEASE, Member, Membership as _, Renewal, Role, Standing,
};
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::{StateError, StateStore as _};

use super::{Server, claim, database, full, joined, key, note, opened, row};
use crate::support::postgres::Database;

/// Over as soon as it is given.
pub const OVER: Duration = Duration::ZERO;

/// Longer than any test.
pub const LONG: Duration = Duration::from_secs(3_600);

pub async fn renew(store: &Postgres, replica: ReplicaId, lease: Duration) -> Option<Standing> {
    renewal(store, replica, lease, false).await
}

pub async fn evict(store: &Postgres, replica: ReplicaId) -> Option<Standing> {
    renewal(store, replica, LONG, true).await
}

async fn renewal(
    store: &Postgres,
    replica: ReplicaId,
    lease: Duration,
    evict: bool,
) -> Option<Standing> {
    let renewal = Renewal {
        lease,
        wants: 0,
        evict,
    };
    store.renew(replica, renewal).await.expect("renewed")
}

fn names(claims: &[(KeyId, FencingToken)]) -> BTreeSet<&str> {
    claims.iter().map(|(key, _)| key.as_str()).collect()
}

/// What only the database's owner may do.
pub async fn sql(database: &Database, sql: &str) {
    let admin = Server::shared().await.admin(&database.name).await;
    admin.batch_execute(sql).await.expect("done");
}

#[tokio::test]
async fn two_who_claim_at_once_get_different_keys() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    let keys: Vec<_> = (0..200).map(|n| key(&format!("key-{n:03}"))).collect();
    a.know(&keys).await.expect("known");
    for round in 0..10 {
        let both = tokio::join!(
            a.claim(replica_a, &keys, 100),
            b.claim(replica_b, &keys, 120)
        );
        let (mine, theirs) = (both.0.expect("claimed"), both.1.expect("claimed"));
        assert!(names(&mine).is_disjoint(&names(&theirs)), "round {round}");
        assert!(mine.len() <= 100 && theirs.len() <= 120);
        assert!(mine.len() + theirs.len() >= 100);
        a.release(replica_a, &keys).await.expect("given back");
        b.release(replica_b, &keys).await.expect("given back");
    }
}

#[tokio::test]
async fn claim_skips_keys_that_are_locked_elsewhere() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    store.know(&[key("a"), key("b")]).await.expect("known");
    let busy = Server::shared().await.admin(&database.name).await;
    let lock = "BEGIN; SELECT FROM rotator_leases WHERE key = 'a' FOR NO KEY UPDATE";
    busy.batch_execute(lock).await.expect("locked");
    assert_eq!(
        names(&claim(&store, replica, &["a", "b"]).await),
        ["b"].into()
    );
    busy.batch_execute("COMMIT").await.expect("let go");
    let keys = [key("a")];
    let claimed = store.claim(replica, &keys, 0).await.expect("claimed");
    assert!(claimed.is_empty(), "none was asked for");
    assert_eq!(
        store.unheld(&[key("a"), key("b"), key("c")]).await,
        Ok(vec![key("a"), key("c")])
    );
}

#[tokio::test]
async fn late_replicas_keep_their_keys_and_evicted_ones_lose_them() {
    let database = database().await;
    let (a, replica_a) = joined(&database, OVER).await;
    let (b, replica_b) = joined(&database, LONG).await;
    claim(&a, replica_a, &["a", "b"]).await;
    // It is late, and nobody strikes out.
    let standing = renew(&b, replica_b, LONG).await.expect("it is there");
    assert_eq!((standing.daemons, standing.rank, standing.free), (2, 1, 0));
    let standing = renew(&a, replica_a, OVER).await.expect("it is there");
    assert_eq!((standing.daemons, standing.rank, standing.free), (2, 0, 0));
    let alive: Vec<_> = b.replicas().await.expect("read");
    let shown: Vec<_> = alive.iter().map(|r| (r.id, r.alive, r.keys)).collect();
    assert_eq!(shown, [(replica_a, false, 2), (replica_b, true, 0)]);

    let standing = evict(&b, replica_b).await.expect("it is there");
    assert_eq!((standing.daemons, standing.rank, standing.free), (1, 0, 2));
    assert_eq!(renew(&a, replica_a, LONG).await, None);
    let lost = a.claim(replica_a, &[key("a")], 1).await;
    assert_eq!(lost, Err(StateError::Lost));
    let none = a.claim(replica_a, &[], 0).await;
    assert_eq!(
        none,
        Err(StateError::Lost),
        "also where there is nothing to claim"
    );
    assert_eq!(a.take_request().await, Ok(None));
    // A replica that is evicted evicts no other.
    let (_, late) = joined(&database, OVER).await;
    assert_eq!(evict(&a, replica_a).await, None);
    let there = b.replicas().await.expect("read");
    assert!(there.iter().any(|replica| replica.id == late));
}

#[tokio::test]
async fn renewing_and_striking_out_exclude_each_other() {
    let database = database().await;
    let (b, replica_b) = joined(&database, LONG).await;
    for round in 0..60_u64 {
        let (a, replica_a) = joined(&database, OVER).await;
        let claimed = claim(&a, replica_a, &["a"]).await;
        let record = a.load(&key("a")).await.expect("read");
        assert_eq!(
            record.lease.map(|lease| lease.fencing_token),
            Some(claimed[0].1)
        );
        let apart = Duration::from_micros(300 * (round % 8));
        let (renewed, evicted) = tokio::join!(
            async {
                tokio::time::sleep(apart).await;
                renew(&a, replica_a, LONG).await
            },
            evict(&b, replica_b)
        );
        evicted.expect("it is there");
        let there = b.replicas().await.expect("read");
        let there = there.iter().any(|replica| replica.id == replica_a);
        let saved = a.save(&record, None).await;
        match renewed {
            Some(_) => assert_eq!((there, saved), (true, Ok(())), "round {round}"),
            None => assert_eq!(
                (there, saved),
                (false, Err(StateError::Lost)),
                "round {round}"
            ),
        }
        assert_eq!(b.unheld(&[key("a")]).await.expect("read").is_empty(), there);
        a.leave(replica_a).await.expect("left");
    }
}

#[tokio::test]
async fn a_save_under_a_hold_that_is_over_writes_nothing() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    let first = claim(&a, replica_a, &["a"]).await;
    let held = a.load(&key("a")).await.expect("read").lease;
    let lease = |replica, fencing_token| {
        Some(Lease {
            replica,
            fencing_token,
        })
    };
    assert_eq!(held, lease(replica_a, first[0].1));
    let mut old = Record {
        lease: held,
        ..full("a", 1)
    };
    a.save(&old, Some(&row("a", 1))).await.expect("saved");
    a.release(replica_a, &[key("a")]).await.expect("given back");
    let stale = async |record: Record| {
        assert_eq!(
            a.save(&record, Some(&row("a", 2))).await,
            Err(StateError::Lost)
        );
        let by = flashback_rotator::model::Verifier::Provider;
        assert_eq!(a.save_verified(&record, by).await, Err(StateError::Lost));
    };
    let changed = Record {
        seen: None,
        look: note(9, None),
        ..old.clone()
    };
    stale(changed.clone()).await;
    let second = claim(&b, replica_b, &["a"]).await;
    assert!(second[0].1 > first[0].1, "fences grow");
    stale(changed.clone()).await;
    stale(Record {
        lease: None,
        ..changed.clone()
    })
    .await;
    // The same replica under a new claim: the old claim is over all the same.
    b.leave(replica_b).await.expect("left");
    let third = claim(&a, replica_a, &["a"]).await;
    assert!(third[0].1 > second[0].1);
    stale(changed).await;
    old.lease = lease(replica_a, third[0].1);
    let mut kept = a.load(&key("a")).await.expect("read");
    kept.repair.take().expect("its intent changed hands");
    assert_eq!(kept, old);
    assert_eq!(a.history(None, None, None).await, Ok(vec![row("a", 1)]));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_had_again() {
    let database = database().await;
    let (store, replica) = joined(&database, LONG).await;
    let first = claim(&store, replica, &["a", "b"]).await;
    let again = claim(&store, replica, &["a", "b"]).await;
    assert_eq!(names(&again), ["a", "b"].into());
    assert!(again[0].1 > first[0].1);
}

#[tokio::test]
async fn each_renewal_returns_rank_wanted_and_free_keys() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    let command = opened(&database).await;
    let member = Member {
        name: "flashback-rotator sync".to_owned(),
        role: Role::Command,
    };
    let replica = command.join(&member, LONG).await.expect("joined");
    claim(&a, replica_a, &["a", "b", "c"]).await;
    b.know(&[key("d"), key("a")]).await.expect("known");
    let wants = |wants| Renewal {
        lease: LONG,
        wants,
        evict: true,
    };
    command.renew(replica, wants(9)).await.expect("renewed");
    b.renew(replica_b, wants(2)).await.expect("renewed");
    let standing = a.renew(replica_a, wants(1)).await.expect("renewed");
    let expected = Standing {
        daemons: 2,
        rank: 0,
        wanted: 2,
        free: 1,
        due: Vec::new(),
    };
    assert_eq!(standing, Some(expected));
    a.release(replica_a, &[key("b"), key("d")])
        .await
        .expect("given back");
    b.release(replica_b, &[key("a")])
        .await
        .expect("passed over");
    let standing = renew(&b, replica_b, LONG).await.expect("it is there");
    assert_eq!((standing.rank, standing.wanted, standing.free), (1, 1, 2));
    let roles: Vec<_> = b.replicas().await.expect("read");
    let roles: Vec<_> = roles.iter().map(|replica| replica.member.role).collect();
    assert_eq!(roles, [Role::Daemon, Role::Daemon, Role::Command]);
    a.leave(replica_a).await.expect("left");
    a.leave(replica_a).await.expect("it is no error to be gone");
    let unheld = b
        .unheld(&["a", "b", "c", "d"].map(key))
        .await
        .expect("read");
    assert_eq!(unheld.len(), 4);
}

#[tokio::test]
async fn notes_are_written_for_keys_that_are_still_held() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    claim(&a, replica_a, &["a", "b"]).await;
    a.note_check(&key("a"), note(1, None));
    a.note_check(&key("b"), note(1, None));
    a.release(replica_a, &[key("b")]).await.expect("given back");
    claim(&b, replica_b, &["b"]).await;
    b.note_check(&key("b"), note(2, None));
    b.flush().await.expect("written");
    a.flush().await.expect("written");
    let read = opened(&database).await;
    for (name, second) in [("a", 1), ("b", 2)] {
        assert_eq!(
            read.load(&key(name)).await.expect("read").look,
            note(second, None)
        );
    }
}

/// The database's clock was a year ahead when a replica that is gone now renewed its lease.
#[tokio::test]
async fn a_clock_that_was_set_back_keeps_no_key_from_anybody() {
    let database = database().await;
    let (gone, replica_gone) = joined(&database, LONG).await;
    let (left, replica_left) = joined(&database, LONG).await;
    claim(&gone, replica_gone, &["a"]).await;
    let ahead = format!(
        "UPDATE rotator_replicas SET until = until + interval '1 year' WHERE id = {0};
         UPDATE rotator_leases SET late_at = clock_timestamp() + interval '1 year'",
        replica_gone.0
    );
    sql(&database, &ahead).await;
    evict(&left, replica_left).await.expect("it is there");
    let replicas = left.replicas().await.expect("read");
    assert_eq!(replicas.len(), 2, "it may be there still");
    // As long as the longest lease is later …
    let until = format!(
        "UPDATE rotator_replicas SET until = until - interval '{} s' WHERE id = {}",
        LONGEST_LEASE.as_secs(),
        replica_gone.0
    );
    sql(&database, &until).await;
    evict(&left, replica_left).await.expect("it is there");
    assert_eq!(left.replicas().await.expect("read").len(), 1);
    // … its key is there to be claimed, and what may still arrive is not waited for through the year.
    claim(&left, replica_left, &["a"]).await;
    let standing = renew(&left, replica_left, LONG).await.expect("it is there");
    assert_eq!(standing.due, [key("a")]);
}
