//! Turns schedules into wake-ups.
//!
//! A wake-up only says that a key is to be reconciled, never what has changed, so one that is lost or doubled
//! costs nothing. Keys with an interval sit on a [`wheel`] that spreads them over it; cron lines are
//! triggered by [`cron`]; keys that failed come back after their wait. All of them meet in one dispatcher,
//! which never reconciles a key twice at once, keeps a source from filling the process with waiting runs, and
//! survives a run that panics.

mod cron;
mod dispatcher;
mod event;
mod key;
mod pulse;
mod scheduled;
#[cfg(test)]
mod tests;
mod wheel;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::config::Check;
use crate::model::{KeyId, SourceId};
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;

use dispatcher::Dispatcher;
use event::Event;
use pulse::Pulse;

pub use scheduled::{First, Reconciler, Requeue, Scheduled};

/// Checks that another process has served an occurrence of a cron line: it has recorded a time for the next
/// run that is later than the occurrence. A time later than the line's own next one comes from another line,
/// and does not count.
pub fn is_served(check: &Check, occurrence: DateTime<Utc>, next_at: Option<DateTime<Utc>>) -> bool {
    let Check::Cron(line) = check else {
        return false;
    };
    let following = cron::next_after(line, occurrence);
    next_at.is_some_and(|at| occurrence < at && following.is_none_or(|following| at <= following))
}

/// Returns how far apart the runs of a schedule are, from `from` on. Those of a cron line are not evenly
/// spaced; the mean of the next two intervals stands for them.
pub fn pace(check: &Check, from: DateTime<Utc>) -> Duration {
    match check {
        Check::Every(period) => *period,
        Check::Cron(line) => {
            let second = cron::next_after(line, from).and_then(|at| cron::next_after(line, at));
            let both = second.and_then(|second| (second - from).to_std().ok());
            both.unwrap_or_default() / 2
        }
    }
}

/// A handle to the dispatcher.
#[derive(Clone)]
pub struct Scheduler {
    events: mpsc::UnboundedSender<Event>,
    tracker: TaskTracker,
    pulse: Arc<Pulse>,
}

impl Scheduler {
    /// Starts the dispatcher. It stops waking keys when the supervisor's `stop` is cancelled.
    pub fn start(reconciler: Arc<dyn Reconciler>, supervisor: Supervisor) -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        let tracker = TaskTracker::new();
        let pulse = Arc::new(Pulse::new());
        let dispatcher = Dispatcher::new(
            reconciler,
            inbox,
            events.clone(),
            tracker.clone(),
            Arc::clone(&pulse),
            supervisor.clone(),
        );
        tracker.spawn(async move {
            supervisor
                .keep(Task::Scheduler, dispatcher, |dispatcher| {
                    dispatcher.run().boxed()
                })
                .await;
        });
        Self {
            events,
            tracker,
            pulse,
        }
    }

    /// Replaces the schedule. Keys that were not scheduled before have their [`First`] run; the others go on.
    pub fn replace(&self, keys: Vec<Scheduled>) {
        self.send(Event::Replace(keys.into()));
    }

    /// Reconciles these keys now, because something about them has changed.
    pub fn changed(&self, keys: Vec<KeyId>) {
        self.send(Event::Changed(keys));
    }

    /// Reconciles these keys without delay, because an event has told of a change in their source. Several events for
    /// a key before its run begins, or during it, cause one run.
    pub fn told(&self, keys: Vec<KeyId>) {
        self.send(Event::Told(keys));
    }

    /// Reconciles every key of a source that was reconciled before, because events may have been missed.
    pub fn missed(&self, source: SourceId) {
        self.send(Event::Missed(source));
    }

    /// Reconciles the keys that failed, after a service has recovered: those of this source, or of all.
    pub fn recovered(&self, source: Option<SourceId>) {
        self.send(Event::Recovered(source));
    }

    /// Returns how long ago the dispatcher last gave a sign of life.
    pub fn since_pulse(&self) -> Duration {
        self.pulse.age()
    }

    /// Returns how many keys have not been reconciled yet.
    pub fn unseen(&self) -> usize {
        self.pulse.unseen()
    }

    /// Waits until every reconcile run under way has ended.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Sends an event. If the dispatcher is gone, the process is stopping and the event is of no use.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}
