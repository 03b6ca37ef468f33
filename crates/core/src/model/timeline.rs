//! The timeline of a key: its state over the last 24 hours, in half hours.
//!
//! Each check marks its own half hour, and marks the half hours since the previous check with the result of that one.
//! So a [`Timeline`] is never longer than a day and costs no write of its own. A time in which a check was due and was
//! not made, because the process was down or stuck, is unknown.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of half hours in a timeline: one day.
pub const SLOTS: usize = 48;

/// The length of a slot, in seconds.
const SLOT: i64 = 30 * 60;

/// The delay of a check from which on the time since it was due counts as unknown. A restart takes less.
const LATE: TimeDelta = TimeDelta::minutes(2);

/// The bit for a time without checks; the other bits are those of [`Mark`].
const GAP: u8 = 1 << 5;

/// One character for each combination of bits.
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";

/// The result of a check, in ascending order of importance: a half hour shows the most important of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// A push was under way.
    Pending = 1,
    /// Flashback held what the source held.
    InSync = 1 << 1,
    /// The source's version was held.
    Held = 1 << 2,
    /// The source had nothing to push.
    Missing = 1 << 3,
    /// The check, or a step of it, failed.
    Failing = 1 << 4,
}

impl Mark {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::InSync,
        Self::Held,
        Self::Missing,
        Self::Failing,
    ];

    fn of_bit(bit: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| *mark as u8 == bit)
    }
}

/// The last 24 hours of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The number of the newest half hour, counted from 1970.
    newest: i64,
    /// The bits of each half hour, at its number modulo [`SLOTS`].
    slots: [u8; SLOTS],
    /// The mark of the last check; zero before the first.
    last: u8,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            newest: 0,
            slots: [0; SLOTS],
            last: 0,
        }
    }
}

impl Timeline {
    /// Adds a check at `now` with the result `mark`. `checked_at` is the time of the previous check, and `next_at` the
    /// time at which this one was due.
    pub fn add(
        &mut self,
        checked_at: Option<DateTime<Utc>>,
        next_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        mark: Mark,
    ) {
        self.extend(checked_at, next_at, now);
        self.last = mark as u8;
        self.set(number(now), number(now), self.last);
    }

    /// Returns the half hours of the day that ends with `now`, oldest first. `None` is a half hour that is partly
    /// unknown and in which no problem was found.
    pub fn until(
        &self,
        checked_at: Option<DateTime<Utc>>,
        next_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> [Option<Mark>; SLOTS] {
        let mut timeline = self.clone();
        timeline.extend(checked_at, next_at, now);
        timeline.go_to(number(now));
        let oldest = timeline.newest - SLOTS as i64 + 1;
        std::array::from_fn(|index| shown(timeline.slots[place(oldest + index as i64)]))
    }

    /// Returns the time at which the half hour with this index in [`until`](Self::until) begins.
    pub fn begin(index: usize, now: DateTime<Utc>) -> DateTime<Utc> {
        let before = (SLOTS - 1).saturating_sub(index) as i64;
        DateTime::from_timestamp((number(now) - before) * SLOT, 0).unwrap_or(now)
    }

    /// Marks the time since the last check: its result held until the next check was due, and the time after that is
    /// unknown.
    fn extend(
        &mut self,
        checked_at: Option<DateTime<Utc>>,
        next_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) {
        let Some(checked_at) = checked_at.filter(|at| *at <= now && self.last != 0) else {
            return;
        };
        let due = next_at.unwrap_or(checked_at).max(checked_at) + LATE;
        self.set(number(checked_at), number(due.min(now)), self.last);
        if due < now {
            self.set(number(due), number(now), GAP);
        }
    }

    fn set(&mut self, from: i64, to: i64, bits: u8) {
        if to > self.newest || self.newest - to >= SLOTS as i64 {
            self.go_to(to);
        }
        for slot in from.max(self.newest - SLOTS as i64 + 1)..=to {
            self.slots[place(slot)] |= bits;
        }
    }

    /// Makes this half hour the newest one, also where the clock was set back.
    fn go_to(&mut self, slot: i64) {
        let (from, to) = (self.newest.min(slot) + 1, self.newest.max(slot));
        for passed in from.max(to - SLOTS as i64 + 1)..=to {
            self.slots[place(passed)] = 0;
        }
        self.newest = slot;
    }
}

fn number(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(SLOT)
}

fn place(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

fn shown(bits: u8) -> Option<Mark> {
    let mark = Mark::ALL
        .into_iter()
        .rev()
        .find(|mark| bits & *mark as u8 != 0);
    mark.filter(|mark| *mark > Mark::InSync || bits & GAP == 0)
}

/// Formats the timeline as the state keeps it: the number of the newest half hour, the mark of the last check, and a
/// digit for each half hour, oldest first.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |bits: u8| char::from(DIGITS[usize::from(bits) % DIGITS.len()]);
        write!(f, "{} {} ", self.newest, digit(self.last))?;
        let oldest = self.newest - SLOTS as i64 + 1;
        (oldest..=self.newest).try_for_each(|slot| write!(f, "{}", digit(self.slots[place(slot)])))
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeline({self})")
    }
}

impl Serialize for Timeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads an invalid text as a timeline that is unknown throughout, so that the rest of a record can still be read.
impl<'de> Deserialize<'de> for Timeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::parse(&text).unwrap_or_default())
    }
}

impl Timeline {
    /// Reads what [`Display`](fmt::Display) writes.
    fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| {
            let at = DIGITS.iter().position(|digit| *digit == byte)?;
            u8::try_from(at).ok()
        };
        let mut words = text.split(' ');
        let newest: i64 = words.next()?.parse().ok()?;
        let last = digit(*words.next()?.as_bytes().first()?)?;
        let digits = words.next()?.as_bytes();
        let in_time = (0..=i64::from(u32::MAX)).contains(&newest);
        if digits.len() != SLOTS || !in_time || (last != 0 && Mark::of_bit(last).is_none()) {
            return None;
        }
        let mut slots = [0; SLOTS];
        for (slot, byte) in (newest - SLOTS as i64 + 1..).zip(digits) {
            slots[place(slot)] = digit(*byte)?;
        }
        Some(Self {
            newest,
            slots,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_014_400;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NOON + minute * 60, 0).expect("a time")
    }

    /// A key that is checked at given minutes.
    struct Key {
        timeline: Timeline,
        checked: Option<DateTime<Utc>>,
        next: Option<DateTime<Utc>>,
    }

    impl Key {
        fn new() -> Self {
            Self {
                timeline: Timeline::default(),
                checked: None,
                next: None,
            }
        }

        fn add(&mut self, minute: i64, every: i64, mark: Mark) {
            let now = at(minute);
            self.timeline.add(self.checked, self.next, now, mark);
            (self.checked, self.next) = (Some(now), Some(at(minute + every)));
        }

        /// Returns the last `count` half hours before this minute, as letters.
        fn seen(&self, minute: i64, count: usize) -> String {
            let slots = self.timeline.until(self.checked, self.next, at(minute));
            let letter = |mark: &Option<Mark>| match mark {
                None => '.',
                Some(Mark::Pending) => 'p',
                Some(Mark::InSync) => 's',
                Some(Mark::Held) => 'h',
                Some(Mark::Missing) => 'm',
                Some(Mark::Failing) => 'F',
            };
            slots[SLOTS - count..].iter().map(letter).collect()
        }
    }

    #[test]
    fn a_day_without_checks_is_unknown() {
        assert_eq!(Key::new().seen(0, SLOTS), ".".repeat(SLOTS));
        let mut key = Key::new();
        key.add(0, 1, Mark::InSync);
        assert_eq!(
            key.seen(1, 4),
            "...s",
            "and so is what was before the first"
        );
    }

    #[test]
    fn a_check_counts_until_shortly_after_the_next_is_due() {
        let mut key = Key::new();
        key.add(0, 180, Mark::InSync);
        assert_eq!(key.seen(100, 6), "..ssss");
        assert_eq!(key.seen(181, 8), ".sssssss", "two minutes late is not late");
        assert_eq!(key.seen(250, 10), ".ssssss...", "then nobody knows");
        key.add(250, 180, Mark::Failing);
        assert_eq!(
            key.seen(250, 10),
            ".ssssss..F",
            "nor does a later look tell"
        );
    }

    #[test]
    fn the_most_severe_mark_of_each_half_hour_is_shown() {
        let mut key = Key::new();
        for mark in [Mark::InSync, Mark::Pending, Mark::InSync] {
            key.add(0, 1, mark);
        }
        assert_eq!(
            key.seen(1, 1),
            "s",
            "a push on its way is nothing to worry about"
        );
        key.add(1, 1, Mark::Held);
        assert_eq!(key.seen(1, 1), "h");
        key.add(2, 1, Mark::Failing);
        key.add(3, 1, Mark::Missing);
        assert_eq!(key.seen(3, 1), "F");
        key.add(31, 1, Mark::InSync);
        assert_eq!(key.seen(31, 2), "F.", "nobody looked from 04 to 31");
        let mut key = Key::new();
        key.add(0, 1, Mark::InSync);
        key.add(20, 1, Mark::InSync);
        assert_eq!(
            key.seen(20, 1),
            ".",
            "and that shows within half an hour too"
        );
    }

    #[test]
    fn timeline_keeps_one_day() {
        let mut key = Key::new();
        key.add(0, 1, Mark::Failing);
        for half_hour in 0..200 {
            key.add(half_hour * 30 + 1, 30, Mark::InSync);
        }
        assert_eq!(key.seen(199 * 30 + 1, SLOTS), "s".repeat(SLOTS));
        assert_eq!(key.seen(400 * 30, SLOTS), ".".repeat(SLOTS));
        key.add(10_000_000, 1, Mark::Held);
        assert_eq!(key.seen(10_000_000, 3), "..h", "years later");
    }

    #[test]
    fn a_clock_that_was_set_back_confuses_it_for_a_day_at_most() {
        let mut key = Key::new();
        key.add(600, 1, Mark::Failing);
        key.add(0, 1, Mark::InSync);
        assert_eq!(key.seen(0, 2), ".s");
        key.add(-10_000, 1, Mark::InSync);
        assert_eq!(key.seen(-10_000, 2), ".s");
        assert_eq!(key.seen(600, 1), ".");
    }

    #[test]
    fn timeline_round_trips_through_text_and_broken_text_is_rejected() {
        let mut key = Key::new();
        key.add(0, 30, Mark::InSync);
        key.add(95, 30, Mark::Failing);
        let text = key.timeline.to_string();
        assert_eq!(Timeline::parse(&text), Some(key.timeline), "{text}");
        assert!(text.ends_with("02ywM"), "{text}");
        for broken in [
            "",
            "x",
            "1 2",
            "1 2 333",
            "99999999999999999999 0 0",
            "-5 0 0",
        ] {
            assert_eq!(Timeline::parse(broken), None, "{broken}");
        }
        let foreign = format!("5 3 {}", "0".repeat(SLOTS));
        assert_eq!(Timeline::parse(&foreign), None);
    }

    #[test]
    fn begins_are_whole_half_hours() {
        let now = at(17);
        assert_eq!(Timeline::begin(SLOTS - 1, now), at(0));
        assert_eq!(Timeline::begin(0, now), at(-47 * 30));
    }
}
