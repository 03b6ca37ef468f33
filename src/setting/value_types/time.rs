//! Intervals, cron lines and time zones.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;

use crate::occurrence::{Schedule, is_timezone, timezones};
use crate::setting::declaration::{Shape, ValueType};
use crate::setting::input::Input;
use crate::setting::suggest::suggest;

/// The shortest interval between two checks of a key.
const SHORTEST_CHECK: Duration = Duration::from_secs(1);

/// Longer than anything sensible, and short enough to be added to any clock's time.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A length of time above zero.
pub const INTERVAL: ValueType<Duration> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["500ms", "30s", "5m", "24h"] })),
    read: |input| {
        let text = input.text("30s")?;
        let Ok(interval) = humantime::parse_duration(text) else {
            not_an_interval(input);
            return None;
        };
        within(
            input,
            interval,
            Duration::from_nanos(1),
            "must be longer than nothing",
        )
    },
};

/// A length of time, which may be none.
pub const SPAN: ValueType<Duration> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["0s", "30s", "5m"] })),
    read: |input| {
        let text = input.text("30s")?;
        let Ok(span) = humantime::parse_duration(text) else {
            not_an_interval(input);
            return None;
        };
        within(input, span, Duration::ZERO, "")
    },
};

/// An interval, or `off`.
pub const WATCH: ValueType<Option<Duration>> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["30s", "5m", "off"] })),
    read: |input| {
        let text = input.text("30s")?;
        if text == "off" {
            return Some(None);
        }
        let Ok(interval) = humantime::parse_duration(text) else {
            input
                .wrong("is neither a length of time nor `off`")
                .help("write an interval such as `30s`, or `off` to not do it");
            return None;
        };
        within(input, interval, SHORTEST_CHECK, "must be 1s or longer").map(Some)
    },
};

/// The value of `check`. The time zone of a cron line is a setting of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Every so often.
    Every(Duration),
    /// At the times of a cron line: six fields, seconds first.
    Cron(String),
}

/// An interval or a cron line, distinguished by their form.
pub const RHYTHM: ValueType<Rhythm> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["30s", "5m", "*/5 * * * *", "0 30 4 * * MON-FRI"] }),
    ),
    read: |input| {
        let text = input.text("30s")?;
        if let Ok(interval) = humantime::parse_duration(text) {
            let short = "must be 1s or longer";
            return within(input, interval, SHORTEST_CHECK, short).map(Rhythm::Every);
        }
        let fields: Vec<_> = text.split_whitespace().collect();
        if fields.len() < 4 && !text.contains(['*', '@']) {
            input.wrong("is neither an interval nor a cron line").help(
                "write an interval such as `30s`, `5m` or `1h 30m`, or a cron line such as `*/5 * * * *`",
            );
            return None;
        }
        cron(input, &fields).map(Rhythm::Cron)
    },
};

/// A name of the time zone database.
pub const TIMEZONE: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["UTC", "Europe/Berlin"] })),
    read: |input| {
        let text = input.text("UTC")?;
        if !is_timezone(text) {
            let names = timezones();
            let near = suggest(text, names.iter().map(String::as_str));
            let general =
                "write a name of the time zone database, such as `UTC` or `Europe/Berlin`";
            let help = near.map_or_else(
                || general.to_owned(),
                |zone| format!("did you mean `{zone}`?"),
            );
            input.wrong("is no time zone").help(help);
            return None;
        }
        Some(text.to_owned())
    },
};

/// Reports a text that is no length of time.
pub fn not_an_interval(input: &mut Input<'_>) {
    input
        .wrong("is not a length of time")
        .help("write numbers with units, such as `500ms`, `30s`, `5m`, `24h` or `1h 30m`");
}

/// Returns the length of time unless it is shorter than `shortest` or too long for any setting.
pub fn within(
    input: &mut Input<'_>,
    interval: Duration,
    shortest: Duration,
    too_short: &str,
) -> Option<Duration> {
    if interval < shortest {
        input
            .wrong(too_short)
            .help("write an interval such as `5s`, `30s` or `5m`");
        return None;
    }
    if interval > LONGEST {
        input
            .wrong("is too long")
            .help("ten years (`3650d`) is the longest");
        return None;
    }
    Some(interval)
}

fn cron(input: &mut Input<'_>, fields: &[&str]) -> Option<String> {
    const FIELDS: &str = "write five fields (minute, hour, day of month, month, day of week), or six with seconds first, such as `*/5 * * * *`";
    let line = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        _ => {
            input
                .wrong("is not a cron line of five or six fields")
                .help(FIELDS);
            return None;
        }
    };
    let Some(schedule) = Schedule::parse(&line, "UTC") else {
        input.wrong("is not a cron line").help(FIELDS);
        return None;
    };
    let any = |field: &str| matches!(field, "*" | "?");
    let mut six = line.split(' ').skip(3);
    let (day_of_month, day_of_week) = (six.next(), six.nth(1));
    if day_of_month.is_some_and(|field| !any(field)) && day_of_week.is_some_and(|field| !any(field))
    {
        input
            .wrong("names both days of the month and days of the week")
            .help("programs disagree on what that means: put `*` in one of the two fields");
        return None;
    }
    if schedule.next_after(Utc::now()).is_none() {
        input
            .wrong("never comes: there is no such date")
            .help("check the day against the month, such as `0 0 28 2 *`");
        return None;
    }
    Some(line)
}
