//! Warnings about settings that are valid by themselves and do not fit together: checks that need more requests
//! than a source's budget, acknowledgements that nothing triggers, receivers that are not notified of outages.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::Utc;

use super::model::Config;
use crate::model::SourceId;
use crate::model::{Check, CronLine};
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
fn period_of(line: &CronLine) -> Duration {
    let gap = Schedule::parse(&line.expression, line.timezone).and_then(|schedule| {
        let first = schedule.next_after(Utc::now())?.at();
        let second = schedule.next_after(first)?.at();
        (second - first).to_std().ok()
    });
    // A line that fires once and never again costs nothing worth a warning.
    gap.unwrap_or(Duration::MAX)
}
