//! Every zone of the database, 2024 to 2030, against an oracle of its own: around each change of an offset it walks
//! through all instants and matches the fields of the local time.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Datelike as _, TimeDelta};

use super::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

type Zone = &'static TimeZone;

static ZONES: LazyLock<Vec<TimeZone>> = LazyLock::new(|| {
    let zone = |name: String| TimeZone::get(&name).expect("a zone");
    timezones().into_iter().map(zone).collect()
});

fn zone(name: &str) -> Zone {
    let mut zones = ZONES.iter();
    zones.find(|zone| self::name(zone) == name).expect("a zone")
}

fn name(zone: &TimeZone) -> &str {
    zone.iana_name().expect("a name")
}

/// Lines of each kind, seconds first.
const LINES: &[&str] = &[
    "0 * * * * *",
    "0 */5 * * * *",
    "0 */7 * * * *",
    "0 3-59/7 * * * *",
    "0 0 * * * *",
    "0 0,20,40 * * * *",
    "0 15 1-4 * * *",
    "0 30 */2 * * *",
    "0 */15 2 * * *",
    "0 30 2 * * *",
    "0 0 0 * * *",
    "0 0,30 0,1,2,23 * * *",
    "0 0 3 * * *",
    "0 30 0 * * SUN",
    "0 15 2 * * MON-FRI",
    "0 30 23 * * SAT,7",
    "0 5 1 */2 * *",
    "0 10 2 25-31 * *",
    "0 0 1 1 * *",
    "0 30 2 L * *",
    "0 45 0 * MAR,APR,SEP-NOV *",
];

/// Lines of seconds.
const FINE_LINES: &[&str] = &[
    "* * * * * *",
    "*/10 * * * * *",
    "5,35 */2 * * * *",
    "30 59 * * * *",
    "0,30 0 2 * * *",
    "15 30 2 * * *",
];

/// A change of an offset, in seconds since 1970 and seconds ahead of UTC.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

impl Change {
    fn size(self) -> i64 {
        (self.after - self.before).abs()
    }

    fn local(self, at: i64) -> i64 {
        at + if at < self.at {
            self.before
        } else {
            self.after
        }
    }
}

fn offset(zone: Zone, at: i64) -> i64 {
    let at = Timestamp::from_second(at).expect("a time");
    zone.to_offset(at).seconds().into()
}

fn time(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at, 0).expect("a time")
}

fn instant(text: &str) -> i64 {
    text.parse::<DateTime<Utc>>().expect("a time").timestamp()
}

fn changes(zone: Zone, from: &str, to: &str) -> Vec<Change> {
    let (mut at, to) = (instant(from), instant(to));
    let mut found = Vec::new();
    while at < to {
        let (before, mut low, mut high) = (offset(zone, at), at, at + 12 * HOUR);
        if offset(zone, high) != before {
            while high - low > 1 {
                let middle = i64::midpoint(low, high);
                match offset(zone, middle) == before {
                    true => low = middle,
                    false => high = middle,
                }
            }
            let after = offset(zone, high);
            found.push(Change {
                at: high,
                before,
                after,
            });
        }
        at = high;
    }
    found
}

/// The values of a line's six fields, one bit each.
struct Fields([u64; 6]);

impl Fields {
    fn read(line: &str) -> Self {
        let bounds = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
        let mut fields = line.split(' ').zip(bounds).map(|(field, (low, high))| {
            let items = field.split(',').map(|item| bits(item, low, high));
            items.fold(0, |all, item| all | item)
        });
        Self(std::array::from_fn(|_| fields.next().expect("six fields")))
    }

    fn name(&self, local: i64) -> bool {
        let [seconds, minutes, hours, days, months, weekdays] = self.0;
        let has = |field: u64, value: i64| field >> value & 1 == 1;
        if !has(hours, local.rem_euclid(DAY) / HOUR)
            || !has(minutes, local.rem_euclid(HOUR) / MINUTE)
            || !has(seconds, local.rem_euclid(MINUTE))
        {
            return false;
        }
        let date = time(local).date_naive();
        let is_last = date.succ_opt().is_some_and(|next| next.day() == 1);
        let weekday = date.weekday().num_days_from_sunday();
        (has(days, date.day().into()) || (is_last && has(days, LAST)))
            && has(months, date.month().into())
            // Sunday has two numbers.
            && (has(weekdays, weekday.into()) || (weekday == 0 && has(weekdays, 7)))
    }
}

/// Stands for the last day of a month.
const LAST: i64 = 40;

fn bits(item: &str, low: u32, high: u32) -> u64 {
    const NAMES: [&str; 19] = [
        "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN",
        "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let number = |text: &str| match NAMES.iter().position(|name| *name == text) {
        Some(index @ 0..7) => u32::try_from(index).expect("small"),
        Some(index) => u32::try_from(index).expect("small") - 6,
        None => text.parse().expect("a number"),
    };
    if item == "L" {
        return 1 << LAST;
    }
    let (range, step) = item.split_once('/').unwrap_or((item, "1"));
    let (first, last) = match range.split_once('-') {
        _ if range == "*" => (low, high),
        Some((first, last)) => (number(first), number(last)),
        None => (number(range), number(range)),
    };
    let step = step.parse().expect("a number");
    (first..=last)
        .step_by(step)
        .fold(0, |all, one| all | 1 << one)
}

/// Returns the times that the line names around a change, by the rules in the documentation of the module.
fn expected(line: &str, change: Change, from: i64, to: i64, step: i64) -> Vec<i64> {
    let fields = Fields::read(line);
    let set_times = !line
        .split(' ')
        .take(3)
        .any(|field| field.contains(['*', '-', '/']));
    let again = change.at..change.at + (change.before - change.after);
    let shown = |at: &i64| fields.name(change.local(*at)) && !(set_times && again.contains(at));
    let goes_on_by = change.at + change.size();
    let instants = (from + 1..=to.max(goes_on_by)).filter(|at| at % step == 0);
    let mut named: Vec<i64> = instants.filter(shown).collect();
    let gap = change.at + change.before..change.at + change.after;
    let left_out = gap
        .filter(|local| local % step == 0)
        .any(|local| fields.name(local));
    let goes_on = || named.iter().any(|at| (change.at..=goes_on_by).contains(at));
    if left_out && (set_times || !goes_on()) {
        named.push(change.at);
        named.sort_unstable();
        named.dedup();
    }
    named.retain(|at| *at <= to);
    named
}

/// Asks for one occurrence after the other through a window, and from moments between them.
fn check(zone: Zone, line: &str, change: Change, reach: i64, step: i64) -> usize {
    let (from, to) = (change.at - reach, change.at + reach);
    let expected = expected(line, change, from, to, step);
    let schedule = Schedule::parse(line, name(zone)).expect("a line");
    let mut found = Vec::new();
    let mut now = time(from);
    while let Some(next) = schedule.next_after(now).map(Occurrence::at)
        && next <= time(to)
    {
        assert!(next > now, "{zone:?} `{line}`: {next} is not after {now}");
        found.push(next.timestamp());
        now = next;
    }
    let shown = |all: &[i64]| all.iter().map(|at| time(*at)).collect::<Vec<_>>();
    assert_eq!(
        shown(&found),
        shown(&expected),
        "{zone:?} `{line}` at {change:?}"
    );
    // A process that starts at any moment waits for the same ones.
    for moment in 0..8 {
        let second = from + 2 * reach * moment / 8;
        let now = time(second) + TimeDelta::milliseconds(500);
        let next = schedule.next_after(now).map(Occurrence::at);
        assert!(
            next.is_some_and(|next| next > now),
            "{zone:?} `{line}` after {now}"
        );
        match expected.iter().find(|at| **at > second) {
            Some(at) => assert_eq!(next, Some(time(*at)), "{zone:?} `{line}` after {now}"),
            None => assert!(next > Some(time(to)), "{zone:?} `{line}` after {now}"),
        }
    }
    found.len()
}

/// Every change of every zone from the one time to the other.
fn all_changes(from: &str, to: &str) -> Vec<(Zone, Change)> {
    let of = |zone: Zone| {
        let changes = changes(zone, from, to).into_iter();
        changes.map(move |change| (zone, change))
    };
    ZONES.iter().flat_map(of).collect()
}

/// One of each kind: which times a line names depends on what the local clock shows, and on nothing else.
fn distinct(all: &[(Zone, Change)]) -> Vec<(Zone, Change)> {
    let shown = |change: &Change| (change.local(change.at - 1), change.after - change.before);
    let by_clock: BTreeMap<_, _> = all.iter().map(|one| (shown(&one.1), *one)).collect();
    by_clock.into_values().collect()
}

#[test]
fn no_firing_is_lost_or_doubled_around_any_change_of_any_zone() {
    let all = all_changes("2024-01-01T00:00:00Z", "2031-01-01T00:00:00Z");
    let gaps = all
        .iter()
        .filter(|(_, change)| change.after > change.before);
    let gaps = gaps.count();
    assert!(gaps > 1_000 && all.len() - gaps > 1_000, "{gaps}");
    for (zone, change) in &all {
        let line = "0 0,30 0,1,2,3,4,22,23 * * *";
        check(zone, line, *change, change.size() + 10 * MINUTE, MINUTE);
    }
    let mut firings = vec![0; LINES.len()];
    for (zone, change) in distinct(&all) {
        for (line, firings) in LINES.iter().zip(&mut firings) {
            let hours = if line.ends_with("* * * *") { 1 } else { 6 };
            *firings += check(zone, line, change, change.size() + hours * HOUR, MINUTE);
        }
    }
    assert!(firings.iter().all(|firings| *firings > 0), "{firings:?}");
}

#[test]
fn lines_of_seconds_fire_through_a_change() {
    let all = all_changes("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    for (zone, change) in distinct(&all) {
        for line in FINE_LINES {
            check(zone, line, change, 150, 1);
        }
    }
}

/// Days that were left out, and days that came twice.
#[test]
fn a_change_may_be_of_any_size() {
    let table = [
        (zone("Pacific/Apia"), "2011-12-30T09:00:00Z", DAY),
        (zone("Pacific/Kwajalein"), "1993-08-21T09:00:00Z", DAY),
        (zone("Pacific/Enderbury"), "1995-01-01T09:00:00Z", DAY),
        (zone("Antarctica/Troll"), "2025-03-30T01:00:00Z", 2 * HOUR),
        (
            zone("Australia/Lord_Howe"),
            "2025-04-05T15:00:00Z",
            HOUR / 2,
        ),
        (zone("Asia/Pyongyang"), "2018-05-04T15:00:00Z", HOUR / 2),
        (zone("Asia/Kathmandu"), "1985-12-31T18:30:00Z", HOUR / 4),
        (
            zone("Africa/Monrovia"),
            "1972-01-07T00:44:30Z",
            44 * MINUTE + 30,
        ),
        (zone("America/Juneau"), "1867-10-18T00:00:00Z", DAY),
    ];
    for (zone, near, size) in table {
        let near = time(instant(near));
        let (from, to) = (near - TimeDelta::days(2), near + TimeDelta::days(2));
        let found = changes(zone, &from.to_rfc3339(), &to.to_rfc3339());
        let [change] = *found else {
            panic!("{zone:?}: {found:?}")
        };
        assert_eq!(change.size(), size, "{zone:?}");
        for line in LINES {
            check(zone, line, change, size + 27 * HOUR, 1);
        }
    }
}

#[test]
fn set_times_come_once_a_day_for_years() {
    for zone in [
        zone("Europe/Berlin"),
        zone("America/Havana"),
        zone("Africa/Casablanca"),
        zone("Asia/Beirut"),
    ] {
        for line in ["0 0 0 * * *", "0 30 0 * * *", "0 30 2 * * *"] {
            let schedule = Schedule::parse(line, name(zone)).expect("a line");
            let mut now = time(instant("2023-12-31T22:30:00Z"));
            let mut days = Vec::new();
            while days.len() < 7 * 365 {
                now = schedule.next_after(now).expect("it goes on").at();
                let local = now.timestamp() + offset(zone, now.timestamp());
                days.push(time(local).date_naive());
            }
            let apart = days.windows(2).all(|two| two[0].succ_opt() == Some(two[1]));
            assert!(apart, "{zone:?} `{line}`");
        }
    }
}

#[test]
fn rare_lines_are_found_and_impossible_ones_are_not() {
    let next = |line: &str| {
        let schedule = Schedule::parse(line, "Europe/Berlin").expect("a line");
        let next = schedule.next_after(time(instant("2025-03-01T00:00:00.25Z")));
        next.map(|next| next.at().to_rfc3339())
    };
    assert_eq!(
        next("0 0 0 29 2 *").as_deref(),
        Some("2028-02-28T23:00:00+00:00")
    );
    assert_eq!(
        next("0 0 1 1 1 *").as_deref(),
        Some("2026-01-01T00:00:00+00:00")
    );
    assert_eq!(next("0 0 0 31 2 *"), None);
    assert!(
        Schedule::parse("*/5 * * * *", "UTC").is_none(),
        "seconds come first"
    );
}
