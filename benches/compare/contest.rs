//! The latency of a rotation, the calls to the source, memory and CPU, for different numbers of keys.
//!
//! With one key, all contenders run at the same time and see the same rotations. With more, they would
//! compete for the CPU, so they run one after the other, starting with another one each time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::sha256_hex;
use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep};

use crate::common::report::{Report, Spread, mega, millis};
use crate::common::store::{Store, secret};
use crate::contender::{Contender, Kind, Roles};
use crate::drawing;
use crate::length::Length;
use crate::load::Load;
use crate::outcome::{CONTENDERS, Outcome};

/// The interval at which each key is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The expected latencies: half the interval and 60 ms for the median, the interval and 100 ms at most.
const MEDIAN: Duration = Duration::from_millis(560);
const MOST: Duration = Duration::from_millis(1_100);

/// The time after which a rotation counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before the measurements begin.
pub const SETTLING: Duration = Duration::from_secs(2);

pub async fn hold(report: &mut Report, length: &Length, plots: &Path) {
    let store = Store::start().await;
    let roles = Roles::make(&store).await;
    let mut outcomes = Vec::new();
    for (round, keys) in length.sizes.iter().enumerate() {
        let mut order = CONTENDERS;
        order.rotate_left(round % CONTENDERS.len());
        let groups: Vec<&[Kind]> = if *keys == 1 {
            vec![&order]
        } else {
            order.chunks(1).collect()
        };
        for group in groups {
            outcomes.extend(run(&store, &roles, group, *keys, INTERVAL, length).await);
            store.audit.clear();
        }
        table(report, &outcomes, *keys);
    }
    for keys in length.sizes.iter().filter(|keys| **keys > 1) {
        equal_calls(report, &outcomes, &store, &roles, *keys, length).await;
    }
    drawing::draw(&outcomes, plots);
}

/// Runs a group of contenders side by side.
async fn run(
    store: &Store,
    roles: &Roles,
    kinds: &[Kind],
    keys: usize,
    interval: Duration,
    length: &Length,
) -> Vec<Outcome> {
    eprintln!("{keys} keys: {kinds:?}");
    let tag = format!("{}", Utc::now().timestamp_micros());
    store.fill(keys, &tag).await;
    let mut contenders = Vec::new();
    let mut filled = Vec::new();
    for kind in kinds {
        let contender = Contender::start(*kind, store, roles, keys, interval).await;
        let begun = Instant::now();
        let stale = contender.flashback.filled(keys, &tag, PATIENCE).await;
        filled.push((stale == 0).then(|| begun.elapsed()));
        contenders.push(contender);
    }
    sleep(SETTLING).await;
    let loads = Load::of(&contenders, store, keys, length.idle).await;
    let made = rotate(store, &contenders, keys, length).await;
    let outcomes = contenders.iter().zip(filled).zip(loads);
    let outcomes = outcomes.map(|((contender, filled), load)| {
        let arrivals = contender.flashback.arrivals();
        let latency = made.iter().filter_map(|rotation| {
            let at = arrivals.get(&sha256_hex(&rotation.secret))?;
            (*at - rotation.begun).to_std().ok()
        });
        let latency: Vec<Duration> = latency.collect();
        Outcome {
            kind: contender.kind,
            keys,
            filled,
            lost: made.len() - latency.len(),
            latency,
            load,
        }
    });
    outcomes.collect()
}

struct Rotation {
    begun: DateTime<Utc>,
    secret: String,
}

/// Returns fractions of an interval in random order, spread evenly over it. If each were drawn independently,
/// the median of 50 would be off by more than 70 ms one time in three.
pub fn phases(count: usize) -> Vec<f64> {
    let mut phases: Vec<f64> = (0..count)
        .map(|index| (index as f64 + rand::random::<f64>()) / count as f64)
        .collect();
    phases.shuffle(&mut rand::rng());
    phases
}

/// Rotates keys at random moments and waits until all rotations have arrived or count as lost.
async fn rotate(
    store: &Store,
    contenders: &[Contender],
    keys: usize,
    length: &Length,
) -> Vec<Rotation> {
    let write = |key: usize, rotation: usize| async move {
        let secret = secret(key, &format!("rotation-{rotation}"));
        let begun = Utc::now();
        store.write(key, &secret).await;
        (key, Rotation { begun, secret })
    };
    let mut made = BTreeMap::new();
    let phases = phases(length.rotations);
    if keys < length.rotations {
        // A key may be rotated again only after its last rotation has arrived.
        for (rotation, phase) in phases.into_iter().enumerate() {
            let (_, done) = write(rotation % keys, rotation).await;
            arrive(contenders, std::slice::from_ref(&done)).await;
            made.insert(rotation, done);
            sleep(INTERVAL.mul_f64(phase)).await;
        }
    } else {
        let first: usize = rand::random_range(0..keys);
        let seconds = length.spread.as_secs();
        let rotations = phases.into_iter().enumerate();
        let rotations = rotations.map(|(rotation, phase)| async move {
            // The rotations are spread evenly over all keys, and no key is rotated twice. A contender that
            // checks the keys one after the other reaches a key later in the interval the later it stands in
            // that order, so the phase is relative to the key's position.
            let turn = rotation as f64 / length.rotations as f64;
            let into = INTERVAL.mul_f64((turn + phase).fract());
            sleep(INTERVAL * rand::random_range(0..seconds.max(1)) as u32 + into).await;
            let key = (first + rotation * keys / length.rotations) % keys;
            write(key, rotation).await
        });
        made.extend(futures_util::future::join_all(rotations).await);
        let all: Vec<Rotation> = made.into_values().collect();
        arrive(contenders, &all).await;
        return all;
    }
    made.into_values().collect()
}

async fn arrive(contenders: &[Contender], rotations: &[Rotation]) {
    let deadline = Instant::now() + PATIENCE;
    let there = |contender: &Contender| {
        let arrivals = contender.flashback.arrivals();
        let mut digests = rotations
            .iter()
            .map(|rotation| sha256_hex(&rotation.secret));
        digests.all(|digest| arrivals.contains_key(&digest))
    };
    while !contenders.iter().all(there) && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
}

fn table(report: &mut Report, outcomes: &[Outcome], keys: usize) {
    report.table(&CONTENDERS.map(Kind::name));
    let of = |kind| outcomes.iter().find(|o| o.kind == kind && o.keys == keys);
    let all: Vec<&Outcome> = CONTENDERS.into_iter().filter_map(of).collect();
    let [ours, agent, _] = all[..] else {
        return;
    };
    let cells = |show: &dyn Fn(&Outcome) -> String| -> Vec<String> {
        all.iter().map(|outcome| show(outcome)).collect()
    };
    let name = |what: &str| format!("{what}, {keys} keys").replace(" 1 keys", " 1 key");
    let took = |o: &Outcome| o.filled.map_or_else(|| "over 60 s".to_owned(), millis);
    report.row(&name("start to every key current"), &cells(&took), "", None);
    let spread = |o: &Outcome| match (o.latency.is_empty(), o.lost) {
        (true, _) => "none arrived".to_owned(),
        (false, 0) => Spread::of(o.latency.clone()).to_string(),
        (false, lost) => format!("{}, {lost} not in 60 s", Spread::of(o.latency.clone())),
    };
    let quick = !ours.latency.is_empty() && ours.lost == 0 && {
        let spread = Spread::of(ours.latency.clone());
        spread.median() <= MEDIAN && spread.at(99) <= MOST
    };
    report.row(
        &name("write in OpenBao to answered by Flashback"),
        &cells(&spread),
        "median up to 560 ms, p99 up to 1,100 ms",
        Some(quick),
    );
    report.row(
        &name("calls to OpenBao a key and minute"),
        &cells(&|o| format!("{:.2}", o.load.calls)),
        "fewer than the agent's",
        Some(ours.load.calls < agent.load.calls),
    );
    report.row(
        &name("median latency × calls a key and second"),
        &cells(&|o| format!("{:.0} ms", cost(o))),
        "less than the agent's",
        Some(cost(ours) < cost(agent)),
    );
    report.row(
        &name("memory: RSS in the mean, and at most"),
        &cells(&|o| format!("{}, {}", mega(o.load.rss), mega(o.load.most_rss))),
        "less than the agent's",
        Some(ours.load.rss < agent.load.rss),
    );
    report.row(
        &name("CPU, of one core"),
        &cells(&|o| format!("{:.2} %", 100.0 * o.load.cpu)),
        "less than the agent's",
        Some(ours.load.cpu < agent.load.cpu),
    );
}

/// Returns the median in milliseconds, multiplied by the calls to the source per key and second.
fn cost(outcome: &Outcome) -> f64 {
    if outcome.latency.is_empty() {
        return f64::INFINITY;
    }
    let median = Spread::of(outcome.latency.clone()).median();
    median.as_secs_f64() * 1_000.0 * outcome.load.calls / 60.0
}

/// Returns the latency of a contender, and the calls that it took.
fn latency_cell(outcome: &Outcome, every: Duration) -> String {
    let latency = match outcome.latency.is_empty() {
        true => "none arrived".to_owned(),
        false => Spread::of(outcome.latency.clone()).to_string(),
    };
    let calls = outcome.load.calls;
    format!("{latency}; {calls:.2} calls, every {}", millis(every))
}

/// Runs the contender that makes more calls again, at the interval at which it makes as many calls as the
/// other one.
async fn equal_calls(
    report: &mut Report,
    outcomes: &[Outcome],
    store: &Store,
    roles: &Roles,
    keys: usize,
    length: &Length,
) {
    let of = |kind| outcomes.iter().find(|o| o.kind == kind && o.keys == keys);
    let (Some(ours), Some(agent)) = (of(Kind::Rotator), of(Kind::Agent)) else {
        return;
    };
    let (again, other) = if agent.load.calls > ours.load.calls {
        (agent, ours)
    } else {
        (ours, agent)
    };
    let interval = INTERVAL.mul_f64(again.load.calls / other.load.calls);
    let interval = Duration::from_millis(interval.as_millis().try_into().unwrap_or(1_000));
    let short = Length {
        idle: length.idle / 3,
        ..length.clone()
    };
    let ran = run(store, roles, &[again.kind], keys, interval, &short).await;
    store.audit.clear();
    let Some(ran) = ran.first() else { return };
    report.table(&[Kind::Rotator, Kind::Agent].map(Kind::name));
    let cell = |kind| match kind == again.kind {
        true => latency_cell(ran, interval),
        false => latency_cell(other, INTERVAL),
    };
    let median = |o: &Outcome| Spread::of(o.latency.clone()).median();
    let (ours, agents) = if again.kind == Kind::Rotator {
        (ran, agent)
    } else {
        (ours, ran)
    };
    let met =
        !ours.latency.is_empty() && !agents.latency.is_empty() && median(ours) < median(agents);
    report.row(
        &format!("latency at as many calls a key and minute, {keys} keys"),
        &[cell(Kind::Rotator), cell(Kind::Agent)],
        "lower median than the agent's",
        Some(met),
    );
}
