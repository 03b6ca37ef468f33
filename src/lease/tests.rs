//! Tests of writes under a lease, on paused time.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::{advance, sleep};

use super::*;

const LEASE: Duration = Duration::from_secs(10);

const HOLD: Lease = Lease {
    replica: ReplicaId(1),
    fencing_token: FencingToken(7),
};

fn key() -> KeyId {
    KeyId::new("k")
}

/// Returns the table of a replica that has just joined and claimed the key.
fn holding() -> Arc<LeaseTable> {
    let leases = LeaseTable::shared();
    leases.joined(HOLD.replica);
    leases.renewed(Instant::now(), LEASE);
    leases.claimed([(key(), HOLD.fencing_token)]);
    Arc::new(leases)
}

async fn write_of(leases: &LeaseTable, takes: Duration) -> Result<&'static str, Lost> {
    let write = async {
        sleep(takes).await;
        "done"
    };
    leases.write(&key(), Some(HOLD), write).await
}

#[tokio::test(start_paused = true)]
async fn single_process_may_write_for_any_length_of_time() {
    let leases = LeaseTable::alone();
    assert!(leases.holds(&key(), None));
    assert_eq!(leases.keys(), None);
    let write = sleep(LEASE * 100);
    assert_eq!(leases.write(&key(), None, write).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_write_within_the_lease_is_done() {
    let leases = holding();
    assert_eq!(leases.keys(), Some([key()].into()));
    assert_eq!(write_of(&leases, LEASE * 8 / 10).await, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_broken_off_before_the_lease_is_over() {
    let leases = holding();
    let begun = Instant::now();
    assert_eq!(write_of(&leases, LEASE * 2).await, Err(Lost));
    assert!(begun.elapsed() < LEASE);
    assert_eq!(write_of(&leases, Duration::ZERO).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_on_as_long_as_the_lease_is_renewed() {
    let leases = holding();
    let renewing = Arc::clone(&leases);
    let renewals = tokio::spawn(async move {
        loop {
            sleep(LEASE / 2).await;
            renewing.renewed(Instant::now(), LEASE);
        }
    });
    assert_eq!(write_of(&leases, LEASE * 5).await, Ok("done"));
    renewals.abort();
    // Without renewals the lease ends.
    assert_eq!(write_of(&leases, LEASE * 5).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_write_leaves_after_a_pause_past_the_lease() {
    let leases = holding();
    let polls = AtomicU32::new(0);
    let write = poll_fn(|_| {
        polls.fetch_add(1, Ordering::Relaxed);
        Poll::<()>::Pending
    });
    let key = key();
    let mut write = pin!(leases.write(&key, Some(HOLD), write));
    let first = poll_fn(|context| Poll::Ready(write.as_mut().poll(context)));
    assert!(first.await.is_pending());
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    advance(LEASE).await;
    assert_eq!(write.await, Err(Lost));
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn aborts_the_write_at_once_after_eviction_release_or_rejoining() {
    for lose in [
        LeaseTable::evicted as fn(&LeaseTable),
        |leases| leases.gave_up(&key()),
        |leases| leases.joined(ReplicaId(2)),
    ] {
        let leases = holding();
        let begun = Instant::now();
        let losing = async {
            sleep(Duration::from_secs(1)).await;
            lose(&leases);
            pending::<()>().await;
        };
        let key = key();
        let write = leases.write(&key, Some(HOLD), pending::<()>());
        tokio::select! {
            ended = write => assert_eq!(ended, Err(Lost)),
            () = losing => unreachable!("it never ends"),
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        assert!(!leases.holds(&key, Some(HOLD)));
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_that_is_given_up_disturbs_nobody() {
    let leases = holding();
    let other = KeyId::new("other");
    leases.claimed([(other.clone(), FencingToken(9))]);
    let losing = async {
        sleep(Duration::from_secs(1)).await;
        leases.gave_up(&other);
    };
    let (ended, ()) = tokio::join!(write_of(&leases, Duration::from_secs(2)), losing);
    assert_eq!(ended, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_none_of_an_earlier_one() {
    let leases = holding();
    let earlier = Lease {
        fencing_token: FencingToken(6),
        ..HOLD
    };
    for lease in [None, Some(earlier)] {
        assert!(!leases.holds(&key(), lease));
        let ended = leases.write(&key(), lease, async {}).await;
        assert_eq!(ended, Err(Lost));
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_counts_from_when_it_was_asked_for() {
    let leases = holding();
    let asked_at = Instant::now();
    advance(LEASE / 2).await;
    leases.renewed(Instant::now(), LEASE);
    // The answer to an earlier request arrives later and shortens nothing.
    leases.renewed(asked_at, LEASE);
    assert_eq!(write_of(&leases, LEASE * 8 / 10).await, Ok("done"));
    // A renewal that took long grants only the rest of its lease.
    let asked_at = Instant::now();
    advance(LEASE * 3 / 4).await;
    leases.renewed(asked_at, LEASE);
    assert_eq!(write_of(&leases, LEASE / 4).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn late_renewal_without_eviction_allows_writes_again() {
    let leases = holding();
    advance(LEASE * 3).await;
    assert!(leases.holds(&key(), Some(HOLD)));
    assert_eq!(write_of(&leases, Duration::ZERO).await, Err(Lost));
    leases.renewed(Instant::now(), LEASE);
    assert_eq!(write_of(&leases, Duration::ZERO).await, Ok("done"));
}

#[test]
fn late_writes_are_taken_once_and_put_back_after_a_failure() {
    let leases = LeaseTable::shared();
    leases.late_write(&key());
    leases.late_write(&key());
    let taken = leases.take_late_writes();
    assert_eq!(taken, [key()].into());
    assert!(leases.take_late_writes().is_empty());
    for key in &taken {
        leases.late_write(key);
    }
    assert_eq!(leases.take_late_writes(), taken);
    // Without other replicas there are no late writes.
    let alone = LeaseTable::alone();
    alone.late_write(&key());
    assert!(alone.take_late_writes().is_empty());
}
