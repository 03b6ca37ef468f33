//! Tests with replicas that share one state in memory, on paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::memory::Link;
use super::*;
use crate::lease::LeaseTable;
use crate::model::ReplicaId;
use crate::state::membership::{Membership as _, Role};
use crate::telemetry::metrics::Metrics;

const LEASE: Duration = Duration::from_secs(15);

/// Longer than any two ticks, for what must happen by the next one.
const TWO_TICKS: Duration = Duration::from_millis(2_300);

/// A worker that records the calls to it.
#[derive(Default)]
struct Floor {
    configured: Mutex<BTreeSet<KeyId>>,
    /// The keys that are being worked on at the moment.
    busy: Mutex<BTreeSet<KeyId>>,
    works_on: Mutex<BTreeSet<KeyId>>,
    aside: Arc<Mutex<BTreeSet<KeyId>>>,
    looked_at: Mutex<Vec<KeyId>>,
    answers: AtomicBool,
    joined: AtomicBool,
}

struct Turn(KeyId, Arc<Mutex<BTreeSet<KeyId>>>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.1.lock().remove(&self.0);
    }
}

#[async_trait]
impl Worker for Floor {
    fn configured(&self) -> BTreeSet<KeyId> {
        self.configured.lock().clone()
    }

    fn set_aside(&self, keys: &[KeyId], most: usize) -> Vec<SetAside> {
        let busy = self.busy.lock();
        let free = keys.iter().filter(|key| !busy.contains(*key)).take(most);
        let aside = |key: &KeyId| {
            self.aside.lock().insert(key.clone());
            SetAside {
                key: key.clone(),
                guard: Some(Box::new(Turn(key.clone(), Arc::clone(&self.aside)))),
            }
        };
        free.map(aside).collect()
    }

    async fn flush(&self) -> Result<(), StateError> {
        Ok(())
    }

    async fn took(&self, keys: &[KeyId]) {
        assert!(self.aside.lock().is_empty(), "claimed while it gives back");
        self.works_on.lock().extend(keys.iter().cloned());
    }

    fn lost(&self, keys: &[KeyId]) {
        self.works_on.lock().retain(|key| !keys.contains(key));
    }

    fn check_now(&self, keys: &[KeyId]) {
        self.looked_at.lock().extend(keys.iter().cloned());
    }

    fn state_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }
}

struct Process {
    link: Link,
    floor: Arc<Floor>,
    leases: Arc<LeaseTable>,
    stop: CancellationToken,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

fn keys(count: u32) -> BTreeSet<KeyId> {
    (0..count)
        .map(|number| KeyId::new(format!("k{number:02}")))
        .collect()
}

impl Process {
    fn start(link: &Link, configured: BTreeSet<KeyId>) -> Self {
        let floor = Arc::new(Floor::default());
        *floor.configured.lock() = configured;
        let leases = Arc::new(LeaseTable::shared());
        let (stop, leave) = (CancellationToken::new(), CancellationToken::new());
        let terms = Terms {
            member: Member {
                name: "test".to_owned(),
                role: Role::Daemon,
            },
            lease: LEASE,
        };
        let mut task = MembershipTask::new(
            Arc::new(link.clone()),
            Arc::clone(&leases),
            floor.clone(),
            terms,
            Arc::new(Metrics::new()),
            stop.clone(),
            leave.clone(),
        );
        Self {
            link: link.clone(),
            floor,
            leases,
            stop,
            leave,
            task: tokio::spawn(async move { task.run().await }),
        }
    }

    fn held(&self) -> BTreeSet<KeyId> {
        self.leases.keys().expect("shared")
    }

    /// Checks that it works on exactly the keys that are leased to it.
    fn agrees(&self) {
        assert_eq!(*self.floor.works_on.lock(), self.held());
    }

    /// Stops the process abruptly, without leaving.
    fn kill(self) {
        self.task.abort();
    }
}

/// Starts `count` replicas that share thirty keys, and waits until they have settled.
async fn runtime(count: usize) -> Vec<Process> {
    let first = Link::default();
    let mut processes = Vec::new();
    for _ in 0..count {
        processes.push(Process::start(&first.another(), keys(30)));
        sleep(Duration::from_millis(300)).await;
    }
    sleep(LEASE * 2).await;
    processes
}

fn counts(processes: &[Process]) -> Vec<usize> {
    processes
        .iter()
        .map(|process| process.held().len())
        .collect()
}

/// Checks that no key is leased twice, and that the state and the processes agree.
fn consistent(processes: &[Process]) {
    let mut held = BTreeMap::new();
    for (index, process) in processes.iter().enumerate() {
        process.agrees();
        for key in process.held() {
            assert_eq!(held.insert(key, index), None, "held twice");
        }
    }
    let mut by_replica: BTreeMap<ReplicaId, BTreeSet<usize>> = BTreeMap::new();
    for (key, holder) in processes[0].link.holders() {
        match (holder, held.get(&key)) {
            (Some(replica), Some(index)) => {
                by_replica.entry(replica).or_default().insert(*index);
            }
            (None, None) => {}
            other => panic!("{key}: {other:?}"),
        }
    }
    assert!(by_replica.values().all(|processes| processes.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn replicas_share_evenly_and_keep_what_they_have() {
    let processes = runtime(3).await;
    assert_eq!(counts(&processes), [10, 10, 10]);
    consistent(&processes);
    let before: Vec<_> = processes.iter().map(Process::held).collect();
    sleep(LEASE * 20).await;
    let after: Vec<_> = processes.iter().map(Process::held).collect();
    assert_eq!(before, after);
}

#[tokio::test(start_paused = true)]
async fn a_dead_ones_keys_are_taken_over_within_the_lease_and_two_seconds() {
    let mut processes = runtime(3).await;
    processes.remove(1).kill();
    sleep(LEASE + Duration::from_secs(2)).await;
    assert_eq!(counts(&processes), [15, 15]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_leaving_replica_are_claimed_at_the_next_tick() {
    let mut processes = runtime(3).await;
    let gone = processes.remove(0);
    gone.stop.cancel();
    gone.leave.cancel();
    gone.task.await.expect("it ends");
    assert!(gone.leases.keys().is_some_and(|keys| keys.is_empty()));
    sleep(TWO_TICKS).await;
    assert_eq!(counts(&processes), [15, 15]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn draining_replica_renews_its_leases_and_claims_nothing() {
    let mut processes = runtime(2).await;
    processes[0].stop.cancel();
    sleep(LEASE * 2).await;
    assert_eq!(counts(&processes), [15, 15], "it has not left yet");
    processes.remove(1).kill();
    sleep(LEASE * 2).await;
    assert_eq!(counts(&processes), [15]);
}

#[tokio::test(start_paused = true)]
async fn joining_replica_gets_its_share_within_a_few_ticks() {
    let mut processes = runtime(3).await;
    let link = processes[0].link.another();
    processes.push(Process::start(&link, keys(30)));
    sleep(TWO_TICKS * 2).await;
    let mut counts = counts(&processes);
    counts.sort_unstable();
    assert_eq!(counts, [7, 7, 8, 8]);
    consistent(&processes);
    assert!(processes[3].floor.joined.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn busy_keys_are_not_released_until_they_are_idle() {
    let mut processes = runtime(1).await;
    *processes[0].floor.busy.lock() = keys(20);
    let link = processes[0].link.another();
    processes.push(Process::start(&link, keys(30)));
    sleep(LEASE * 2).await;
    assert_eq!(counts(&processes), [20, 10]);
    assert!(processes[0].held().is_superset(&keys(20)));
    processes[0].floor.busy.lock().clear();
    sleep(TWO_TICKS).await;
    assert_eq!(counts(&processes), [15, 15]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn when_the_state_was_away_for_everybody_nothing_moves() {
    let processes = runtime(3).await;
    let before: Vec<_> = processes.iter().map(Process::held).collect();
    processes.iter().for_each(|process| process.link.cut(true));
    sleep(LEASE * 10).await;
    for process in &processes {
        assert!(!process.floor.answers.load(Ordering::Relaxed));
    }
    // They come back one after another.
    for process in &processes {
        process.link.cut(false);
        sleep(Duration::from_secs(4)).await;
    }
    sleep(LEASE * 3).await;
    let after: Vec<_> = processes.iter().map(Process::held).collect();
    assert_eq!(before, after);
    assert!(processes[0].floor.answers.load(Ordering::Relaxed));
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn replica_cut_off_past_its_lease_is_replaced_and_joins_again() {
    let processes = runtime(3).await;
    processes[1].link.cut(true);
    processes[1].leases.late_write(&KeyId::new("k03"));
    sleep(LEASE + Duration::from_secs(2)).await;
    assert_eq!(processes[0].held().len() + processes[2].held().len(), 30);
    assert!(processes[0].link.tables().marked.is_empty());
    processes[1].link.cut(false);
    sleep(TWO_TICKS).await;
    let marked = processes[0].link.tables().marked.clone();
    assert_eq!(marked, BTreeSet::from([KeyId::new("k03")]), "told");
    let looked_at = |process: &Process| process.floor.looked_at.lock().clone();
    let looks: usize = processes
        .iter()
        .map(|process| looked_at(process).len())
        .sum();
    assert!(looks > 0, "its holder is told to look");
    sleep(TWO_TICKS * 2).await;
    assert_eq!(counts(&processes), [10, 10, 10]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_answer_was_lost_leaves_no_key_behind() {
    let link = Link::default();
    link.lose_claim.store(true, Ordering::Relaxed);
    let process = Process::start(&link, keys(30));
    sleep(Duration::from_millis(100)).await;
    assert!(process.held().is_empty());
    sleep(TWO_TICKS).await;
    let processes = [process];
    assert_eq!(counts(&processes), [30]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn claims_that_only_one_side_knows_of_come_to_light() {
    let processes = runtime(2).await;
    let link = &processes[0].link;
    let all = link.replicas().await.expect("there");
    // The state has a lease that no process knows of.
    let key = processes[0].held().into_iter().next().expect("fifteen");
    processes[0].leases.gave_up(&key);
    processes[0].floor.works_on.lock().remove(&key);
    assert_eq!(all[0].keys, 15);
    sleep(LEASE * 3).await;
    assert_eq!(counts(&processes), [15, 15]);
    consistent(&processes);
    // The state lacks a lease that a process relies on.
    let key = processes[0].held().into_iter().next().expect("fifteen");
    link.tables().forget_claim(&key);
    sleep(LEASE * 3).await;
    assert_eq!(counts(&processes), [15, 15]);
    consistent(&processes);
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_is_followed() {
    let processes = runtime(2).await;
    for process in &processes {
        *process.floor.configured.lock() = keys(40);
    }
    sleep(TWO_TICKS).await;
    assert_eq!(counts(&processes), [20, 20]);
    // During an upgrade one of them knows fewer keys than the other.
    *processes[0].floor.configured.lock() = keys(10);
    sleep(LEASE * 4).await;
    consistent(&processes);
    assert_eq!(counts(&processes).iter().sum::<usize>(), 40);
    assert!(processes[0].held().is_subset(&keys(10)));
}

#[tokio::test(start_paused = true)]
async fn late_replica_keeps_its_keys_when_nobody_evicted_it() {
    let processes = runtime(1).await;
    let before = processes[0].held();
    processes[0].link.cut(true);
    sleep(LEASE * 4).await;
    let asked = Instant::now();
    processes[0].link.cut(false);
    sleep(TWO_TICKS).await;
    assert_eq!(processes[0].held(), before);
    assert!(asked.elapsed() < LEASE);
    consistent(&processes);
}
