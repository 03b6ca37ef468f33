//! Formatting of spans of time for people.

use chrono::{DateTime, TimeDelta, Utc};

/// Formats a time in the past: `12 s ago`.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", duration(now - at))
}

/// Formats a time in the future: `in 12 s`, or `now` if it has passed.
pub fn ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at <= now {
        "now".to_owned()
    } else {
        format!("in {}", duration(at - now))
    }
}

/// Formats a length of time in the largest unit of which it has at least two.
pub fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let now = Utc::now();
        assert_eq!(ago(now - TimeDelta::seconds(5), now), "5 s ago");
        assert_eq!(ago(now - TimeDelta::minutes(3), now), "3 min ago");
        assert_eq!(ahead(now + TimeDelta::hours(5), now), "in 5 h");
        assert_eq!(ahead(now - TimeDelta::hours(5), now), "now");
    }
}
