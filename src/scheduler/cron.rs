//! Turns cron lines into events.
//!
//! tokio-cron-scheduler is the trigger: it runs one job for each distinct line and time zone, and the job's
//! closure does one `try_send`. It has three flaws that are made up for here: it can drop a firing, it can
//! stop for good after a stall, and it fixes the zone's offset when a job is made, so that daylight saving is
//! wrong from the next change on. So [`crate::occurrence`] decides when a line fires: an occurrence that the
//! trigger has not fired within two seconds is fired without it, a firing at another time is ignored, and a
//! job is made anew when the offset has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::event::Event;
use crate::config::CronLine;
use crate::failpoint;
use crate::occurrence::{Occurrence, Schedule};
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;

/// The delay of the trigger after which an occurrence is fired without it.
const GRACE: TimeDelta = TimeDelta::seconds(2);

/// The time by which the trigger may be early: it compares whole seconds, twice a second.
const EARLY: TimeDelta = TimeDelta::milliseconds(1_100);

/// The longest wait before the wall clock is read again: it can be set, and a machine can be suspended.
const LONGEST_NAP: Duration = Duration::from_secs(20);

/// The occurrence that each line waits for; `None` for a line that never fires again.
type Awaited = HashMap<CronLine, Option<DateTime<Utc>>>;

/// The running cron lines; they stop when this is dropped.
pub struct CronTrigger {
    lines: Vec<CronLine>,
    awaited: Arc<Mutex<Awaited>>,
    _stop: DropGuard,
}

impl CronTrigger {
    /// Starts to send [`Event::Cron`] for each line. A line that is also in `old` waits for the same
    /// occurrence as there, so that none is lost between the two.
    pub fn start(
        lines: Vec<CronLine>,
        old: Option<&Self>,
        events: mpsc::UnboundedSender<Event>,
        supervisor: &Supervisor,
    ) -> Self {
        let before = old
            .map(|old| old.awaited.lock().clone())
            .unwrap_or_default();
        let awaited = Arc::new(Mutex::new(awaited(&watched(&lines, &before))));
        let stop = CancellationToken::new();
        let firing = Firing {
            lines: lines.clone(),
            awaited: Arc::clone(&awaited),
            events,
            stop: stop.clone(),
        };
        let supervisor = supervisor.clone();
        tokio::spawn(async move {
            supervisor
                .keep(Task::Cron, firing, |firing| firing.fire().boxed())
                .await;
        });
        Self {
            lines,
            awaited,
            _stop: stop.drop_guard(),
        }
    }

    /// Returns the lines.
    pub fn lines(&self) -> &[CronLine] {
        &self.lines
    }
}

/// Returns the lines, each waiting for its occurrence in `before` or, without one, for its next one.
fn watched(lines: &[CronLine], before: &Awaited) -> Vec<Watched> {
    let now = Utc::now();
    let one = |line: &CronLine| Watched::new(line.clone(), before.get(line).copied(), now);
    lines.iter().filter_map(one).collect()
}

fn awaited(watched: &[Watched]) -> Awaited {
    let one = |watched: &Watched| (watched.line.clone(), watched.next);
    watched.iter().map(one).collect()
}

/// Returns the first time after `now` at which a line fires.
pub fn next_after(line: &CronLine, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = Schedule::of(line)?;
    schedule.next_after(now).map(Occurrence::at)
}

/// A line and the occurrence that it waits for.
struct Watched {
    line: CronLine,
    schedule: Schedule,
    next: Option<DateTime<Utc>>,
    offset: FixedOffset,
    job: Option<uuid::Uuid>,
}

impl Watched {
    /// Creates one that waits for `awaited` or, without it, for the first occurrence after `now`.
    fn new(
        line: CronLine,
        awaited: Option<Option<DateTime<Utc>>>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let schedule = Schedule::of(&line)?;
        let next = awaited.unwrap_or_else(|| schedule.next_after(now).map(Occurrence::at));
        Some(Self {
            offset: schedule.offset(now)?,
            line,
            schedule,
            next,
            job: None,
        })
    }

    /// Takes the occurrence that is waited for, if it is no later than `earliest`, and waits for the next one.
    fn take(&mut self, now: DateTime<Utc>, earliest: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let taken = self.next.filter(|next| *next <= earliest)?;
        self.begin_again(now.max(taken));
        Some(taken)
    }

    /// Waits for the next occurrence after `now`. After the clock was set back, that may be hours before the
    /// one that was waited for.
    fn begin_again(&mut self, now: DateTime<Utc>) {
        self.next = self.schedule.next_after(now).map(Occurrence::at);
    }
}

/// The task that fires the lines.
struct Firing {
    lines: Vec<CronLine>,
    awaited: Arc<Mutex<Awaited>>,
    events: mpsc::UnboundedSender<Event>,
    stop: CancellationToken,
}

impl Firing {
    /// Fires until `stop` is cancelled, beginning with the occurrences in `awaited`.
    async fn fire(&self) {
        let before = self.awaited.lock().clone();
        let mut watched = watched(&self.lines, &before);
        let (fired, mut firings) = mpsc::channel(64);
        let mut trigger = match start_trigger(&mut watched, &fired).await {
            Ok(trigger) => Some(trigger),
            Err(error) => {
                tracing::warn!(%error, "the cron trigger did not start; its watchdog stands in for it");
                None
            }
        };
        let mut before = Utc::now();
        loop {
            let firing = tokio::select! {
                () = self.stop.cancelled() => break,
                firing = firings.recv() => firing,
                () = tokio::time::sleep(nap(&watched)) => None,
            };
            let now = Utc::now();
            for (index, watched) in watched.iter_mut().enumerate() {
                if now + GRACE < before {
                    watched.begin_again(now);
                }
                let earliest = if firing == Some(index) {
                    now + EARLY
                } else {
                    now - GRACE
                };
                if let Some(occurrence) = watched.take(now, earliest) {
                    let fired = Event::Cron(watched.line.clone(), occurrence);
                    let _ = self.events.send(fired);
                }
                if let Some(trigger) = &trigger
                    && let Some(offset) = watched.schedule.offset(now)
                    && watched.offset != offset
                {
                    watched.offset = offset;
                    remake(trigger, watched, index, &fired).await;
                }
            }
            before = now;
            *self.awaited.lock() = awaited(&watched);
            failpoint::reach("cron_looked");
        }
        // Dropping the trigger is not enough: its own task would go on.
        if let Some(trigger) = &mut trigger {
            let _ = trigger.shutdown().await;
        }
    }
}

/// Returns how long to wait until an occurrence would have been missed by the trigger, [`LONGEST_NAP`] at most.
fn nap(watched: &[Watched]) -> Duration {
    watched
        .iter()
        .filter_map(|watched| watched.next)
        .map(|next| (next + GRACE - Utc::now()).to_std().unwrap_or_default())
        .min()
        .unwrap_or(LONGEST_NAP)
        .min(LONGEST_NAP)
}

async fn start_trigger(
    watched: &mut [Watched],
    fired: &mpsc::Sender<usize>,
) -> Result<JobScheduler, JobSchedulerError> {
    let trigger = JobScheduler::new_with_channel_size(4_096).await?;
    for (index, watched) in watched.iter_mut().enumerate() {
        watched.job = Some(trigger.add(job(watched, index, fired)?).await?);
    }
    trigger.start().await?;
    Ok(trigger)
}

/// Replaces the job of a line by one with the offset of today. If that fails, the line goes on without the
/// trigger, two seconds late.
async fn remake(
    trigger: &JobScheduler,
    watched: &mut Watched,
    index: usize,
    fired: &mpsc::Sender<usize>,
) {
    if let Some(old) = watched.job.take() {
        let _ = trigger.remove(&old).await;
    }
    if let Ok(job) = job(watched, index, fired) {
        watched.job = trigger.add(job).await.ok();
    }
}

/// Makes a job on a clock that keeps the offset of today. In the line's time zone, the trigger would take a
/// time that comes twice for the first of the two, and fire without pause through the second.
fn job(
    watched: &Watched,
    index: usize,
    fired: &mpsc::Sender<usize>,
) -> Result<Job, JobSchedulerError> {
    let fired = fired.clone();
    Job::new_async_tz(
        watched.line.expression.as_str(),
        watched.offset,
        move |_, _| {
            let fired = fired.clone();
            Box::pin(async move {
                // A full channel means that firings are waiting already.
                let _ = fired.try_send(index);
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(expression: &str, timezone: &str) -> CronLine {
        CronLine {
            expression: expression.into(),
            timezone: timezone.to_owned(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn watched(line: CronLine, now: DateTime<Utc>) -> Watched {
        Watched::new(line, None, now).expect("a line")
    }

    #[test]
    fn daylight_saving_is_honoured() {
        let berlin = line("0 30 8 * * *", "Europe/Berlin");
        let winter = next_after(&berlin, at("2026-03-28T00:00:00Z"));
        assert_eq!(winter, Some(at("2026-03-28T07:30:00Z")));
        let summer = next_after(&berlin, at("2026-03-29T00:00:00Z"));
        assert_eq!(summer, Some(at("2026-03-29T06:30:00Z")));
        let schedule = Schedule::of(&berlin).expect("a line");
        let hours = |text| {
            schedule
                .offset(at(text))
                .expect("an offset")
                .local_minus_utc()
                / 3_600
        };
        assert_eq!(hours("2026-03-28T00:00:00Z"), 1);
        assert_eq!(hours("2026-03-30T00:00:00Z"), 2);
    }

    #[test]
    fn a_line_fires_through_an_hour_that_comes_twice_and_no_faster() {
        let berlin = || line("0 */5 * * * *", "Europe/Berlin");
        // From two o'clock to the second three o'clock, also for a line that starts in the repeated hour.
        for (from, times) in [("2025-10-26T00:00:01Z", 24), ("2025-10-26T01:00:01Z", 12)] {
            let (mut now, end) = (at(from), at("2025-10-26T02:00:01Z"));
            let mut watched = watched(berlin(), now);
            let mut taken = Vec::new();
            while now < end {
                taken.extend(watched.take(now, now + EARLY));
                now += TimeDelta::milliseconds(250);
            }
            assert_eq!(taken.len(), times, "{taken:?}");
            let mut apart = taken.windows(2).map(|two| two[1] - two[0]);
            assert!(
                apart.all(|apart| apart == TimeDelta::minutes(5)),
                "{taken:?}"
            );
        }
    }

    #[test]
    fn a_firing_at_another_time_is_passed_over_and_a_missed_one_is_made_up_once() {
        let mut watched = watched(line("0 0 * * * *", "UTC"), at("2026-01-01T11:30:00Z"));
        let fires = |watched: &mut Watched, text| {
            let now = at(text);
            watched.take(now, now + EARLY).is_some()
        };
        let made_up = |watched: &mut Watched, text| {
            let now = at(text);
            watched.take(now, now - GRACE).is_some()
        };
        assert!(
            !fires(&mut watched, "2026-01-01T11:45:00Z"),
            "a wrong offset"
        );
        assert!(
            fires(&mut watched, "2026-01-01T11:59:59.5Z"),
            "a little early"
        );
        assert!(!fires(&mut watched, "2026-01-01T12:00:00.5Z"), "twice");
        assert!(
            !made_up(&mut watched, "2026-01-01T13:00:01Z"),
            "not late enough"
        );
        assert!(
            made_up(&mut watched, "2026-01-01T17:20:00Z"),
            "after a stall of hours"
        );
        assert!(!made_up(&mut watched, "2026-01-01T17:20:01Z"), "once");
        assert_eq!(watched.next, Some(at("2026-01-01T18:00:00Z")));
    }

    #[test]
    fn a_clock_that_is_set_back_takes_the_line_with_it() {
        let mut watched = watched(line("0 0 * * * *", "UTC"), at("2026-01-01T12:30:00Z"));
        watched.begin_again(at("2026-01-01T08:10:00Z"));
        assert_eq!(watched.next, Some(at("2026-01-01T09:00:00Z")));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_occurrence_between_two_triggers_is_not_lost() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let yearly = line("0 0 0 1 1 *", "UTC");
        let old = CronTrigger::start(
            vec![yearly.clone()],
            None,
            events.clone(),
            &Supervisor::default(),
        );
        // An occurrence that came due while neither trigger ran.
        let missed = Utc::now() - TimeDelta::seconds(1);
        old.awaited.lock().insert(yearly.clone(), Some(missed));
        let both = vec![yearly.clone(), line("0 0 0 2 1 *", "UTC")];
        let _new = CronTrigger::start(both, Some(&old), events, &Supervisor::default());
        drop(old);
        let event = tokio::time::timeout(Duration::from_secs(60), inbox.recv()).await;
        assert!(matches!(event, Ok(Some(Event::Cron(line, at))) if line == yearly && at == missed));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_second_is_every_second() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let every_second = line("* * * * * *", "UTC");
        let _trigger = CronTrigger::start(
            vec![every_second.clone()],
            None,
            events,
            &Supervisor::default(),
        );
        for _ in 0..3 {
            let event = tokio::time::timeout(Duration::from_secs(60), inbox.recv()).await;
            let Ok(Some(Event::Cron(line, _))) = event else {
                panic!("it fires")
            };
            assert_eq!(line, every_second);
        }
    }
}
