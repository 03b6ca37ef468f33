//! The dispatcher, where all wake-ups meet.

mod timers;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::TaskTracker;

use super::cron::CronTrigger;
use super::event::Event;
use super::key::{Again, Key, Place, QueueId, Queues};
use super::wheel::IntervalWheel;
use super::{First, Pulse, Reconciler, Requeue, Scheduled};
use crate::config::{Check, CronLine};
use crate::failpoint;
use crate::model::{KeyId, SourceId};
use crate::supervise::Supervisor;
use crate::telemetry::panics::{Task, within};

/// The most reconcile runs under way at once in one queue. The other keys wait there by name, which is
/// smaller than a task.
pub const LOOKS_PER_QUEUE: usize = 64;

/// Keys that are to be woken at one moment are spread over this long for each of them …
const SPREAD_EACH: Duration = Duration::from_millis(10);

/// … but no longer than this.
const SPREAD_MOST: Duration = Duration::from_secs(2);

/// The wait of a key after a reconcile run that panicked.
const AFTER_A_PANIC: Duration = Duration::from_secs(30);

pub struct Dispatcher {
    reconciler: Arc<dyn Reconciler>,
    inbox: mpsc::UnboundedReceiver<Event>,
    events: mpsc::UnboundedSender<Event>,
    tracker: TaskTracker,
    pulse: Arc<Pulse>,
    supervisor: Supervisor,
    /// The schedule that is to be put in force, until that is done.
    coming: Option<Arc<[Scheduled]>>,
    /// The number of times that [`run`](Self::run) has begun: more than one after a panic.
    epoch: u32,
    keys: HashMap<KeyId, Box<Key>>,
    queues: Queues,
    wheels: BTreeMap<Duration, IntervalWheel>,
    cron: Option<CronTrigger>,
    later: BinaryHeap<Reverse<(Instant, KeyId)>>,
}

impl Dispatcher {
    pub fn new(
        reconciler: Arc<dyn Reconciler>,
        inbox: mpsc::UnboundedReceiver<Event>,
        events: mpsc::UnboundedSender<Event>,
        tracker: TaskTracker,
        pulse: Arc<Pulse>,
        supervisor: Supervisor,
    ) -> Self {
        Self {
            reconciler,
            inbox,
            events,
            tracker,
            pulse,
            supervisor,
            coming: None,
            epoch: 0,
            keys: HashMap::new(),
            queues: Queues::default(),
            wheels: BTreeMap::new(),
            cron: None,
            later: BinaryHeap::new(),
        }
    }

    /// Starts over after a panic. Only the schedule is certain then: every key is new, and the outcome of a
    /// reconcile run that is under way is ignored. Runs do not overlap even so, since each holds its key's
    /// `KeyGuard`.
    fn begin_again(&mut self) {
        let old = std::mem::take(&mut self.keys);
        let queues = std::mem::take(&mut self.queues);
        self.wheels.clear();
        self.cron = None;
        self.later.clear();
        self.coming.get_or_insert_with(|| {
            let old = old.into_iter().filter(|(_, key)| key.scheduled);
            old.map(|(id, key)| key.into_scheduled(id, &queues))
                .collect()
        });
        self.replace();
    }

    /// Dispatches events until the process is to stop.
    pub async fn run(&mut self) {
        self.epoch += 1;
        if self.epoch > 1 {
            self.begin_again();
        }
        let stop = self.supervisor.stop().clone();
        let mut pulse = tokio::time::interval(Duration::from_secs(1));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let later = self.later.peek().map(|Reverse((at, _))| *at);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = pulse.tick() => self.pulse.beat(),
                Some(event) = self.inbox.recv() => {
                    self.handle(event);
                    self.handle_what_came().await;
                }
                () = sleep_until(later) => self.wake_later(),
            }
        }
    }

    /// Handles all events that are waiting. Reconcile runs that began together end together: yielding once
    /// lets those that are done send their outcome first.
    async fn handle_what_came(&mut self) {
        tokio::task::yield_now().await;
        for _ in 0..self.inbox.len() {
            if let Ok(event) = self.inbox.try_recv() {
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        if let Event::Replace(scheduled) = &event {
            self.coming = Some(Arc::clone(scheduled));
        }
        failpoint::reach("scheduler_told");
        match event {
            Event::Replace(_) => self.replace(),
            Event::Due(keys) => keys.iter().for_each(|key| self.turn(key)),
            Event::Cron(line, occurrence) => self.fire(&line, occurrence),
            Event::Changed(keys) => self.anew(keys, Again::Yes),
            Event::Told(keys) => self.told(&keys),
            Event::Missed(source) => self.missed(&source),
            Event::Recovered(source) => self.recovered(source.as_ref()),
            Event::Ended(epoch, key, queue, looked) if epoch == self.epoch => {
                self.ended(&key, queue, looked);
            }
            Event::Ended(..) => {}
        }
    }

    /// Puts the pending schedule in force. If that panics, the next start begins with it.
    fn replace(&mut self) {
        let Some(scheduled) = self.coming.clone() else {
            return;
        };
        let named: HashSet<&KeyId> = scheduled.iter().map(|scheduled| &scheduled.key).collect();
        self.keys
            .retain(|id, key| named.contains(id) || key.place == Place::UnderWay);
        for (id, key) in &mut self.keys {
            // A key with a run under way is removed when the run has ended, unless it is scheduled again by then.
            let scheduled = named.contains(id);
            if scheduled && !key.scheduled {
                key.again = Again::Yes;
            }
            key.scheduled = scheduled;
        }
        let mut fresh = Vec::new();
        for Scheduled {
            key: id,
            check,
            source,
            workspace,
            first,
        } in scheduled.iter()
        {
            let queue = self.queues.of(source, workspace);
            let Some(key) = self.keys.get_mut(id) else {
                let mut key = Box::new(Key::new(check.clone(), queue));
                match first {
                    First::Now => fresh.push(id.clone()),
                    First::OnSchedule => key.seen = true,
                }
                self.keys.insert(id.clone(), key);
                continue;
            };
            key.check = check.clone();
            if key.queue != queue && key.place == Place::Queued {
                // The key leaves its old queue, which will skip its name.
                key.place = Place::Idle;
                fresh.push(id.clone());
            }
            key.queue = queue;
        }
        self.count_unseen();
        self.turn_rings();
        self.start_cron();
        fresh.iter().for_each(|key| self.wake(key));
        self.coming = None;
    }

    fn count_unseen(&self) {
        let unseen = self
            .keys
            .values()
            .filter(|key| key.scheduled && !key.seen)
            .count();
        self.pulse.set_unseen(unseen);
    }

    fn fire(&mut self, line: &CronLine, occurrence: DateTime<Utc>) {
        let of_line = |key: &Key| matches!(&key.check, Check::Cron(other) if other == line);
        let now = Instant::now();
        let due = |key: &Key| of_line(key) && key.place == Place::Idle && key.not_before <= now;
        let keys = self.keys.iter().filter(|(_, key)| due(key));
        let keys: Vec<KeyId> = keys.map(|(id, _)| id.clone()).collect();
        for id in &keys {
            if let Some(key) = self.keys.get_mut(id)
                && key.wake_at.is_none()
            {
                key.occurrence = Some(occurrence);
            }
        }
        self.spread(keys);
    }

    /// Reconciles the failed keys of a source again, or those of all sources. Keys with a run under way are
    /// among them, since its outcome is not known yet.
    fn recovered(&mut self, source: Option<&SourceId>) {
        let concerned = |key: &Key| {
            (!key.well || key.place == Place::UnderWay)
                && source.is_none_or(|source| self.queues[key.queue].source == *source)
        };
        let keys = self.keys.iter().filter(|(_, key)| concerned(key));
        let keys = keys.map(|(id, _)| id.clone()).collect();
        self.anew(keys, Again::IfNotWell);
    }

    /// Reconciles the keys of a source again, but for those whose first run is to come: it will find everything.
    fn missed(&mut self, source: &SourceId) {
        let concerned = |key: &Key| {
            (key.seen || key.place == Place::UnderWay) && self.queues[key.queue].source == *source
        };
        let keys = self.keys.iter().filter(|(_, key)| concerned(key));
        let keys = keys.map(|(id, _)| id.clone()).collect();
        self.anew(keys, Again::Yes);
    }

    /// Reconciles these keys now. One with a run under way has another right after it.
    fn told(&mut self, keys: &[KeyId]) {
        for id in keys {
            if let Some(key) = self.keys.get_mut(id) {
                key.not_before = Instant::now();
                key.occurrence = None;
                if key.place == Place::UnderWay {
                    key.again = Again::AtOnce;
                }
                match key.rests_until().filter(|_| key.place == Place::Idle) {
                    Some(at) => self.arm(id, at),
                    None => self.wake(id),
                }
            }
        }
    }

    /// Reconciles these keys whatever they wait for; if a run is under way, after that.
    fn anew(&mut self, keys: Vec<KeyId>, again: Again) {
        let mut idle = Vec::new();
        for id in keys {
            let Some(key) = self.keys.get_mut(&id) else {
                continue;
            };
            key.not_before = Instant::now();
            key.occurrence = None;
            match key.place {
                Place::Idle => idle.push(id),
                Place::Queued => {}
                Place::UnderWay => key.again = key.again.max(again),
            }
        }
        self.spread(idle);
    }

    /// Wakes a key whose interval is over. A key whose slot on the wheel has moved is skipped if it was
    /// reconciled less than a quarter of its interval ago.
    fn turn(&mut self, id: &KeyId) {
        if let Some(key) = self.keys.get_mut(id)
            && std::mem::take(&mut key.moved)
            && let (Check::Every(period), Some(at)) = (&key.check, key.looked_at)
            && at.elapsed() < *period / 4
        {
            return;
        }
        self.wake(id);
    }

    fn wake(&mut self, id: &KeyId) {
        let Some(key) = self.keys.get_mut(id) else {
            return;
        };
        if key.place != Place::Idle || Instant::now() < key.not_before {
            return;
        }
        key.wake_at = None;
        let queue = &mut self.queues[key.queue];
        if queue.under_way < LOOKS_PER_QUEUE {
            self.begin(id);
        } else {
            key.place = Place::Queued;
            queue.waiting.push_back(id.clone());
        }
    }

    fn begin(&mut self, id: &KeyId) {
        let Some(key) = self.keys.get_mut(id) else {
            return;
        };
        key.place = Place::UnderWay;
        key.again = Again::No;
        key.looked_at = Some(Instant::now());
        let (queue, occurrence) = (key.queue, key.occurrence.take());
        self.queues[queue].under_way += 1;
        self.reconcile(id, queue, occurrence);
    }

    fn reconcile(&self, id: &KeyId, queue: QueueId, occurrence: Option<DateTime<Utc>>) {
        let (reconciler, events) = (Arc::clone(&self.reconciler), self.events.clone());
        let (id, planned, epoch) = (id.clone(), self.planned(id), self.epoch);
        self.tracker.spawn(async move {
            let look = within(
                Task::Reconcile,
                Some(id.clone()),
                reconciler.reconcile(&id, planned, occurrence),
            );
            let looked = AssertUnwindSafe(look).catch_unwind().await;
            let looked = looked.unwrap_or(Requeue {
                again_in: Some(AFTER_A_PANIC),
                well: false,
            });
            let _ = events.send(Event::Ended(epoch, id, queue, looked));
        });
    }

    fn ended(&mut self, id: &KeyId, queue: QueueId, looked: Requeue) {
        let Some(key) = self.keys.get_mut(id) else {
            return self.go_on(queue);
        };
        let first = !std::mem::replace(&mut key.seen, true) && key.scheduled;
        key.place = Place::Idle;
        key.well = looked.well;
        let now = Instant::now();
        let wait = match key.again {
            Again::AtOnce => Some(key.rests_until().map_or(Duration::ZERO, |at| at - now)),
            Again::Yes => Some(SPREAD_EACH),
            // Other keys wait for the same service: their next runs are spread over this time.
            Again::IfNotWell if !looked.well => Some(SPREAD_MOST.mul_f64(rand::random::<f64>())),
            Again::IfNotWell | Again::No => looked.again_in,
        };
        key.not_before = now + wait.unwrap_or_default();
        if !key.scheduled {
            self.keys.remove(id);
        } else if let Some(wait) = wait {
            self.arm(id, now + wait);
        }
        if first {
            self.pulse.one_seen();
        }
        self.go_on(queue);
    }

    /// Ends a run in the queue, and begins runs of the keys that wait there.
    fn go_on(&mut self, queue: QueueId) {
        let under_way = &mut self.queues[queue].under_way;
        *under_way = under_way.saturating_sub(1);
        while !self.supervisor.stop().is_cancelled()
            && self.queues[queue].under_way < LOOKS_PER_QUEUE
            && let Some(next) = self.queues[queue].waiting.pop_front()
        {
            let waits = |key: &Key| key.place == Place::Queued && key.queue == queue;
            if self.keys.get(&next).is_some_and(|key| waits(key)) {
                self.begin(&next);
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
