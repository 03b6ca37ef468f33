//! Tests of the scheduler as a whole, on paused time, with a reconciler that does what the test says.

mod handover;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;

use super::dispatcher::LOOKS_PER_QUEUE;
use super::*;
use crate::model::WorkspaceId;

/// The behaviour of a reconcile run.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Ends with this result after this long.
    Ends(Duration, Requeue),
    Hangs,
    Panics,
}

const WELL: Requeue = Requeue {
    again_in: None,
    well: true,
};

/// The result of a run that has given up until the next scheduled one.
const UNWELL: Requeue = Requeue {
    again_in: None,
    well: false,
};

#[derive(Default)]
struct Fake {
    does: Mutex<BTreeMap<String, Does>>,
    begun: Mutex<Vec<(Instant, String)>>,
    under_way: Mutex<BTreeSet<String>>,
    occurrences: Mutex<Vec<(String, DateTime<Utc>)>>,
}

struct UnderWay<'a>(&'a Fake, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().remove(&self.1);
    }
}

#[async_trait]
impl Reconciler for Fake {
    async fn reconcile(
        &self,
        key: &KeyId,
        _: Option<DateTime<Utc>>,
        occurrence: Option<DateTime<Utc>>,
    ) -> Requeue {
        let name = key.to_string();
        if let Some(occurrence) = occurrence {
            self.occurrences.lock().push((name.clone(), occurrence));
        }
        self.begun.lock().push((Instant::now(), name.clone()));
        assert!(
            self.under_way.lock().insert(name.clone()),
            "two looks at {name}"
        );
        let _under_way = UnderWay(self, name.clone());
        let does = self.does.lock().get(&name).copied();
        match does.unwrap_or(Does::Ends(Duration::ZERO, WELL)) {
            Does::Ends(after, looked) => {
                sleep(after).await;
                looked
            }
            Does::Hangs => std::future::pending().await,
            Does::Panics => panic!("as the test says"),
        }
    }
}

struct Bench {
    fake: Arc<Fake>,
    scheduler: Scheduler,
    stop: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        let (fake, stop) = (Arc::new(Fake::default()), CancellationToken::new());
        Self {
            scheduler: Scheduler::start(fake.clone(), Supervisor::new(stop.clone())),
            fake,
            stop,
        }
    }

    fn does(&self, key: &str, does: Does) {
        self.fake.does.lock().insert(key.to_owned(), does);
    }

    fn looks(&self, key: &str) -> usize {
        let begun = self.fake.begun.lock();
        begun.iter().filter(|(_, name)| name == key).count()
    }

    fn under_way(&self) -> usize {
        self.fake.under_way.lock().len()
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

fn every(period: Duration, key: &str, source: &str) -> Scheduled {
    Scheduled {
        key: KeyId::new(key),
        check: Check::Every(period),
        source: SourceId::new(source),
        workspace: WorkspaceId::new("w"),
        first: First::Now,
    }
}

fn hourly(keys: &[&str]) -> Vec<Scheduled> {
    keys.iter().map(|key| every(HOUR, key, "s")).collect()
}

fn many(count: usize, source: &str) -> Vec<Scheduled> {
    (0..count)
        .map(|index| every(HOUR, &format!("{source}-{index:03}"), source))
        .collect()
}

async fn a_moment() {
    sleep(Duration::from_millis(50)).await;
}

fn ends(after: u64, looked: Requeue) -> Does {
    Does::Ends(Duration::from_secs(after), looked)
}

fn retry(after: u64) -> Requeue {
    Requeue {
        again_in: Some(Duration::from_secs(after)),
        well: false,
    }
}

#[tokio::test(start_paused = true)]
async fn every_key_is_checked_at_once_and_then_once_a_period() {
    let bench = Bench::new();
    assert!(bench.scheduler.unseen() > 0, "nothing is known yet");
    bench.scheduler.replace(hourly(&["a", "b"]));
    a_moment().await;
    assert_eq!(bench.scheduler.unseen(), 0);
    sleep(HOUR * 3).await;
    assert_eq!((bench.looks("a"), bench.looks("b")), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn checks_of_one_key_never_overlap() {
    let bench = Bench::new();
    bench.does("a", ends(10, WELL));
    let second = Duration::from_secs(1);
    bench.scheduler.replace(vec![every(second, "a", "s")]);
    for _ in 0..30 {
        bench.scheduler.recovered(None);
        bench.scheduler.changed(vec![KeyId::new("a")]);
        sleep(second).await;
    }
    // An overlap would have made the fake panic, and the wait after the panic would leave fewer runs.
    assert_eq!(bench.looks("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn checks_missed_in_a_stall_are_made_up_once() {
    let bench = Bench::new();
    bench
        .scheduler
        .replace(vec![every(Duration::from_secs(10), "a", "s")]);
    a_moment().await;
    advance(HOUR).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.looks("a"), 2);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.looks("a"), 3, "it goes on at its pace");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_check_is_retried_and_affects_no_other_key() {
    let bench = Bench::new();
    bench.does("a", Does::Panics);
    bench.scheduler.replace(hourly(&["a", "b"]));
    a_moment().await;
    assert_eq!((bench.looks("a"), bench.looks("b")), (1, 1));
    bench.does("a", ends(0, WELL));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(bench.looks("a"), 2, "it comes back");
    assert_eq!(bench.scheduler.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_comes_after_its_wait_and_not_before() {
    let bench = Bench::new();
    bench.does("a", ends(0, retry(60)));
    bench
        .scheduler
        .replace(vec![every(Duration::from_secs(5), "a", "s")]);
    sleep(Duration::from_secs(59)).await;
    assert_eq!(bench.looks("a"), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.looks("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn recovery_wakes_what_failed_and_nothing_else() {
    let bench = Bench::new();
    bench.does("waits", ends(0, retry(900)));
    bench.does("gave-up", ends(0, UNWELL));
    bench.does("other", ends(0, UNWELL));
    let mut keys = hourly(&["waits", "gave-up", "well"]);
    keys.push(every(HOUR, "other", "t"));
    bench.scheduler.replace(keys);
    a_moment().await;
    bench.scheduler.recovered(Some(SourceId::new("s")));
    sleep(Duration::from_secs(3)).await;
    let looks = ["waits", "gave-up", "well", "other"].map(|key| bench.looks(key));
    assert_eq!(looks, [2, 2, 1, 1]);
    bench.scheduler.recovered(None);
    sleep(Duration::from_secs(3)).await;
    assert_eq!((bench.looks("other"), bench.looks("well")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_during_a_failing_check_causes_one_more_check() {
    let bench = Bench::new();
    bench.does("a", ends(5, UNWELL));
    bench.scheduler.replace(hourly(&["a"]));
    sleep(Duration::from_secs(1)).await;
    bench.scheduler.recovered(None);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.looks("a"), 2);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.looks("a"), 2, "once");
}

#[tokio::test(start_paused = true)]
async fn repeated_recoveries_cause_one_check_each() {
    let bench = Bench::new();
    bench.does("a", ends(0, retry(600)));
    bench.scheduler.replace(hourly(&["a"]));
    for _ in 0..10 {
        sleep(Duration::from_secs(30)).await;
        bench.scheduler.recovered(None);
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.looks("a"), 11);
    sleep(Duration::from_secs(590)).await;
    assert_eq!(bench.looks("a"), 11, "waits that were cut short are over");
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_or_workspace_delays_no_other() {
    let bench = Bench::new();
    let mut keys = many(LOOKS_PER_QUEUE + 40, "slow");
    for key in &keys {
        bench.does(key.key.as_str(), Does::Hangs);
    }
    keys.push(every(HOUR, "quick", "other"));
    keys.push(Scheduled {
        workspace: WorkspaceId::new("other"),
        ..every(HOUR, "elsewhere", "slow")
    });
    bench.scheduler.replace(keys);
    a_moment().await;
    assert_eq!(bench.under_way(), LOOKS_PER_QUEUE);
    assert_eq!((bench.looks("quick"), bench.looks("elsewhere")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_worked_off() {
    let bench = Bench::new();
    let keys = many(LOOKS_PER_QUEUE * 3, "s");
    for key in &keys {
        bench.does(key.key.as_str(), ends(1, WELL));
    }
    bench.scheduler.replace(keys);
    sleep(Duration::from_millis(3_100)).await;
    assert_eq!(bench.scheduler.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queued_key_that_changes_its_source_does_not_wait_for_the_old_one() {
    let bench = Bench::new();
    let mut keys = many(LOOKS_PER_QUEUE + 20, "s");
    for key in &keys[..LOOKS_PER_QUEUE] {
        bench.does(key.key.as_str(), ends(10, WELL));
    }
    bench.scheduler.replace(keys.clone());
    a_moment().await;
    // Ten of the waiting keys move to another queue; ten stay behind them.
    for key in &mut keys[LOOKS_PER_QUEUE..LOOKS_PER_QUEUE + 10] {
        key.source = SourceId::new("t");
    }
    bench.scheduler.replace(keys.clone());
    a_moment().await;
    for key in &keys[LOOKS_PER_QUEUE..LOOKS_PER_QUEUE + 10] {
        assert_eq!(bench.looks(key.key.as_str()), 1, "{}", key.key);
    }
    sleep(Duration::from_secs(11)).await;
    for key in &keys {
        assert_eq!(bench.looks(key.key.as_str()), 1, "{}", key.key);
    }
    assert_eq!(bench.scheduler.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_removed_and_restored_during_its_check_is_checked_again() {
    let bench = Bench::new();
    bench.does("a", ends(10, WELL));
    bench.scheduler.replace(hourly(&["a", "b"]));
    sleep(Duration::from_secs(1)).await;
    bench.scheduler.replace(hourly(&["b"]));
    a_moment().await;
    bench.scheduler.replace(hourly(&["a", "b"]));
    sleep(Duration::from_secs(20)).await;
    assert_eq!((bench.looks("a"), bench.looks("b")), (2, 1));
    sleep(HOUR + Duration::from_secs(20)).await;
    assert!(bench.looks("a") >= 3, "and it stays scheduled");
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_is_left_alone() {
    let bench = Bench::new();
    bench.does("under-way", ends(10, retry(1)));
    bench.does("waits", ends(0, retry(60)));
    bench
        .scheduler
        .replace(hourly(&["under-way", "waits", "rests"]));
    sleep(Duration::from_secs(1)).await;
    bench.scheduler.replace(Vec::new());
    sleep(HOUR * 3).await;
    let looks = ["under-way", "waits", "rests"].map(|key| bench.looks(key));
    assert_eq!(looks, [1, 1, 1]);
    assert_eq!(bench.scheduler.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_changed_keys_are_checked_at_once() {
    let bench = Bench::new();
    bench.does("busy", ends(5, WELL));
    bench.does("refused", ends(0, retry(900)));
    bench
        .scheduler
        .replace(hourly(&["busy", "idle", "refused", "other"]));
    sleep(Duration::from_secs(1)).await;
    let changed = ["busy", "idle", "refused", "gone"].map(KeyId::new);
    bench.scheduler.changed(changed.to_vec());
    sleep(Duration::from_secs(10)).await;
    let looks = ["busy", "idle", "refused", "other", "gone"].map(|key| bench.looks(key));
    assert_eq!(looks, [2, 2, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn frequent_reloads_starve_no_key() {
    let bench = Bench::new();
    for reload in 0..60 {
        let mut keys = hourly(&["a", "b", "c"]);
        keys.truncate(2 + reload % 2);
        bench.scheduler.replace(keys);
        sleep(Duration::from_secs(600)).await;
    }
    for key in ["a", "b"] {
        let looks = bench.looks(key);
        assert!((8..=21).contains(&looks), "{key}: {looks}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_line_wakes_its_keys_once() {
    let bench = Bench::new();
    let line = crate::config::CronLine {
        expression: "0 0 0 1 1 *".into(),
        timezone: "UTC".to_owned(),
    };
    let mut keys = hourly(&["a"]);
    keys.extend(["b", "c"].map(|key| Scheduled {
        check: Check::Cron(line.clone()),
        ..every(HOUR, key, "s")
    }));
    bench.does("c", ends(0, retry(900)));
    bench.scheduler.replace(keys);
    a_moment().await;
    let occurrence = Utc::now();
    bench.scheduler.send(Event::Cron(line, occurrence));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(["a", "b", "c"].map(|key| bench.looks(key)), [1, 2, 1]);
    let told = bench.fake.occurrences.lock().clone();
    assert_eq!(told, [("b".to_owned(), occurrence)], "not of a first look");
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_is_under_way_is_waited_for_and_nothing_begins() {
    let bench = Bench::new();
    let keys = many(LOOKS_PER_QUEUE * 2, "s");
    for key in &keys {
        bench.does(key.key.as_str(), ends(5, WELL));
    }
    bench.scheduler.replace(keys);
    a_moment().await;
    bench.stop.cancel();
    let asked = Instant::now();
    bench.scheduler.drained().await;
    assert!(asked.elapsed() <= Duration::from_secs(6));
    assert_eq!(bench.fake.begun.lock().len(), LOOKS_PER_QUEUE);
}
