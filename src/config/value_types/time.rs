//! Intervals, cron lines and time zones.

use std::time::Duration;

use chrono::Utc;
use chrono_tz::Tz;
use serde_json::json;

use crate::config::setting::{Form, Look, Shape, suggest};
use crate::occurrence::Schedule;
use crate::state::membership::LONGEST_LEASE;

/// The shortest interval between two looks at a key.
const SHORTEST_CHECK: Duration = Duration::from_secs(1);

/// It is renewed every second, and a renewal may take a moment.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);

/// Longer than anything sensible, and short enough to be added to any clock's time.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A length of time above zero.
pub(in crate::config) const INTERVAL: Form<Duration> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["500ms", "30s", "5m", "24h"] })),
    read: |look| {
        let text = look.text("30s")?;
        let Ok(interval) = humantime::parse_duration(text) else {
            not_an_interval(look);
            return None;
        };
        within(
            look,
            interval,
            Duration::from_nanos(1),
            "must be longer than nothing",
        )
    },
};

/// A length of time, which may be none.
pub(in crate::config) const SPAN: Form<Duration> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["0s", "30s", "5m"] })),
    read: |look| {
        let text = look.text("30s")?;
        let Ok(span) = humantime::parse_duration(text) else {
            not_an_interval(look);
            return None;
        };
        within(look, span, Duration::ZERO, "")
    },
};

/// An interval, or `off`.
pub(in crate::config) const WATCH: Form<Option<Duration>> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["30s", "5m", "off"] })),
    read: |look| {
        let text = look.text("30s")?;
        if text == "off" {
            return Some(None);
        }
        let Ok(interval) = humantime::parse_duration(text) else {
            look.wrong("is neither a length of time nor `off`")
                .help("write an interval such as `30s`, or `off` to not do it");
            return None;
        };
        within(look, interval, SHORTEST_CHECK, "must be 1s or longer").map(Some)
    },
};

/// How long a lease is.
pub(in crate::config) const LEASE: Form<Duration> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["15s", "30s"] })),
    read: |look| {
        let text = look.text("15s")?;
        let Ok(lease) = humantime::parse_duration(text) else {
            not_an_interval(look);
            return None;
        };
        if lease > LONGEST_LEASE {
            look.wrong("must be 5m or shorter").help(
                "write a lease such as `15s`: that long the keys of a replica that died wait for another",
            );
            return None;
        }
        within(look, lease, SHORTEST_LEASE, "must be 3s or longer")
    },
};

/// What `check` says: the time zone of a cron line stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Rhythm {
    Every(Duration),
    /// Six fields, seconds first.
    Cron(String),
}

/// An interval or a cron line, told apart by what they look like.
pub(in crate::config) const RHYTHM: Form<Rhythm> = Form {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["30s", "5m", "*/5 * * * *", "0 30 4 * * MON-FRI"] }),
    ),
    read: |look| {
        let text = look.text("30s")?;
        if let Ok(interval) = humantime::parse_duration(text) {
            let short = "must be 1s or longer";
            return within(look, interval, SHORTEST_CHECK, short).map(Rhythm::Every);
        }
        let fields: Vec<_> = text.split_whitespace().collect();
        if fields.len() < 4 && !text.contains(['*', '@']) {
            look.wrong("is neither an interval nor a cron line").help(
                "write an interval such as `30s`, `5m` or `1h 30m`, or a cron line such as `*/5 * * * *`",
            );
            return None;
        }
        cron(look, &fields).map(Rhythm::Cron)
    },
};

/// A name of the time zone database.
pub(in crate::config) const TIMEZONE: Form<Tz> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "examples": ["UTC", "Europe/Berlin"] })),
    read: |look| {
        let text = look.text("UTC")?;
        let zone = text.parse::<Tz>();
        if zone.is_err() {
            let near = suggest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
            let general =
                "write a name of the time zone database, such as `UTC` or `Europe/Berlin`";
            let help = near.map_or_else(
                || general.to_owned(),
                |zone| format!("did you mean `{zone}`?"),
            );
            look.wrong("is no time zone").help(help);
        }
        zone.ok()
    },
};

fn not_an_interval(look: &mut Look<'_>) {
    look.wrong("is not a length of time")
        .help("write numbers with units, such as `500ms`, `30s`, `5m`, `24h` or `1h 30m`");
}

fn within(
    look: &mut Look<'_>,
    interval: Duration,
    shortest: Duration,
    too_short: &str,
) -> Option<Duration> {
    if interval < shortest {
        look.wrong(too_short)
            .help("write an interval such as `5s`, `30s` or `5m`");
        return None;
    }
    if interval > LONGEST {
        look.wrong("is too long")
            .help("ten years (`3650d`) is the longest");
        return None;
    }
    Some(interval)
}

fn cron(look: &mut Look<'_>, fields: &[&str]) -> Option<String> {
    const FIELDS: &str = "write five fields (minute, hour, day of month, month, day of week), or six with seconds first, such as `*/5 * * * *`";
    let line = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        _ => {
            look.wrong("is not a cron line of five or six fields")
                .help(FIELDS);
            return None;
        }
    };
    let Some(schedule) = Schedule::parse(&line, Tz::UTC) else {
        look.wrong("is not a cron line").help(FIELDS);
        return None;
    };
    let any = |field: &str| matches!(field, "*" | "?");
    let mut six = line.split(' ').skip(3);
    let (day_of_month, day_of_week) = (six.next(), six.nth(1));
    if day_of_month.is_some_and(|field| !any(field)) && day_of_week.is_some_and(|field| !any(field))
    {
        look.wrong("names both days of the month and days of the week")
            .help("programs disagree on what that means: put `*` in one of the two fields");
        return None;
    }
    if schedule.next_after(Utc::now()).is_none() {
        look.wrong("never comes: there is no such date")
            .help("check the day against the month, such as `0 0 28 2 *`");
        return None;
    }
    Some(line)
}
