//! Keys with the same interval, spread over it.
//!
//! Ten keys every 30 s are one reconcile run every 3 s, not ten at once. The wheel turns once per interval,
//! whatever the number of keys. A small delay is caught up, or a wheel with short steps would lose a little
//! at each and turn too slowly. After a stall the wheel goes on at its pace instead of catching up in a
//! burst, so a missed turn is made up once.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::event::Event;
use crate::failpoint;
use crate::model::KeyId;
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;

/// The shortest time between two slots: a timer that fires more often costs more than it spreads.
const FINEST: Duration = Duration::from_millis(20);

/// The most slots of a wheel. With ten thousand keys, a process that is woken for each few of them spends most of its
/// time on that.
const MOST_SLOTS: u32 = 300;

/// A longer delay is a stall. A shorter one is caught up: the burst is no larger than what a source's call
/// budget lets through at once.
const STALL: Duration = Duration::from_millis(100);

/// A turning wheel; it stops when dropped.
pub struct IntervalWheel {
    keys: Arc<[KeyId]>,
    slots: usize,
    step: Duration,
    hand: Arc<Mutex<Hand>>,
    task: JoinHandle<()>,
}

/// The position of a wheel.
#[derive(Clone, Copy, Debug)]
struct Hand {
    /// The slot that is due next …
    slot: usize,
    /// … and when.
    at: Instant,
}

impl IntervalWheel {
    /// Starts a wheel at `position`, a fraction of a turn in `0.0..1.0`. A wheel that replaces another goes
    /// on from that one's position, also between two slots, so that frequent reloads starve no key.
    pub fn start(
        period: Duration,
        keys: Vec<KeyId>,
        position: f64,
        events: mpsc::UnboundedSender<Event>,
        supervisor: &Supervisor,
    ) -> Self {
        let finest = FINEST.max(period / MOST_SLOTS);
        let most = period.div_duration_f64(finest) as usize;
        let slots = keys.len().clamp(1, most.max(1));
        let step = period.div_f64(slots as f64);
        let position = position * slots as f64;
        let slot = (position as usize).min(slots - 1);
        let gone = (position - slot as f64).clamp(0.0, 1.0);
        let at = Instant::now() + step.mul_f64(1.0 - gone);
        let hand = Arc::new(Mutex::new(Hand { slot, at }));
        let keys: Arc<[KeyId]> = keys.into();
        let turning = Turning {
            hand: Arc::clone(&hand),
            step,
            keys: Arc::clone(&keys),
            slots,
            events,
        };
        let supervisor = supervisor.clone();
        let task = tokio::spawn(async move {
            supervisor
                .keep(Task::IntervalWheel, turning, |turning| {
                    turning.turn().boxed()
                })
                .await;
        });
        Self {
            keys,
            slots,
            step,
            hand,
            task,
        }
    }

    /// Returns the keys on the wheel.
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// Returns the position of the wheel as a fraction of a turn.
    pub fn position(&self) -> f64 {
        let hand = *self.hand.lock();
        let left = hand.at.saturating_duration_since(Instant::now());
        // Stay short of the next slot: one that is due this moment has not fired yet.
        let gone = 1.0 - left.div_duration_f64(self.step).clamp(1e-9, 1.0);
        (hand.slot as f64 + gone) / self.slots as f64
    }

    /// Returns how long until the key at `index` is due.
    pub fn until(&self, index: usize) -> Duration {
        let slot = slot_of(index, self.keys.len(), self.slots);
        let hand = *self.hand.lock();
        let steps = (slot + self.slots - hand.slot) % self.slots;
        let left = hand.at.saturating_duration_since(Instant::now());
        left + self.step * u32::try_from(steps).unwrap_or(u32::MAX)
    }
}

/// The task that turns a wheel.
struct Turning {
    hand: Arc<Mutex<Hand>>,
    step: Duration,
    keys: Arc<[KeyId]>,
    slots: usize,
    events: mpsc::UnboundedSender<Event>,
}

impl Turning {
    /// Turns until the dispatcher is gone.
    async fn turn(&self) {
        let mut ticks = interval_at(self.hand.lock().at, self.step);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (slot, next) = self.step();
            ticks.reset_at(next);
            let due = self.keys[keys_of(slot, self.keys.len(), self.slots)].to_vec();
            if self.events.send(Event::Due(due)).is_err() {
                return;
            }
            failpoint::reach("ring_turned");
        }
    }

    /// Advances the hand. Returns the slot that is due, and the time of the next one.
    fn step(&self) -> (usize, Instant) {
        let (mut hand, now) = (self.hand.lock(), Instant::now());
        let slot = hand.slot;
        let stalled = now.saturating_duration_since(hand.at) > STALL;
        hand.slot = (slot + 1) % self.slots;
        hand.at = if stalled { now } else { hand.at } + self.step;
        (slot, hand.at)
    }
}

impl Drop for IntervalWheel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn slot_of(index: usize, keys: usize, slots: usize) -> usize {
    index * slots / keys.max(1)
}

/// Returns the indices of the keys in a slot.
fn keys_of(slot: usize, keys: usize, slots: usize) -> Range<usize> {
    let first_of = |slot: usize| (slot * keys).div_ceil(slots);
    first_of(slot)..first_of(slot + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    fn keys(count: usize) -> Vec<KeyId> {
        (0..count)
            .map(|index| KeyId::new(format!("k{index}")))
            .collect()
    }

    /// Returns the times at which keys come due within `window`.
    async fn turns(ring_of: usize, period: Duration, window: Duration) -> Vec<(Duration, KeyId)> {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let start = Instant::now();
        let _ring =
            IntervalWheel::start(period, keys(ring_of), 0.0, events, &Supervisor::default());
        let mut seen = Vec::new();
        while let Ok(Some(Event::Due(due))) =
            tokio::time::timeout_at(start + window, inbox.recv()).await
        {
            seen.extend(due.into_iter().map(|key| (start.elapsed(), key)));
        }
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn ten_keys_at_thirty_seconds_are_three_seconds_apart() {
        let period = Duration::from_secs(30);
        let seen = turns(10, period, period + Duration::from_millis(1)).await;
        assert_eq!(seen.len(), 10);
        for pair in seen.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, Duration::from_secs(3));
        }
    }

    #[test]
    fn each_key_is_in_its_slot() {
        for (keys, slots) in [(0, 1), (1, 1), (7, 3), (7, 7), (10, 4), (1_000, 200)] {
            let mut seen = 0;
            for slot in 0..slots {
                for index in keys_of(slot, keys, slots) {
                    assert_eq!(slot_of(index, keys, slots), slot);
                    assert_eq!(index, seen);
                    seen += 1;
                }
            }
            assert_eq!(seen, keys);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn more_keys_than_slots_are_each_due_once_per_period() {
        let period = Duration::from_secs(1);
        let seen = turns(1_000, period, period * 3 + Duration::from_millis(1)).await;
        let mut count = HashMap::new();
        for (_, key) in seen {
            *count.entry(key).or_insert(0) += 1;
        }
        assert_eq!(count.len(), 1_000);
        assert!(count.values().all(|turns| *turns == 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_turn_has_few_slots() {
        let period = Duration::from_secs(30);
        let seen = turns(10_000, period, period + Duration::from_millis(1)).await;
        let times: BTreeSet<_> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!((seen.len(), times.len()), (10_000, 300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_made_up_once() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let _ring = IntervalWheel::start(
            Duration::from_secs(1),
            keys(1),
            0.0,
            events,
            &Supervisor::default(),
        );
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut due = 0;
        while inbox.try_recv().is_ok() {
            due += 1;
        }
        assert_eq!(due, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn lateness_at_each_step_does_not_add_up() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let start = Instant::now();
        let _ring = IntervalWheel::start(
            Duration::from_secs(1),
            keys(100),
            0.0,
            events,
            &Supervisor::default(),
        );
        tokio::task::yield_now().await;
        let mut due = 0;
        while start.elapsed() < Duration::from_secs(10) {
            // Each step is late, as if another task had the processor for two steps.
            tokio::time::advance(Duration::from_millis(45)).await;
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            while let Ok(Event::Due(keys)) = inbox.try_recv() {
                due += keys.len();
            }
        }
        assert!((990..=1_002).contains(&due), "{due}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_it_names_is_the_wait_there_is() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let wheel = IntervalWheel::start(
            Duration::from_secs(8),
            keys(4),
            0.5,
            events,
            &Supervisor::default(),
        );
        assert!((wheel.position() - 0.5).abs() < f64::EPSILON);
        for index in [2, 3, 0, 1] {
            let until = wheel.until(index);
            let start = Instant::now();
            let Some(Event::Due(due)) = inbox.recv().await else {
                panic!("the ring turns")
            };
            assert_eq!(due, [KeyId::new(format!("k{index}"))]);
            assert_eq!(start.elapsed(), until);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeatedly_replaced_wheel_still_makes_each_key_due() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let hour = Duration::from_secs(3_600);
        let mut wheel =
            IntervalWheel::start(hour, keys(2), 0.0, events.clone(), &Supervisor::default());
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_secs(600)).await;
            wheel = IntervalWheel::start(
                hour,
                keys(2),
                wheel.position(),
                events.clone(),
                &Supervisor::default(),
            );
        }
        let mut turns = HashMap::new();
        while let Ok(Event::Due(due)) = inbox.try_recv() {
            for key in due {
                *turns.entry(key).or_insert(0) += 1;
            }
        }
        for key in keys(2) {
            assert!(
                turns.get(&key).is_some_and(|turns| *turns >= 1),
                "{turns:?}"
            );
        }
    }
}
