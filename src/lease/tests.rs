//! A write under a lease, in a time of its own.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::{advance, sleep};

use super::*;

const LEASE: Duration = Duration::from_secs(10);

const HOLD: Hold = Hold {
    replica: ReplicaId(1),
    fence: Fence(7),
};

fn key() -> KeyId {
    KeyId::new("k")
}

/// Has just joined and claimed the key.
fn holding() -> Arc<Holdings> {
    let holdings = Holdings::shared();
    holdings.joined(HOLD.replica);
    holdings.renewed(Instant::now(), LEASE);
    holdings.claimed([(key(), HOLD.fence)]);
    Arc::new(holdings)
}

async fn write_of(holdings: &Holdings, takes: Duration) -> Result<&'static str, Lost> {
    let write = async {
        sleep(takes).await;
        "done"
    };
    holdings.write(&key(), Some(HOLD), write).await
}

#[tokio::test(start_paused = true)]
async fn one_process_alone_is_never_broken_off() {
    let holdings = Holdings::alone();
    assert!(holdings.holds(&key(), None));
    assert_eq!(holdings.keys(), None);
    let write = sleep(LEASE * 100);
    assert_eq!(holdings.write(&key(), None, write).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_write_within_the_lease_is_done() {
    let holdings = holding();
    assert_eq!(holdings.keys(), Some([key()].into()));
    assert_eq!(write_of(&holdings, LEASE * 8 / 10).await, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_broken_off_before_the_lease_is_over() {
    let holdings = holding();
    let begun = Instant::now();
    assert_eq!(write_of(&holdings, LEASE * 2).await, Err(Lost));
    assert!(begun.elapsed() < LEASE);
    assert_eq!(write_of(&holdings, Duration::ZERO).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_on_as_long_as_the_lease_is_renewed() {
    let holdings = holding();
    let renewing = Arc::clone(&holdings);
    let renewals = tokio::spawn(async move {
        loop {
            sleep(LEASE / 2).await;
            renewing.renewed(Instant::now(), LEASE);
        }
    });
    assert_eq!(write_of(&holdings, LEASE * 5).await, Ok("done"));
    renewals.abort();
    // The task may have been asked to stop in the middle of its wait.
    assert_eq!(write_of(&holdings, LEASE * 5).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_write_leaves_after_a_pause_past_the_lease() {
    let holdings = holding();
    let polls = AtomicU32::new(0);
    let write = poll_fn(|_| {
        polls.fetch_add(1, Ordering::Relaxed);
        Poll::<()>::Pending
    });
    let key = key();
    let mut write = pin!(holdings.write(&key, Some(HOLD), write));
    let first = poll_fn(|context| Poll::Ready(write.as_mut().poll(context)));
    assert!(first.await.is_pending());
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    advance(LEASE).await;
    assert_eq!(write.await, Err(Lost));
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_struck_out_or_gives_the_key_up_stops_at_once() {
    for lose in [
        Holdings::struck_out as fn(&Holdings),
        |holdings| holdings.gave_up(&key()),
        |holdings| holdings.joined(ReplicaId(2)),
    ] {
        let holdings = holding();
        let begun = Instant::now();
        let losing = async {
            sleep(Duration::from_secs(1)).await;
            lose(&holdings);
            pending::<()>().await;
        };
        let key = key();
        let write = holdings.write(&key, Some(HOLD), pending::<()>());
        tokio::select! {
            ended = write => assert_eq!(ended, Err(Lost)),
            () = losing => unreachable!("it never ends"),
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        assert!(!holdings.holds(&key, Some(HOLD)));
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_that_is_given_up_disturbs_nobody() {
    let holdings = holding();
    let other = KeyId::new("other");
    holdings.claimed([(other.clone(), Fence(9))]);
    let losing = async {
        sleep(Duration::from_secs(1)).await;
        holdings.gave_up(&other);
    };
    let (ended, ()) = tokio::join!(write_of(&holdings, Duration::from_secs(2)), losing);
    assert_eq!(ended, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_none_of_an_earlier_one() {
    let holdings = holding();
    let earlier = Hold {
        fence: Fence(6),
        ..HOLD
    };
    for hold in [None, Some(earlier)] {
        assert!(!holdings.holds(&key(), hold));
        let ended = holdings.write(&key(), hold, async {}).await;
        assert_eq!(ended, Err(Lost));
    }
}

#[tokio::test(start_paused = true)]
async fn the_lease_counts_from_when_it_was_asked_for() {
    let holdings = holding();
    let asked_at = Instant::now();
    advance(LEASE / 2).await;
    holdings.renewed(Instant::now(), LEASE);
    // The answer to an earlier question comes later, and takes nothing back.
    holdings.renewed(asked_at, LEASE);
    assert_eq!(write_of(&holdings, LEASE * 8 / 10).await, Ok("done"));
    // One that was long under way gives what is left of it.
    let asked_at = Instant::now();
    advance(LEASE * 3 / 4).await;
    holdings.renewed(asked_at, LEASE);
    assert_eq!(write_of(&holdings, LEASE / 4).await, Err(Lost));
}

#[tokio::test(start_paused = true)]
async fn who_was_late_and_not_struck_out_goes_on() {
    let holdings = holding();
    advance(LEASE * 3).await;
    assert!(holdings.holds(&key(), Some(HOLD)));
    assert_eq!(write_of(&holdings, Duration::ZERO).await, Err(Lost));
    holdings.renewed(Instant::now(), LEASE);
    assert_eq!(write_of(&holdings, Duration::ZERO).await, Ok("done"));
}

#[test]
fn strays_are_taken_once_and_put_back_by_whoever_fails() {
    let holdings = Holdings::shared();
    holdings.stray(&key());
    holdings.stray(&key());
    let taken = holdings.take_strays();
    assert_eq!(taken, [key()].into());
    assert!(holdings.take_strays().is_empty());
    for key in &taken {
        holdings.stray(key);
    }
    assert_eq!(holdings.take_strays(), taken);
    // Nobody loses anything to somebody else there.
    let alone = Holdings::alone();
    alone.stray(&key());
    assert!(alone.take_strays().is_empty());
}
