//! Measures the speed and the resources of the daemon: the real binary, keys in the KV 2 engine of a real
//! OpenBao, and the sandbox as Flashback.
//!
//! It prints its figures next to the expectations, as Markdown, and asserts nothing: on a busy machine the
//! figures are worse without anything being wrong. `benches/RESULTS.md` has the figures of one machine.

#[allow(dead_code, reason = "the rest is for the other benchmarks")]
#[path = "../common/mod.rs"]
mod common;
mod scene;

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use clap::Parser;
use tokio::time::sleep;

use common::audit::{self, Call, METADATA};
use common::process::Usage;
use common::report::{Report, Spread, mega, millis};
use scene::Scene;

/// The expected limit of the daemon's memory, in bytes.
const MEMORY: u64 = 20_000_000;

/// The expected limit of a start.
const START: Duration = Duration::from_millis(100);

/// The length of the spans in which calls are counted.
const BUCKET: TimeDelta = TimeDelta::milliseconds(100);

/// The most checks that have made their call and are not counted yet, if checks are spread evenly.
const UNDER_WAY: f64 = 1.0;

/// The pause after a start before memory and time are measured.
const SETTLING: Duration = Duration::from_secs(3);

#[derive(Parser)]
struct Options {
    /// A short run: fewer starts and rotations, ten seconds for each minute
    #[arg(long)]
    quick: bool,

    /// The number of keys
    #[arg(long, default_value_t = 100)]
    keys: usize,

    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The durations and sizes of a run.
struct Length {
    starts: usize,
    minute: Duration,
    /// The number of rotations of each key.
    rounds: usize,
    /// The time over which the rotations of a round are spread.
    round: Duration,
}

impl Length {
    fn new(quick: bool) -> Self {
        if quick {
            Self {
                starts: 3,
                minute: Duration::from_secs(10),
                rounds: 1,
                round: Duration::from_secs(10),
            }
        } else {
            Self {
                starts: 20,
                minute: Duration::from_secs(60),
                rounds: 3,
                round: Duration::from_secs(20),
            }
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let options = Options::parse();
    let length = Length::new(options.quick);
    let mut report = Report::begin(&format!("{} keys", options.keys));
    report.table(&["figure"]);
    let mut scene = Scene::set(options.keys).await;

    first_start(&mut scene, &mut report).await;
    starts(&mut scene, &mut report, &length, "").await;
    scene.configure("30s", 1_000);
    starts(&mut scene, &mut report, &length, ", `max_rps = 1000`").await;

    scene.configure("30s", 100);
    a_minute(&mut scene, &mut report, &length, "30s").await;
    scene.stop().await;

    scene.configure("1s", 200);
    a_minute(&mut scene, &mut report, &length, "1s").await;
    propagation(&scene, &mut report, &length).await;
    scene.stop().await;
    report.end();
}

/// Measures the time from an empty state until every key is in Flashback.
async fn first_start(scene: &mut Scene, report: &mut Report) {
    eprintln!("the first start");
    scene.configure("30s", 100);
    let begun = Instant::now();
    scene.rotator.start();
    while scene.sandbox.configurations().len() < scene.keys {
        sleep(Duration::from_millis(2)).await;
    }
    let elapsed = begun.elapsed();
    report.figure(
        "first start ever to all keys made in Flashback",
        &millis(elapsed),
        "",
        None,
    );
    scene.ready().await;
    scene.stop().await;
}

/// Measures starts with a state in which every key is current, as after an upgrade.
async fn starts(scene: &mut Scene, report: &mut Report, length: &Length, with: &str) {
    let (mut answers, mut first, mut ready) = (Vec::new(), Vec::new(), Vec::new());
    for start in 1..=length.starts {
        eprintln!("start {start} of {}{with}", length.starts);
        let mark = scene.store.audit.mark();
        let (begun, begun_at) = (Instant::now(), Utc::now());
        scene.rotator.start();
        scene.answers().await;
        answers.push(begun.elapsed());
        scene.ready().await;
        ready.push(begun.elapsed());
        let calls = scene.store.audit.since(mark);
        let look = calls.iter().find(|call| call.operation == METADATA);
        let look = look.expect("a look").at - begun_at;
        first.push(look.to_std().unwrap_or_default());
        scene.stop().await;
    }
    let name = |what: &str| format!("start to {what} ({} starts{with})", length.starts);
    let first = Spread::of(first);
    report.figure(
        &name("HTTP answers"),
        &Spread::of(answers).to_string(),
        "",
        None,
    );
    report.figure(
        &name("first metadata request at OpenBao"),
        &first.to_string(),
        "under 100 ms",
        Some(first.max() < START),
    );
    report.figure(
        &name("all keys looked at (`/readyz`)"),
        &Spread::of(ready).to_string(),
        "",
        None,
    );
}

/// Measures what the daemon does, uses and writes while no key is rotated. Leaves it running.
async fn a_minute(scene: &mut Scene, report: &mut Report, length: &Length, check: &str) {
    eprintln!("{:?} at check = {check}", length.minute);
    let start = scene.store.audit.mark();
    scene.rotator.start();
    scene.ready().await;
    sleep(SETTLING).await;

    let mark = scene.store.audit.mark();
    let (usage, counts) = (Usage::of(scene.rotator.pid()), scene.counts().await);
    let begun = Instant::now();
    sleep(length.minute).await;
    let elapsed = begun.elapsed();
    let (after, counted) = (Usage::of(scene.rotator.pid()), scene.counts().await);
    let calls = scene.store.audit.since(mark);
    let minutes = elapsed.as_secs_f64() / 60.0;

    let name = |what: &str| format!("{what} (`check = \"{check}\"`)");
    taken(report, &name, &usage, &after, elapsed);
    for (operation, count) in counted.calls_since(&counts) {
        report.figure(
            &name(&format!(
                "`{operation}` calls a key and minute, by /metrics"
            )),
            &format!("{:.2}", count / minutes / scene.keys as f64),
            "",
            None,
        );
    }
    let count = |operation: &str| {
        let same = calls.iter().filter(|call| call.operation == operation);
        same.count() as f64
    };
    report.figure(
        &name("all calls a key and minute, by OpenBao's audit log"),
        &format!("{:.2}", calls.len() as f64 / minutes / scene.keys as f64),
        "no other",
        Some(calls.len() as f64 == count(METADATA)),
    );
    since_the_start(scene, report, start, &name).await;

    let looks: Vec<_> = calls
        .iter()
        .filter(|call| call.operation == METADATA)
        .map(|call| call.at)
        .collect();
    let even = looks.len() as f64 * BUCKET.as_seconds_f64() / elapsed.as_secs_f64();
    report.figure(
        &name("looks in any 100 ms, at most"),
        &audit::most_within(&looks, BUCKET).to_string(),
        &format!("{even:.1} if even"),
        None,
    );
}

/// Reports the memory in use, and the CPU and the writes between two measurements.
fn taken(
    report: &mut Report,
    name: &impl Fn(&str) -> String,
    usage: &Usage,
    after: &Usage,
    elapsed: Duration,
) {
    let minutes = elapsed.as_secs_f64() / 60.0;
    report.figure(
        &name("memory: RSS, and its peak since the start"),
        &format!("{}, {}", mega(after.rss), mega(after.peak)),
        "RSS under 20 MB",
        Some(after.rss < MEMORY),
    );
    let cpu = after.cpu.saturating_sub(usage.cpu);
    report.figure(
        &name("CPU a minute"),
        &format!(
            "{:.2} s, {:.2} % of one core",
            cpu.as_secs_f64() / minutes,
            100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64()
        ),
        "",
        None,
    );
    if let (Some(before), Some(after)) = (usage.written, after.written) {
        let kibi = (after - before) as f64 / 1024.0;
        report.figure(
            &name("written to files a minute"),
            &format!("{:.0} KiB", kibi / minutes),
            "",
            None,
        );
    }
}

/// Compares the daemon's own counts since its start with OpenBao's.
async fn since_the_start(
    scene: &Scene,
    report: &mut Report,
    start: u64,
    name: &impl Fn(&str) -> String,
) {
    let metadata = |calls: &[Call]| {
        let calls = calls.iter().filter(|call| call.operation == METADATA);
        calls.count() as f64
    };
    // The daemon keeps running meanwhile, so OpenBao's count is taken before and after its own.
    let least = metadata(&scene.store.audit.since(start));
    let counted = scene.counts().await;
    let calls = scene.store.audit.since(start);
    let (most, called) = (metadata(&calls), counted.calls("vault", METADATA));
    let agreed = (least - UNDER_WAY..=most + UNDER_WAY).contains(&called);
    report.figure(
        &name("looks, metadata calls, and those OpenBao saw, since the start"),
        &format!("{}, {called}, {least} to {most}", counted.looks),
        "the same, but for a look under way",
        Some(agreed && (called - counted.looks).abs() <= UNDER_WAY),
    );
    let other = calls.iter().filter(|call| call.operation != METADATA);
    let other: Vec<&str> = other.map(|call| call.operation.as_str()).collect();
    report.figure(
        &name("other calls OpenBao saw since the start"),
        &other.join(", "),
        "one login",
        Some(other == ["login"]),
    );
}

/// Rotates every key at random moments, and measures the time until each is in Flashback.
async fn propagation(scene: &Scene, report: &mut Report, length: &Length) {
    let mut times = Vec::new();
    for round in 1..=length.rounds {
        eprintln!("round {round} of {} of rotations", length.rounds);
        let rotations = (0..scene.keys).map(|key| async move {
            sleep(length.round.mul_f64(rand::random())).await;
            let secret = format!("sk-{key}-rotated-{round}");
            let begun = Instant::now();
            scene.store.write(key, &secret).await;
            scene.arrives(key, &secret).await;
            begun.elapsed()
        });
        times.extend(futures_util::future::join_all(rotations).await);
    }
    report.figure(
        &format!(
            "write in OpenBao to present in Flashback ({} rotations at random moments, `check = \"1s\"`)",
            times.len()
        ),
        &Spread::of(times).to_string(),
        "a look a second: 500 ms in the median",
        None,
    );
}
