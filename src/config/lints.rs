//! Warnings about settings that are valid by themselves and do not fit together: checks that need more requests
//! than a source's budget, acknowledgements that nothing triggers, rotations that never end, receivers that are not
//! notified of outages.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::Utc;
use humantime::format_duration;

use super::model::Config;
use crate::model::{Check, CronLine, KeyConfig, KeyId, RotateConfig, SourceId};
use crate::notify::Event;
use crate::occurrence::Schedule;
use crate::setting::mask::shown_name;

/// Returns the warnings, a sentence each.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut periods: HashMap<&CronLine, Duration> = HashMap::new();
    let mut asked: BTreeMap<&SourceId, (usize, f64)> = BTreeMap::new();
    for key in config.keys.values().filter(|key| key.enabled) {
        let period = match &key.check {
            Check::Every(interval) => *interval,
            Check::Cron(line) => *periods.entry(line).or_insert_with(|| period_of(line)),
        };
        let (keys, rate) = asked.entry(&key.origin.source).or_default();
        *keys += 1;
        *rate += period.as_secs_f64().recip();
    }
    let too_much = asked.into_iter().filter_map(|(id, (keys, rate))| {
        let source = config.sources.get(id)?;
        let needed = source.kind.cost(rate);
        #[allow(clippy::cast_precision_loss)] // nobody has 2^53 keys
        let round = keys as f64 * needed / rate / source.max_rps;
        (needed > source.max_rps).then(|| describe(id, keys, needed, source.max_rps, round))
    });
    too_much
        .chain(unverified(config))
        .chain(endless(config))
        .chain(older_than_allowed(config))
        .chain(unannounced(config))
        .collect()
}

/// Warns of each receiver that is notified of failing keys but not of outages. During an outage of a source or of
/// Flashback only the outage is notified, and not each of its keys.
fn unannounced(config: &Config) -> impl Iterator<Item = String> {
    const AWAY: [Event; 2] = [Event::SourceDown, Event::FlashbackDown];
    let receivers = config.notify.iter().filter(|(_, receiver)| {
        let on = &receiver.on;
        on.contains(&Event::Failing) && !AWAY.iter().all(|away| on.contains(away))
    });
    receivers.map(|(id, _)| {
        format!(
            "receiver `{}`: it is told of keys that fail, and would not be told that all of them do because a source or Flashback is away: add `source_down` and `flashback_down` to its `on`",
            shown_name(id.as_str())
        )
    })
}

/// Warns of each key whose source is to acknowledge verified versions while nothing verifies them.
fn unverified(config: &Config) -> impl Iterator<Item = String> {
    let keys = config.keys.iter().filter(|(_, key)| key.enabled);
    let unverified = keys.filter(|(_, key)| {
        let source = config.sources.get(&key.origin.source);
        let verifies = key.verify.before_provider || key.verify.after_flashback;
        source.is_some_and(|source| source.acknowledge) && !verifies
    });
    unverified.map(|(id, key)| {
        format!(
            "key `{}`: its source `{}` is to be told when a version is live and verified (acknowledge), and nothing verifies it: it is never told. Set `after = \"flashback\"` or `before = \"provider\"` for it",
            shown_name(id.as_str()),
            key.origin.source
        )
    })
}

/// Warns of each rotated key whose secret is read by one that nothing verifies: the old key would never be revoked.
fn endless(config: &Config) -> impl Iterator<Item = String> {
    rotated(config).flat_map(|(id, rotated, _)| {
        let origin = &rotated.origin;
        let readers = config.keys.iter().filter(|(_, key)| {
            let is_shared = key.origin.source == origin.source && key.origin.path == origin.path;
            let verifies = key.verify.before_provider || key.verify.after_flashback;
            key.enabled && is_shared && !verifies
        });
        readers.map(|(reader, _)| {
            format!(
                "key `{}`: it is rotated, and nothing verifies a new key in `{}`: no rotation ends, and no old key is revoked. Set `after = \"flashback\"` or `before = \"provider\"` there",
                shown_name(id.as_str()),
                shown_name(reader.as_str())
            )
        })
    })
}

/// Warns of each rotated key that is older than its `max_age` before it is rotated.
fn older_than_allowed(config: &Config) -> impl Iterator<Item = String> {
    rotated(config).filter_map(|(id, key, rotate)| {
        let max_age = key.max_age?;
        let every = match rotate.every.as_ref()? {
            Check::Every(interval) => *interval,
            Check::Cron(line) => period_of(line),
        };
        (max_age < every).then(|| {
            format!(
                "key `{}`: it is rotated every {}, and reported as too old after {} (max_age): make `max_age` longer, or `every` shorter",
                shown_name(id.as_str()),
                format_duration(every),
                format_duration(max_age)
            )
        })
    })
}

/// Returns the enabled keys that are rotated, each with how that is done.
fn rotated(config: &Config) -> impl Iterator<Item = (&KeyId, &KeyConfig, &RotateConfig)> {
    let keys = config.keys.iter().filter(|(_, key)| key.enabled);
    keys.filter_map(|(id, key)| Some((id, &**key, key.rotate.as_deref()?)))
}

fn describe(id: &SourceId, keys: usize, rate: f64, budget: f64, round: f64) -> String {
    format!(
        "source `{id}`: looking at its {} as often as asked needs {} requests/s, and its max_rps is {budget}: a round over all of them takes {} s, so changes are seen later than the checks say. Raise max_rps if the source bears it, or check less often",
        plural(keys),
        rate.ceil(),
        round.ceil(),
    )
}

fn plural(keys: usize) -> String {
    match keys {
        1 => "key".to_owned(),
        _ => format!("{keys} keys"),
    }
}

/// Returns the time between the next two firings of a cron line.
pub fn period_of(line: &CronLine) -> Duration {
    let gap = Schedule::of(line).and_then(|schedule| {
        let first = schedule.next_after(Utc::now())?.at();
        let second = schedule.next_after(first)?.at();
        (second - first).to_std().ok()
    });
    // A line that fires once and never again costs nothing worth a warning.
    gap.unwrap_or(Duration::MAX)
}
