//! Comparisons of saved times with the present time.
//!
//! A clock can be wrong for a while: a time saved then may lie hours or years in the future once the clock is
//! right. Such a time counts as long past, so that work that waits for it is done now and not in a year.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The accepted difference between the clocks of several processes.
const SLACK: TimeDelta = TimeDelta::seconds(60);

/// Returns `true` if a time that was written down when it was reached lies ahead now: the clock was set back since.
pub fn is_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at - now > SLACK
}

/// Returns `true` if a wait that began at `since` is over.
pub fn is_over(since: DateTime<Utc>, wait: Duration, now: DateTime<Utc>) -> bool {
    let past = (now - since).to_std();
    past.is_ok_and(|past| past >= wait) || is_ahead(since, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_over_in_its_time_and_after_the_clock_was_set_back() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let day = Duration::from_secs(24 * 60 * 60);
        for (seconds, over) in [
            (0, false),
            (-86_399, false),
            (-86_400, true),
            (30, false),
            (61, true),
            (365 * 86_400, true),
        ] {
            let since = now + TimeDelta::seconds(seconds);
            assert_eq!(is_over(since, day, now), over, "{seconds}");
        }
        assert!(is_over(DateTime::<Utc>::MAX_UTC, Duration::MAX, now));
        assert!(!is_over(DateTime::<Utc>::MIN_UTC, Duration::MAX, now));
    }
}
