//! Ten thousand keys in one process: the time until all are in Flashback for the first time, compared with
//! the rate at which the source serves a program that only reads; the resources they use from then on; and a
//! restart.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep};

use crate::common::audit::METADATA;
use crate::common::process::Usage;
use crate::common::report::{Report, mega, millis};
use crate::common::store::{Role, Store};
use crate::daemon::{Daemon, Setting};
use crate::flashback::Flashback;
use crate::length::Length;

/// The expected limit of memory while nothing is rotated, in bytes.
const MEMORY: u64 = 64_000_000;

/// The expected limit of CPU while nothing is rotated, of a core.
const CPU: f64 = 0.03;

/// The expected limit of the time from a start to the first check.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The time after which the first round is given up.
const PATIENCE: Duration = Duration::from_secs(180);

/// The check interval, and so the time after which each key has been checked again.
const CHECK: Duration = Duration::from_secs(30);

pub async fn hold(report: &mut Report, length: &Length) {
    let keys = length.large;
    let store = Store::start().await;
    let role = store.listing_role("rotator").await;
    let begun = Instant::now();
    store.fill(keys, "first").await;
    eprintln!("{keys} keys written in {:?}", begun.elapsed());
    report.table(&["figure"]);
    let rate = reads(report, &store, length).await;
    store.audit.clear();

    let unverified = "[verify]\nafter = \"none\"";
    first_pass(report, &store, &role, keys, unverified, None).await;
    store.audit.clear();
    let passed = first_pass(report, &store, &role, keys, "", rate).await;
    let Some((flashback, mut daemon)) = passed else {
        return;
    };
    // Once every key has been checked again, the memory used by the first round has been freed.
    sleep(CHECK.min(length.large_idle)).await;
    idle(report, &daemon, length).await;
    store.audit.clear();
    restart(report, &store, &flashback, &mut daemon, keys).await;
}

/// Returns the number of reads per second that wrk achieves on an otherwise idle source: the median of
/// several runs.
async fn reads(report: &mut Report, store: &Store, length: &Length) -> Option<f64> {
    let (seconds, runs) = length.wrk;
    let token = store.token("rotator").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/read.lua");
    let mut rates = Vec::new();
    for run in 1..=runs {
        eprintln!("wrk, run {run} of {runs}");
        let mut wrk = Command::new("wrk");
        wrk.args(["-t2", "-c32", &format!("-d{seconds}s"), "-s"])
            .arg(&script)
            .arg(&store.address)
            .env("KEYS", length.large.to_string())
            .env("TOKEN", &token);
        let output = tokio::task::spawn_blocking(move || wrk.output());
        let output = output.await.expect("it ends");
        let output = output.expect("wrk, which `apt-get install wrk` brings");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let rate = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        rates.push(rate?.trim().parse::<f64>().ok()?);
        assert!(!text.contains("Non-2xx"), "refused: {text}");
    }
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    let all: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
    report.figure(
        &format!("what wrk alone reads from OpenBao ({runs} runs of {seconds} s, 32 connections)"),
        &format!("{median:.0} a second (runs: {})", all.join(", ")),
        "",
        None,
    );
    Some(median)
}

/// Measures the time from an empty state until every key is in Flashback, and verified if that is configured.
/// `rate` is the rate of reads with which two reads for each key are compared.
async fn first_pass(
    report: &mut Report,
    store: &Store,
    role: &Role,
    keys: usize,
    more: &str,
    rate: Option<f64>,
) -> Option<(Flashback, Daemon)> {
    eprintln!("the first pass {more}");
    let how = if more.is_empty() {
        "as by default"
    } else {
        "`after = \"none\"`"
    };
    let flashback = Flashback::empty().await;
    let (begun, begun_at) = (Instant::now(), Utc::now());
    let daemon = Daemon::start(&Setting {
        store,
        role,
        flashback: &flashback,
        state: None,
        check: "30s",
        keys,
        more,
    });
    let filled = flashback.filled(keys, "first", PATIENCE);
    let stale = daemon.until(filled).await;
    let what = format!("first pass of {keys} keys, verified {how}");
    if stale > 0 {
        let made = keys - stale;
        report.figure(
            &what,
            &format!("given up: {made} keys after {PATIENCE:?}"),
            "a third of wrk's rate",
            rate.map(|_| false),
        );
        return None;
    }
    if more.is_empty() {
        let validated = async {
            while flashback.validated() < keys {
                sleep(Duration::from_millis(100)).await;
            }
        };
        daemon.until(validated).await;
    }
    let last = flashback.arrivals().into_values().max().expect("keys");
    let elapsed = match more.is_empty() {
        true => begun.elapsed(),
        false => (last - begun_at).to_std().unwrap_or_default(),
    };
    report_pace(report, &what, keys, elapsed, rate);
    daemon.ready().await;
    report_usage(report, &daemon, how);
    Some((flashback, daemon))
}

/// Reports what the daemon has used for that.
fn report_usage(report: &mut Report, daemon: &Daemon, how: &str) {
    let usage = Usage::of(daemon.pid());
    report.figure(
        &format!("that pass: CPU, RSS and its peak, verified {how}"),
        &format!(
            "{:.1} s, {}, {}",
            usage.cpu.as_secs_f64(),
            mega(usage.rss),
            mega(usage.peak)
        ),
        "",
        None,
    );
}

/// Reports how quickly all keys got there, compared with two reads a key at `rate`.
fn report_pace(report: &mut Report, what: &str, keys: usize, elapsed: Duration, rate: Option<f64>) {
    let pace = keys as f64 / elapsed.as_secs_f64();
    let share = rate.map(|rate| 2.0 * pace / rate);
    report.figure(
        what,
        &match share {
            Some(share) => format!(
                "{}: {pace:.0} keys/s, at two reads a key {share:.2} of wrk's rate",
                millis(elapsed)
            ),
            None => format!("{}: {pace:.0} keys/s", millis(elapsed)),
        },
        if rate.is_some() {
            "a third of wrk's rate"
        } else {
            ""
        },
        share.map(|share| share >= 1.0 / 3.0),
    );
}

/// Measures the resources used while no key is rotated.
async fn idle(report: &mut Report, daemon: &Daemon, length: &Length) {
    eprintln!("{:?} of idle", length.large_idle);
    let before = Usage::of(daemon.pid());
    let begun = Instant::now();
    sleep(length.large_idle).await;
    let after = Usage::of(daemon.pid());
    let cpu = after.cpu.saturating_sub(before.cpu);
    let share = cpu.as_secs_f64() / begun.elapsed().as_secs_f64();
    let name = |what: &str| {
        format!(
            "{what}, {:?} idle with {} keys (`check = \"30s\"`)",
            length.large_idle, length.large
        )
    };
    report.figure(
        &name("memory: RSS before and after"),
        &format!(
            "{}, {} (peak {})",
            mega(before.rss),
            mega(after.rss),
            mega(after.peak)
        ),
        "under 64 MB",
        Some(before.rss.max(after.rss) < MEMORY),
    );
    report.figure(
        &name("CPU"),
        &format!("{:.1} % of one core", 100.0 * share),
        "under 3 %",
        Some(share < CPU),
    );
}

/// Measures a restart when every key is current.
async fn restart(
    report: &mut Report,
    store: &Store,
    flashback: &Flashback,
    daemon: &mut Daemon,
    keys: usize,
) {
    eprintln!("a restart");
    daemon.stop().await;
    let (mark, writes) = (store.audit.mark(), flashback.writes());
    let (begun, begun_at) = (Instant::now(), Utc::now());
    daemon.start_again();
    daemon.ready().await;
    let ready = begun.elapsed();
    let writes = flashback.writes() - writes;
    let calls = store.audit.since(mark);
    let look = calls.iter().find(|call| call.operation == METADATA);
    let first = look.expect("a look").at - begun_at;
    let first = first.to_std().unwrap_or_default();
    let name = |what: &str| format!("restart with {keys} keys: {what}");
    report.figure(
        &name("to the first look at OpenBao"),
        &millis(first),
        "under 1 s",
        Some(first < FIRST_LOOK),
    );
    report.figure(
        &name("to all keys looked at (`/readyz`)"),
        &millis(ready),
        "",
        None,
    );
    report.figure(
        &name("writes to Flashback"),
        &writes.to_string(),
        "0",
        Some(writes == 0),
    );
}
