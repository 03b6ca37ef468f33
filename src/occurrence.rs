//! The times at which cron lines fire.
//!
//! Occurrences are computed on instants. Between two changes of its UTC offset a zone's clock runs evenly,
//! and croner finds the next time that a line names. This module decides what happens at a change, much as
//! Vixie cron does:
//!
//! - **A clock that is set back** shows some times twice. A line with fixed times (its seconds, minutes and
//!   hours are numbers or lists of numbers) fires the first time only. Any other line follows elapsed time
//!   and fires both times.
//! - **A clock that is set forward** skips some times. A line with fixed times fires once for all of those,
//!   right after the gap. Any other line goes on by the clock; if it would then be silent for longer than the
//!   gap, it fires right after the gap as well.

use chrono::{DateTime, FixedOffset, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::config::CronLine;

/// Tells whether `name` is a name of the time zone database, letter by letter.
pub fn is_timezone(name: &str) -> bool {
    TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

/// Returns the names of the time zone database.
pub fn timezones() -> Vec<String> {
    let names = jiff::tz::db().available();
    names.map(|name| name.to_string()).collect()
}

/// A time at which a cron line fires, known to be later than the time after which it was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence(DateTime<Utc>);

impl Occurrence {
    fn new(at: DateTime<Utc>, after: DateTime<Utc>) -> Option<Self> {
        (at > after).then_some(Self(at))
    }

    /// Returns the time.
    pub fn at(self) -> DateTime<Utc> {
        self.0
    }
}

/// A cron line on the clock of a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    timezone: TimeZone,
    /// `true` if seconds, minutes and hours are numbers or lists of numbers.
    set_times: bool,
}

impl Schedule {
    /// Returns when `line` fires. `None` if it is invalid.
    pub fn of(line: &CronLine) -> Option<Self> {
        Self::parse(&line.expression, &line.timezone)
    }

    /// Parses a line of six fields, seconds first, as the scheduler's cron trigger does. Returns `None` if it or the name
    /// of the time zone is invalid.
    pub fn parse(expression: &str, timezone: &str) -> Option<Self> {
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build()
            .parse(expression)
            .ok()?;
        let is_set = |field: &str| field.chars().all(|c| c.is_ascii_digit() || c == ',');
        Some(Self {
            cron,
            timezone: TimeZone::get(timezone).ok()?,
            set_times: expression.split_whitespace().take(3).all(is_set),
        })
    }

    /// Returns the first occurrence after `now`, or `None` if there is none.
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<Occurrence> {
        let at = self.search(now.timestamp(), false)?;
        Occurrence::new(DateTime::from_timestamp(at, 0)?, now)
    }

    /// Returns how far the zone's clock is ahead of UTC.
    pub fn offset(&self, at: DateTime<Utc>) -> Option<FixedOffset> {
        FixedOffset::east_opt(self.seconds_ahead(at.timestamp())?.try_into().ok()?)
    }

    /// Returns the first occurrence after `from`, or at `from` itself if `inclusive`. Times are in seconds
    /// since 1970.
    fn search(&self, mut from: i64, mut inclusive: bool) -> Option<i64> {
        loop {
            let offset = self.seconds_ahead(from)?;
            let start = DateTime::from_timestamp(from + offset, 0)?;
            let local = self.cron.find_next_occurrence(&start, inclusive).ok()?;
            let at = local.timestamp() - offset;
            let Some(change) = self.change_between(from, at) else {
                if !self.set_times || !self.is_shown_again(at + offset, at) {
                    return Some(at);
                }
                (from, inclusive) = (at, false);
                continue;
            };
            let gap = self.seconds_ahead(change)? - offset;
            let is_left_out = at < change + gap;
            if is_left_out {
                let goes_on = || {
                    self.search(change, true)
                        .filter(|next| next - change <= gap)
                };
                return match self.set_times {
                    true => Some(change),
                    false => goes_on().or(Some(change)),
                };
            }
            (from, inclusive) = (change, true);
        }
    }

    /// Returns `true` if the zone's clock has shown the local time `local` before it shows it at `at`.
    fn is_shown_again(&self, local: i64, at: i64) -> bool {
        let local = Timestamp::from_second(local).map(|local| Offset::UTC.to_datetime(local));
        let first = local.and_then(|local| self.timezone.to_ambiguous_timestamp(local).earlier());
        first.is_ok_and(|first| first.as_second() < at)
    }

    /// Returns the first time after `from`, and not after `to`, at which the offset changes.
    fn change_between(&self, from: i64, to: i64) -> Option<i64> {
        let offset = self.seconds_ahead(from)?;
        self.timezone
            .following(Timestamp::from_second(from).ok()?)
            .take_while(|change| change.timestamp().as_second() <= to)
            .find(|change| i64::from(change.offset().seconds()) != offset)
            .map(|change| change.timestamp().as_second())
    }

    /// Returns the number of seconds by which the zone's clock is ahead of UTC.
    fn seconds_ahead(&self, at: i64) -> Option<i64> {
        let at = Timestamp::from_second(at).ok()?;
        Some(self.timezone.to_offset(at).seconds().into())
    }
}

#[cfg(test)]
mod tests;
