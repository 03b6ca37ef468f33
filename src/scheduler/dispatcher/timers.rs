//! The moments at which keys are woken: the interval wheels and the cron trigger that a schedule asks for, and the times at which keys are due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{Dispatcher, Place, SPREAD_EACH, SPREAD_MOST};
use crate::config::{Check, CronLine};
use crate::model::KeyId;
use crate::scheduler::cron::{self, CronTrigger};
use crate::scheduler::wheel::IntervalWheel;

impl Dispatcher {
    /// Wakes these keys at random moments instead of all at once.
    pub(super) fn spread(&mut self, keys: Vec<KeyId>) {
        let others = u32::try_from(keys.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let over = SPREAD_EACH.saturating_mul(others).min(SPREAD_MOST);
        let now = Instant::now();
        for key in keys {
            self.arm(&key, now + over.mul_f64(rand::random::<f64>()));
        }
    }

    pub(super) fn arm(&mut self, id: &KeyId, at: Instant) {
        if let Some(key) = self.keys.get_mut(id) {
            key.wake_at = Some(at);
            self.later.push(Reverse((at, id.clone())));
        }
    }

    pub(super) fn wake_later(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, _))) = self.later.peek()
            && *at <= now
        {
            if let Some(Reverse((at, id))) = self.later.pop()
                && self
                    .keys
                    .get(&id)
                    .is_some_and(|key| key.wake_at == Some(at))
            {
                self.wake(&id);
            }
        }
    }

    /// Updates the interval wheels. A wheel whose keys stay the same goes on turning. If they change, keys
    /// move to other slots, even past the hand; [`settle_in`](Self::settle_in) makes up for that.
    pub(super) fn turn_rings(&mut self) {
        let mut wanted: BTreeMap<Duration, Vec<KeyId>> = BTreeMap::new();
        for (id, key) in &self.keys {
            if let Check::Every(period) = key.check
                && key.scheduled
            {
                wanted.entry(period).or_default().push(id.clone());
            }
        }
        self.wheels.retain(|period, _| wanted.contains_key(period));
        let mut moved = Vec::new();
        for (period, mut keys) in wanted {
            keys.sort();
            let old = self.wheels.get(&period);
            if old.is_some_and(|wheel| wheel.keys() == keys) {
                continue;
            }
            let position = old.map_or(0.0, IntervalWheel::position);
            moved.extend(keys.iter().cloned());
            let wheel = IntervalWheel::start(
                period,
                keys,
                position,
                self.events.clone(),
                &self.supervisor,
            );
            self.wheels.insert(period, wheel);
        }
        self.settle_in(&moved);
    }

    /// Corrects the next runs of keys whose slot has moved, as happens when many keys come or go at once.
    /// Between the two runs before and after the move there is a quarter of an interval at least, and one and
    /// a half at most.
    fn settle_in(&mut self, moved: &[KeyId]) {
        let now = Instant::now();
        let mut overdue = Vec::new();
        for id in moved {
            let turn = self.turn_in(id);
            let Some(key) = self.keys.get_mut(id) else {
                continue;
            };
            let (Check::Every(period), Some(looked_at), Some(turn)) =
                (&key.check, key.looked_at, turn)
            else {
                continue;
            };
            key.moved = true;
            if key.place != Place::Idle || key.wake_at.is_some() {
                continue;
            }
            let (period, turn) = (*period, now + turn);
            if now >= looked_at + period {
                overdue.push(id.clone());
            } else if turn > looked_at + period + period / 2 {
                self.arm(id, looked_at + period);
            }
        }
        self.spread(overdue);
    }

    /// Returns how long until a key is due on its wheel.
    fn turn_in(&self, id: &KeyId) -> Option<Duration> {
        let Check::Every(period) = &self.keys.get(id)?.check else {
            return None;
        };
        let wheel = self.wheels.get(period)?;
        let index = wheel.keys().binary_search(id).ok()?;
        Some(wheel.until(index))
    }

    pub(super) fn start_cron(&mut self) {
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
        lines.sort_by_cached_key(|line| (line.expression.clone(), line.timezone.clone()));
        if self.cron.as_ref().is_some_and(|cron| cron.lines() == lines) {
            return;
        }
        let old = self.cron.take();
        self.cron = (!lines.is_empty()).then(|| {
            CronTrigger::start(lines, old.as_ref(), self.events.clone(), &self.supervisor)
        });
    }

    pub(super) fn planned(&self, id: &KeyId) -> Option<DateTime<Utc>> {
        let now = Utc::now();
        match &self.keys.get(id)?.check {
            Check::Cron(line) => cron::next_after(line, now),
            Check::Every(_) => Some(now + self.turn_in(id)?),
        }
    }
}
