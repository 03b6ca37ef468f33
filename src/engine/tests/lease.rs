//! Checks of a shared key that another replica has or takes over, and checks while the state is unavailable.

mod claimed;

use tokio::time::Instant;

use super::*;
use crate::model::{FencingToken, Lease, Outcome, Repair, ReplicaId};

const OURS: Lease = Lease {
    replica: ReplicaId(1),
    fencing_token: FencingToken(1),
};

const THEIRS: Lease = Lease {
    replica: ReplicaId(2),
    fencing_token: FencingToken(2),
};

/// How the next saves go; the last of the list first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Save {
    Done,
    /// Nothing is written.
    Fails,
    /// Written, and the answer is lost.
    Unanswered,
    /// Another replica has claimed the key.
    TakenOver,
}

/// A state that is shared, as far as one key goes.
struct Claimed {
    records: Sqlite,
    lease: Plain<Option<Lease>>,
    repair: Plain<Option<Repair>>,
    saves: Plain<Vec<Save>>,
}

impl Claimed {
    fn away() -> StateError {
        let (place, reason) = ("here".to_owned(), "it is away".to_owned());
        StateError::Failed { place, reason }
    }

    /// Whether the record may be written, and whether that is to be told.
    fn admit(&self, record: &Record) -> Result<bool, StateError> {
        let save = self.saves.lock().pop().unwrap_or(Save::Done);
        match save {
            Save::Fails => return Err(Self::away()),
            Save::TakenOver => *self.lease.lock() = Some(THEIRS),
            Save::Done | Save::Unanswered => {}
        }
        if record.lease != *self.lease.lock() {
            return Err(StateError::Lost);
        }
        if record.repair.is_some_and(|repair| repair.done) {
            self.repair
                .lock()
                .take_if(|there| Some(there.number) == record.repair.map(|r| r.number));
        }
        Ok(save != Save::Unanswered)
    }
}

/// A replica with the key `k`, which is its own.
struct Replica {
    bench: Bench,
    state: Arc<Claimed>,
    leases: Arc<LeaseTable>,
}

impl Replica {
    async fn new() -> Self {
        let state = Arc::new(Claimed {
            records: Sqlite::in_memory().expect("a state"),
            lease: Plain::new(Some(OURS)),
            repair: Plain::default(),
            saves: Plain::default(),
        });
        let leases = Arc::new(LeaseTable::shared());
        let bench = Bench::on(state.clone(), Arc::clone(&leases)).await;
        leases.joined(OURS.replica);
        leases.renewed(Instant::now(), Duration::from_secs(600));
        leases.claimed([(bench.managed.key.clone(), OURS.fencing_token)]);
        Self {
            bench,
            state,
            leases,
        }
    }

    /// The same with version 1 live.
    async fn live() -> Self {
        let replica = Self::new().await;
        assert_eq!(
            replica.bench.reconcile().await.next,
            Next::In(Duration::ZERO)
        );
        replica
    }

    fn rotate(&self, version: &'static str, secret: &'static str) {
        *self.bench.source.look.lock() = Ok(version);
        *self.bench.source.read.lock() = (version, secret);
    }

    /// Sets the outcomes of the following saves, in this order.
    fn saves(&self, saves: &[Save]) {
        *self.state.saves.lock() = saves.iter().rev().copied().collect();
    }

    fn writes(&self) -> usize {
        self.bench.flashback.writes.load(Ordering::Relaxed)
    }

    async fn record(&self) -> Record {
        let key = &self.bench.managed.key;
        self.state.load(key).await.expect("a record")
    }

    async fn live_version(&self) -> Option<String> {
        let live = self.record().await.live?;
        Some(live.version.label().to_owned())
    }

    async fn succeeded(&self) -> usize {
        let reports = self.state.history(None, None, None).await.expect("rows");
        let succeeded = |report: &&crate::model::HistoryRow| report.outcome == Outcome::Succeeded;
        reports.iter().filter(succeeded).count()
    }

    /// Asserts that the check has ended without a trace.
    async fn leaves_it_alone(&self, look: &Reconciled) {
        assert_eq!(look.next, Next::OnSchedule);
        assert!(!look.well);
        assert!(!self.bench.metric("key_in_sync{"));
        assert!(!self.bench.metric("key_last_check_timestamp_seconds{"));
        assert!(self.bench.managed.guard().await.logged_problem.is_none());
    }
}

#[tokio::test]
async fn a_key_that_somebody_else_holds_is_left_alone() {
    let replica = Replica::new().await;
    for lease in [None, Some(THEIRS)] {
        *replica.state.lease.lock() = lease;
        let look = replica.bench.reconcile().await;
        replica.leaves_it_alone(&look).await;
    }
    *replica.state.lease.lock() = Some(OURS);
    replica.leases.gave_up(&replica.bench.managed.key);
    let look = replica.bench.reconcile().await;
    replica.leaves_it_alone(&look).await;
    assert_eq!(replica.writes(), 0);
    assert!(replica.record().await.seen.is_none());
    assert!(replica.leases.take_late_writes().is_empty());
}

#[tokio::test]
async fn writes_nothing_when_the_lease_is_lost_while_saving_the_intent() {
    let replica = Replica::live().await;
    replica.rotate("2", "sk-two");
    // The observation, then the intent.
    replica.saves(&[Save::Done, Save::TakenOver]);
    let look = replica.bench.reconcile().await;
    replica.leaves_it_alone(&look).await;
    assert_eq!(replica.writes(), 1);
    assert!(replica.leases.take_late_writes().is_empty());
}

#[tokio::test]
async fn write_aborted_by_eviction_counts_as_a_late_write() {
    let replica = Replica::live().await;
    replica.rotate("2", "sk-two");
    let leases = Arc::clone(&replica.leases);
    *replica.bench.flashback.arrived.lock() = Some(Box::new(move || {
        leases.evicted();
        true
    }));
    let look = replica.bench.reconcile().await;
    replica.leaves_it_alone(&look).await;
    assert_eq!(replica.writes(), 2);
    assert!(replica.record().await.intent.is_some());
    let key = replica.bench.managed.key.clone();
    assert_eq!(replica.leases.take_late_writes(), [key].into());
}

#[tokio::test]
async fn write_counts_as_late_when_its_outcome_is_saved_after_a_takeover() {
    let replica = Replica::live().await;
    replica.rotate("2", "sk-two");
    // The observation, the intent, the outcome.
    replica.saves(&[Save::Done, Save::Done, Save::TakenOver]);
    let look = replica.bench.reconcile().await;
    replica.leaves_it_alone(&look).await;
    assert_eq!(replica.succeeded().await, 1);
    assert_eq!(replica.leases.take_late_writes().len(), 1);
}

#[tokio::test]
async fn nothing_is_written_twice_because_the_state_was_away() {
    for outcome in [Save::Fails, Save::Unanswered] {
        let replica = Replica::live().await;
        replica.rotate("2", "sk-two");
        replica.saves(&[Save::Done, Save::Done, outcome]);
        let look = replica.bench.reconcile().await;
        assert!(matches!(look.next, Next::In(_)), "{look:?}");
        assert!(look.report.error.is_some());
        assert!(
            !replica
                .bench
                .metric("pushes_total{key=\"k\",action=\"update\",outcome=\"succeeded\"}")
        );
        // Still away, then back.
        if outcome == Save::Fails {
            replica.saves(&[Save::Fails]);
            assert!(replica.bench.reconcile().await.report.error.is_some());
        }
        let look = replica.bench.reconcile().await;
        assert!(look.well, "{look:?}");
        assert_eq!(replica.live_version().await.as_deref(), Some("2"));
        assert_eq!(replica.writes(), 2);
        assert_eq!(replica.succeeded().await, 2, "{outcome:?}");
        assert!(
            replica
                .bench
                .metric("pushes_total{key=\"k\",action=\"update\",outcome=\"succeeded\"} 1")
        );
        assert!(replica.leases.take_late_writes().is_empty());
    }
}

#[tokio::test]
async fn write_counts_as_late_when_its_outcome_was_never_saved() {
    let replica = Replica::live().await;
    replica.rotate("2", "sk-two");
    replica.saves(&[Save::Done, Save::Done, Save::Fails]);
    replica.bench.reconcile().await;
    *replica.state.lease.lock() = Some(THEIRS);
    let look = replica.bench.reconcile().await;
    replica.leaves_it_alone(&look).await;
    assert_eq!(replica.leases.take_late_writes().len(), 1);
    // The key is leased again with another fencing token: the intent on record is reason enough to write again.
    let again = FencingToken(3);
    replica
        .leases
        .claimed([(replica.bench.managed.key.clone(), again)]);
    *replica.state.lease.lock() = Some(Lease {
        fencing_token: again,
        ..OURS
    });
    replica.bench.reconcile().await;
    assert_eq!(replica.writes(), 3);
    assert_eq!(replica.live_version().await.as_deref(), Some("2"));
    assert!(replica.leases.take_late_writes().is_empty());
}

#[tokio::test]
async fn pushes_the_version_that_appeared_during_a_write_at_once() {
    let replica = Replica::live().await;
    replica.rotate("2", "sk-two");
    let source = Arc::clone(&replica.bench.source);
    *replica.bench.flashback.arrived.lock() = Some(Box::new(move || {
        *source.look.lock() = Ok("3");
        *source.read.lock() = ("3", "sk-three");
        false
    }));
    assert_eq!(
        replica.bench.reconcile().await.next,
        Next::In(Duration::ZERO)
    );
    replica.bench.flashback.arrived.lock().take();
    replica.bench.reconcile().await;
    assert_eq!(replica.live_version().await.as_deref(), Some("3"));
    assert_eq!(replica.bench.reconcile().await.next, Next::OnSchedule);
    assert_eq!(replica.writes(), 3);
}

#[tokio::test]
async fn a_marked_key_is_written_once_more_when_it_is_due() {
    let replica = Replica::live().await;
    let planned = Utc::now() + Duration::from_secs(3600);
    let look = async || {
        let mut guard = replica.bench.managed.guard().await;
        let (engine, managed) = (&replica.bench.engine, &replica.bench.managed);
        engine
            .reconcile(managed, &mut guard, KeyCommand::None, Some(planned))
            .await
    };
    let mark = |number, due_in| {
        *replica.state.repair.lock() = Some(Repair {
            number,
            due_in,
            done: false,
        });
    };
    mark(1, Duration::from_secs(40));
    let next = look().await.next;
    assert!(
        matches!(next, Next::In(wait) if wait > Duration::from_secs(30)),
        "{next:?}"
    );
    assert_eq!(replica.writes(), 1);

    mark(1, Duration::ZERO);
    look().await;
    assert_eq!(replica.writes(), 2);
    assert!(replica.state.repair.lock().is_none());
    assert_eq!(look().await.next, Next::OnSchedule);
    assert_eq!(replica.writes(), 2);

    // A mark that is made while it is written asks for another one.
    mark(2, Duration::ZERO);
    let state = Arc::clone(&replica.state);
    *replica.bench.flashback.arrived.lock() = Some(Box::new(move || {
        *state.repair.lock() = Some(Repair {
            number: 3,
            due_in: Duration::ZERO,
            done: false,
        });
        false
    }));
    look().await;
    replica.bench.flashback.arrived.lock().take();
    assert!(replica.state.repair.lock().is_some());
    look().await;
    assert_eq!(replica.writes(), 4);
    assert!(replica.state.repair.lock().is_none());
}
