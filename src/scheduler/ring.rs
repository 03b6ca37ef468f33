//! Keys of one interval, spread over it.
//!
//! Ten keys every 30 s are one look every 3 s, not ten at once. The ring turns once in the
//! interval, whatever the number of keys; after a stall it goes on at its pace instead of catching
//! up with a burst, so a missed turn is made up once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::dispatcher::Event;
use crate::model::KeyId;

/// Slots no closer than this: a timer that fires more often costs more than it spreads.
const FINEST: Duration = Duration::from_millis(5);

/// A turning ring; it stops when dropped.
pub struct Ring {
    keys: Vec<KeyId>,
    slots: usize,
    step: Duration,
    /// The slot whose turn comes next.
    hand: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Ring {
    /// Starts turning from `hand`, a share of the ring in `0.0..1.0`: a ring that replaces another
    /// goes on where that one was, so that frequent reloads starve no key.
    pub fn start(
        period: Duration,
        keys: Vec<KeyId>,
        hand: f64,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let finest = period.as_nanos() / FINEST.as_nanos();
        let most = usize::try_from(finest).unwrap_or(usize::MAX).max(1);
        let slots = keys.len().clamp(1, most);
        let step = period.div_f64(slots as f64);
        let first = ((hand * slots as f64) as usize).min(slots - 1);
        let hand = Arc::new(AtomicUsize::new(first));
        let mut by_slot = vec![Vec::new(); slots];
        for (index, key) in keys.iter().enumerate() {
            by_slot[slot_of(index, keys.len(), slots)].push(key.clone());
        }
        let task = tokio::spawn({
            let hand = Arc::clone(&hand);
            async move {
                let mut ticks = interval(step);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    let slot = hand.load(Ordering::Relaxed);
                    hand.store((slot + 1) % by_slot.len(), Ordering::Relaxed);
                    if events.send(Event::Due(by_slot[slot].clone())).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            keys,
            slots,
            step,
            hand,
            task,
        }
    }

    /// The keys on it.
    pub fn keys(&self) -> &[KeyId] {
        &self.keys
    }

    /// Where the hand is, as a share of the ring.
    pub fn hand(&self) -> f64 {
        self.hand.load(Ordering::Relaxed) as f64 / self.slots as f64
    }

    /// How long until the turn of the key at `index`.
    pub fn until(&self, index: usize) -> Duration {
        let slot = slot_of(index, self.keys.len(), self.slots);
        let hand = self.hand.load(Ordering::Relaxed);
        let steps = (slot + self.slots - hand) % self.slots + 1;
        self.step * u32::try_from(steps).unwrap_or(u32::MAX)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn slot_of(index: usize, keys: usize, slots: usize) -> usize {
    index * slots / keys.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::time::Instant;

    use super::*;

    fn keys(count: usize) -> Vec<KeyId> {
        (0..count)
            .map(|index| KeyId::new(format!("k{index}")))
            .collect()
    }

    /// The times at which keys come due within `window`.
    async fn turns(ring_of: usize, period: Duration, window: Duration) -> Vec<(Duration, KeyId)> {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let start = Instant::now();
        let _ring = Ring::start(period, keys(ring_of), 0.0, events);
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

    #[tokio::test(start_paused = true)]
    async fn more_keys_than_slots_still_get_one_turn_each() {
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
    async fn a_stall_is_made_up_once() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let _ring = Ring::start(Duration::from_secs(1), keys(1), 0.0, events);
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
    async fn the_wait_it_names_is_the_wait_there_is() {
        let (events, mut inbox) = mpsc::unbounded_channel();
        let ring = Ring::start(Duration::from_secs(8), keys(4), 0.5, events);
        assert!((ring.hand() - 0.5).abs() < f64::EPSILON);
        for index in [2, 3, 0, 1] {
            let until = ring.until(index);
            let start = Instant::now();
            let Some(Event::Due(due)) = inbox.recv().await else {
                panic!("the ring turns")
            };
            assert_eq!(due, [KeyId::new(format!("k{index}"))]);
            assert_eq!(start.elapsed(), until);
        }
    }
}
