//! Schedules become wake-ups.
//!
//! A wake-up says *look* and nothing else, so one that is lost or doubled costs nothing. Keys on
//! an interval sit on a [`wheel`] that spreads them over it; cron lines are triggered by
//! [`cron`]; what failed comes back after its wait. All of them meet in one dispatcher, which
//! never runs two looks at one key, keeps a source from filling the process with waiting looks,
//! and survives a look that panics.

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

/// Whether another process has served an occurrence of a cron line: it has written down a later
/// time for the next look. A time that is later than this line's next one comes of another line.
pub fn is_served(check: &Check, occurrence: DateTime<Utc>, next_at: Option<DateTime<Utc>>) -> bool {
    let Check::Cron(line) = check else {
        return false;
    };
    let following = cron::next_after(line, occurrence);
    next_at.is_some_and(|at| occurrence < at && following.is_none_or(|following| at <= following))
}

/// How long the looks of a schedule are apart, from `from` on: a cron line's are not always
/// the same, and the mean of the next two stands for them.
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

/// The way to the dispatcher.
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

    /// Replaces what is scheduled. Keys that were not there have their [`First`] look; the others
    /// keep their place.
    pub fn replace(&self, keys: Vec<Scheduled>) {
        self.send(Event::Replace(keys.into()));
    }

    /// Looks at these keys now: what the configuration asks of them has changed.
    pub fn changed(&self, keys: Vec<KeyId>) {
        self.send(Event::Changed(keys));
    }

    /// Looks at what failed, now that a service is back: the keys of this source, or all of them.
    pub fn recovered(&self, source: Option<SourceId>) {
        self.send(Event::Recovered(source));
    }

    /// How long ago the dispatcher last showed a sign of life.
    pub fn since_pulse(&self) -> Duration {
        self.pulse.age()
    }

    /// How many keys have not been looked at yet.
    pub fn unseen(&self) -> usize {
        self.pulse.unseen()
    }

    /// Waits until every look under way has ended.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// The dispatcher is gone only when the process stops; nobody is left to look then.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }
}
