//! Where all wake-ups meet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cron::{self, CronTrigger};
use super::ring::Ring;
use super::{Looked, Looker, Pulse, Scheduled};
use crate::config::{Check, CronLine};
use crate::model::{KeyId, SourceId};

/// Looks under way at once at one source. The rest wait here as a name in a queue, which is
/// smaller than a task.
const LOOKS_PER_SOURCE: usize = 64;

/// Keys of one cron line are spread over this long for each of them …
const SPREAD_EACH: Duration = Duration::from_millis(10);

/// … and over no more than this.
const SPREAD_MOST: Duration = Duration::from_secs(2);

/// What a key that made its look panic waits for.
const AFTER_A_PANIC: Duration = Duration::from_secs(30);

/// What the dispatcher is told.
pub enum Event {
    /// These keys, and no others, are scheduled from now on.
    Replace(Vec<Scheduled>),
    /// It is these keys' turn.
    Due(Vec<KeyId>),
    /// A cron line fired.
    Cron(CronLine),
    /// A service is back.
    Recovered(Option<SourceId>),
    /// A look ended. The source is the one whose queue it was counted in, which a new
    /// configuration may have changed meanwhile.
    Ended(KeyId, SourceId, Looked),
}

struct Key {
    check: Check,
    source: SourceId,
    place: Place,
    /// No look before this: a round of tries is waiting.
    not_before: Instant,
    well: bool,
    /// Still in the configuration.
    scheduled: bool,
    /// Looked at once at least.
    seen: bool,
}

impl Key {
    fn new(check: Check, source: SourceId) -> Self {
        let not_before = Instant::now();
        Self {
            check,
            source,
            place: Place::Idle,
            not_before,
            well: true,
            scheduled: true,
            seen: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Idle,
    Queued,
    UnderWay,
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: VecDeque<KeyId>,
}

pub struct Dispatcher {
    looker: Arc<dyn Looker>,
    events: mpsc::UnboundedSender<Event>,
    tracker: TaskTracker,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
    keys: HashMap<KeyId, Key>,
    queues: HashMap<SourceId, Queue>,
    rings: BTreeMap<Duration, Ring>,
    cron: Option<CronTrigger>,
    later: BinaryHeap<Reverse<(Instant, KeyId)>>,
}

impl Dispatcher {
    pub fn new(
        looker: Arc<dyn Looker>,
        events: mpsc::UnboundedSender<Event>,
        tracker: TaskTracker,
        pulse: Arc<Pulse>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            looker,
            events,
            tracker,
            pulse,
            stop,
            keys: HashMap::new(),
            queues: HashMap::new(),
            rings: BTreeMap::new(),
            cron: None,
            later: BinaryHeap::new(),
        }
    }

    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Event>, stop: CancellationToken) {
        let mut pulse = tokio::time::interval(Duration::from_secs(1));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let later = self.later.peek().map(|Reverse((at, _))| *at);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = pulse.tick() => self.pulse.beat(),
                Some(event) = inbox.recv() => self.handle(event),
                () = sleep_until(later) => self.wake_later(),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Replace(keys) => self.replace(keys),
            Event::Due(keys) => keys.iter().for_each(|key| self.wake(key)),
            Event::Cron(line) => self.fire(&line),
            Event::Recovered(source) => self.recovered(source.as_ref()),
            Event::Ended(key, source, looked) => self.ended(&key, &source, looked),
        }
    }

    fn replace(&mut self, scheduled: Vec<Scheduled>) {
        let named: HashSet<&KeyId> = scheduled.iter().map(|scheduled| &scheduled.key).collect();
        self.keys
            .retain(|id, key| named.contains(id) || key.place == Place::UnderWay);
        for (id, key) in &mut self.keys {
            // One that is under way is let go when its look has ended.
            key.scheduled = named.contains(id);
        }
        let mut fresh = Vec::new();
        for Scheduled {
            key: id,
            check,
            source,
        } in scheduled
        {
            if let Some(key) = self.keys.get_mut(&id) {
                key.check = check;
                key.source = source;
            } else {
                self.keys.insert(id.clone(), Key::new(check, source));
                fresh.push(id);
            }
        }
        self.count_unseen();
        self.turn_rings();
        self.start_cron();
        fresh.iter().for_each(|key| self.wake(key));
    }

    fn count_unseen(&self) {
        let unseen = self
            .keys
            .values()
            .filter(|key| key.scheduled && !key.seen)
            .count();
        self.pulse.unseen.store(unseen, Ordering::Relaxed);
    }

    /// Rings whose keys are the same go on turning.
    fn turn_rings(&mut self) {
        let mut wanted: BTreeMap<Duration, Vec<KeyId>> = BTreeMap::new();
        for (id, key) in &self.keys {
            if let Check::Every(period) = key.check
                && key.scheduled
            {
                wanted.entry(period).or_default().push(id.clone());
            }
        }
        self.rings.retain(|period, _| wanted.contains_key(period));
        for (period, mut keys) in wanted {
            keys.sort();
            let old = self.rings.get(&period);
            if old.is_some_and(|ring| ring.keys() == keys) {
                continue;
            }
            let hand = old.map_or(0.0, Ring::hand);
            self.rings
                .insert(period, Ring::start(period, keys, hand, self.events.clone()));
        }
    }

    fn start_cron(&mut self) {
        let lines: HashSet<&CronLine> = self
            .keys
            .values()
            .filter(|key| key.scheduled)
            .filter_map(|key| match &key.check {
                Check::Cron(line) => Some(line),
                Check::Every(_) => None,
            })
            .collect();
        let mut lines: Vec<CronLine> = lines.into_iter().cloned().collect();
        lines.sort_by_cached_key(|line| (line.expression.clone(), line.timezone.name()));
        if self.cron.as_ref().is_some_and(|cron| cron.lines() == lines) {
            return;
        }
        self.cron = (!lines.is_empty()).then(|| CronTrigger::start(lines, self.events.clone()));
    }

    fn fire(&mut self, line: &CronLine) {
        let of_line = |key: &Key| matches!(&key.check, Check::Cron(other) if other == line);
        let keys = self.keys.iter().filter(|(_, key)| of_line(key));
        let keys: Vec<KeyId> = keys.map(|(id, _)| id.clone()).collect();
        self.spread(keys);
    }

    fn recovered(&mut self, source: Option<&SourceId>) {
        let concerned = |key: &Key| !key.well && source.is_none_or(|source| key.source == *source);
        let mut woken = Vec::new();
        for (id, key) in &mut self.keys {
            if concerned(key) {
                key.not_before = Instant::now();
                woken.push(id.clone());
            }
        }
        self.spread(woken);
    }

    /// Many keys at one moment become many moments.
    fn spread(&mut self, keys: Vec<KeyId>) {
        let others = u32::try_from(keys.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let over = SPREAD_EACH.saturating_mul(others).min(SPREAD_MOST);
        let now = Instant::now();
        for key in keys {
            self.later
                .push(Reverse((now + over.mul_f64(rand::random::<f64>()), key)));
        }
    }

    fn wake_later(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, _))) = self.later.peek()
            && *at <= now
        {
            if let Some(Reverse((_, key))) = self.later.pop() {
                self.wake(&key);
            }
        }
    }

    fn wake(&mut self, id: &KeyId) {
        let Some(key) = self.keys.get_mut(id) else {
            return;
        };
        if key.place != Place::Idle || Instant::now() < key.not_before {
            return;
        }
        let queue = self.queues.entry(key.source.clone()).or_default();
        if queue.under_way < LOOKS_PER_SOURCE {
            queue.under_way += 1;
            key.place = Place::UnderWay;
            let source = key.source.clone();
            self.look(id, source);
        } else {
            key.place = Place::Queued;
            queue.waiting.push_back(id.clone());
        }
    }

    fn look(&self, id: &KeyId, source: SourceId) {
        let (looker, events) = (Arc::clone(&self.looker), self.events.clone());
        let (id, planned) = (id.clone(), self.planned(id));
        self.tracker.spawn(async move {
            let look = AssertUnwindSafe(looker.look(&id, planned)).catch_unwind();
            let looked = look.await.unwrap_or_else(|_| {
                // The panic hook has logged where.
                tracing::error!(
                    key = %id,
                    "a look at the key panicked; this is a defect, please report it"
                );
                Looked {
                    again_in: Some(AFTER_A_PANIC),
                    well: false,
                }
            });
            let _ = events.send(Event::Ended(id, source, looked));
        });
    }

    fn planned(&self, id: &KeyId) -> Option<DateTime<Utc>> {
        let now = Utc::now();
        match &self.keys.get(id)?.check {
            Check::Cron(line) => cron::next_after(line, now),
            Check::Every(period) => {
                let ring = self.rings.get(period)?;
                let index = ring.keys().binary_search(id).ok()?;
                Some(now + ring.until(index))
            }
        }
    }

    fn ended(&mut self, id: &KeyId, source: &SourceId, looked: Looked) {
        if let Some(key) = self.keys.get_mut(id) {
            let first = !std::mem::replace(&mut key.seen, true);
            key.place = Place::Idle;
            key.well = looked.well;
            key.not_before = Instant::now() + looked.again_in.unwrap_or_default();
            if looked.again_in.is_some() {
                self.later.push(Reverse((key.not_before, id.clone())));
            }
            if !key.scheduled {
                self.keys.remove(id);
            }
            if first {
                self.count_unseen();
            }
        }
        self.go_on(source);
    }

    /// Gives the place that came free to the next in the queue.
    fn go_on(&mut self, source: &SourceId) {
        let Some(queue) = self.queues.get_mut(source) else {
            return;
        };
        queue.under_way = queue.under_way.saturating_sub(1);
        if self.stop.is_cancelled() {
            return;
        }
        while let Some(id) = self
            .queues
            .get_mut(source)
            .and_then(|queue| queue.waiting.pop_front())
        {
            if let Some(key) = self.keys.get_mut(&id)
                && key.place == Place::Queued
            {
                key.place = Place::Idle;
                self.wake(&id);
                return;
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
