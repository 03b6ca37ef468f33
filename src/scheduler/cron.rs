//! Cron lines become events.
//!
//! tokio-cron-scheduler is the trigger, one job for each distinct line and zone, and its closure
//! does one `try_send`. Three of its traits need a second pair of eyes: it can drop a firing, it
//! can stop for good after a stall, and it freezes the zone's offset when a job is made, so that
//! daylight saving is wrong from the next change on. So each occurrence is computed here as well:
//! one that did not fire within two seconds is made up, a firing at another time is passed over,
//! and a job is made anew when the offset has changed.

use std::time::Duration;

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use croner::Cron;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::dispatcher::Event;
use crate::config::CronLine;

/// How late the trigger may be before the occurrence is made up.
const GRACE: TimeDelta = TimeDelta::seconds(2);

/// How early it may be. It looks at whole seconds, twice a second.
const EARLY: TimeDelta = TimeDelta::milliseconds(1_100);

/// At the latest after this long the wall clock is read again: it can be set, and a machine can
/// sleep.
const LONGEST_NAP: Duration = Duration::from_secs(20);

/// The firing lines; they stop when dropped.
pub struct CronTrigger {
    lines: Vec<CronLine>,
    task: JoinHandle<()>,
}

impl CronTrigger {
    /// Starts firing [`Event::Cron`] for each line.
    pub fn start(lines: Vec<CronLine>, events: mpsc::UnboundedSender<Event>) -> Self {
        let task = tokio::spawn(run(lines.clone(), events));
        Self { lines, task }
    }

    /// The lines.
    pub fn lines(&self) -> &[CronLine] {
        &self.lines
    }
}

impl Drop for CronTrigger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The next time a line names after `now`.
pub fn next_after(line: &CronLine, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let cron = parse(line)?;
    occurrence_after(&cron, line, now)
}

/// The configuration has checked the line already.
fn parse(line: &CronLine) -> Option<Cron> {
    croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Required)
        .build()
        .parse(&line.expression)
        .ok()
}

fn occurrence_after(cron: &Cron, line: &CronLine, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let local = now.with_timezone(&line.timezone);
    cron.find_next_occurrence(&local, false)
        .ok()
        .map(|next| next.with_timezone(&Utc))
}

fn offset(line: &CronLine, now: DateTime<Utc>) -> i32 {
    line.timezone
        .offset_from_utc_datetime(&now.naive_utc())
        .fix()
        .local_minus_utc()
}

/// One line being watched.
struct Watched {
    line: CronLine,
    cron: Cron,
    next: Option<DateTime<Utc>>,
    offset: i32,
    job: Option<uuid::Uuid>,
}

impl Watched {
    /// Whether a firing now is the occurrence that is waited for. Then the next one is.
    fn take(&mut self, now: DateTime<Utc>, earliest: DateTime<Utc>) -> bool {
        let Some(next) = self.next.filter(|next| *next <= earliest) else {
            return false;
        };
        self.next = occurrence_after(&self.cron, &self.line, now.max(next));
        true
    }
}

async fn run(lines: Vec<CronLine>, events: mpsc::UnboundedSender<Event>) {
    let (fired, mut firings) = mpsc::channel(64);
    let now = Utc::now();
    let mut watched: Vec<Watched> = lines
        .into_iter()
        .filter_map(|line| {
            let cron = parse(&line)?;
            let next = occurrence_after(&cron, &line, now);
            Some(Watched {
                offset: offset(&line, now),
                line,
                cron,
                next,
                job: None,
            })
        })
        .collect();
    let trigger = match start_trigger(&mut watched, &fired).await {
        Ok(trigger) => Some(trigger),
        Err(error) => {
            tracing::warn!(%error, "the cron trigger did not start; its watchdog stands in for it");
            None
        }
    };
    loop {
        let nap = watched
            .iter()
            .filter_map(|watched| watched.next)
            .map(|next| (next + GRACE - Utc::now()).to_std().unwrap_or_default())
            .min()
            .unwrap_or(LONGEST_NAP)
            .min(LONGEST_NAP);
        let firing = tokio::select! {
            firing = firings.recv() => firing,
            () = tokio::time::sleep(nap) => None,
        };
        let now = Utc::now();
        for (index, watched) in watched.iter_mut().enumerate() {
            let earliest = if firing == Some(index) {
                now + EARLY
            } else {
                now - GRACE
            };
            if watched.take(now, earliest)
                && events.send(Event::Cron(watched.line.clone())).is_err()
            {
                return;
            }
            if let Some(trigger) = &trigger
                && watched.offset != offset(&watched.line, now)
            {
                watched.offset = offset(&watched.line, now);
                remake(trigger, watched, index, &fired).await;
            }
        }
    }
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

/// Makes the job of a line anew, with the offset of today. Where that fails the watchdog goes on
/// alone, two seconds late.
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

fn job(
    watched: &Watched,
    index: usize,
    fired: &mpsc::Sender<usize>,
) -> Result<Job, JobSchedulerError> {
    let fired = fired.clone();
    Job::new_async_tz(
        watched.line.expression.as_str(),
        watched.line.timezone,
        move |_, _| {
            let fired = fired.clone();
            Box::pin(async move {
                // A full channel means that a firing is on its way already.
                let _ = fired.try_send(index);
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(expression: &str, timezone: chrono_tz::Tz) -> CronLine {
        CronLine {
            expression: expression.into(),
            timezone,
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn watched(line: CronLine, now: DateTime<Utc>) -> Watched {
        let cron = parse(&line).expect("a line");
        let next = occurrence_after(&cron, &line, now);
        Watched {
            offset: offset(&line, now),
            line,
            cron,
            next,
            job: None,
        }
    }

    #[test]
    fn daylight_saving_is_honoured() {
        let berlin = line("0 30 8 * * *", chrono_tz::Europe::Berlin);
        let winter = next_after(&berlin, at("2026-03-28T00:00:00Z"));
        assert_eq!(winter, Some(at("2026-03-28T07:30:00Z")));
        let summer = next_after(&berlin, at("2026-03-29T00:00:00Z"));
        assert_eq!(summer, Some(at("2026-03-29T06:30:00Z")));
        assert_ne!(
            offset(&berlin, at("2026-03-28T00:00:00Z")),
            offset(&berlin, at("2026-03-30T00:00:00Z"))
        );
    }

    #[test]
    fn a_firing_at_another_time_is_passed_over_and_a_missed_one_is_made_up_once() {
        let mut watched = watched(
            line("0 0 * * * *", chrono_tz::UTC),
            at("2026-01-01T11:30:00Z"),
        );
        let fires = |watched: &mut Watched, text| {
            let now = at(text);
            watched.take(now, now + EARLY)
        };
        let made_up = |watched: &mut Watched, text| {
            let now = at(text);
            watched.take(now, now - GRACE)
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_second_is_every_second() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let every_second = line("* * * * * *", chrono_tz::UTC);
        let _trigger = CronTrigger::start(vec![every_second.clone()], events);
        for _ in 0..3 {
            let event = tokio::time::timeout(Duration::from_secs(60), inbox.recv()).await;
            let Ok(Some(Event::Cron(line))) = event else {
                panic!("it fires")
            };
            assert_eq!(line, every_second);
        }
    }
}
