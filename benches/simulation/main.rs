//! Measures the cost of a key, with up to 100,000 of them. It runs the real scheduler, engine, decisions,
//! metrics and upstream limits on a source and a Flashback that answer at once.
//!
//! Each number of keys is measured in a process of its own, twice: with a state that is a map in memory, to
//! measure the rotator's own CPU time for a check, and with the real SQLite state in a directory, to measure
//! the memory of a key. Every configuration exists already and is adopted first. After that the keys are
//! checked at their interval, and nothing changes any more.
//!
//! CPU time is that of all threads of the process. Memory is what is allocated while no check is under way,
//! beyond what the configuration alone needs.
//!
//! It prints its figures as Markdown, and asserts nothing: on a busy machine the figures are worse without
//! anything being wrong.

#[path = "../common/plot.rs"]
#[allow(dead_code, reason = "the rest is for the other benchmarks")]
mod plot;
mod simulated;

use std::alloc::System;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Parser;
use flashback_rotator::config::{Check, KeyConfig, VerifyConfig};
use flashback_rotator::document::FieldMap;
use flashback_rotator::engine::{Changes, Engine, Lists, ManagedKey};
use flashback_rotator::lease::LeaseTable;
use flashback_rotator::model::{AiType, KeyId, Origin, Settings, SourceId, Version, WorkspaceId};
use flashback_rotator::reconcile::Rules;
use flashback_rotator::retry::Limits;
use flashback_rotator::scheduler::{First, Scheduled, Scheduler};
use flashback_rotator::state::StateStore;
use flashback_rotator::state::sqlite::Sqlite;
use flashback_rotator::supervise::Supervisor;
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::trigger::Feed;
use flashback_rotator::upstream::{Terms, Upstream};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use plot::{Axis, Plot, Series};
use simulated::{Anything, CountingReconciler, Map, Nobody, Secrets, Target};

/// The numbers of keys.
const SIZES: [usize; 5] = [1_000, 3_000, 10_000, 30_000, 100_000];

/// The checks per second during the measurement: so many that other work hardly counts.
const RATE: usize = 10_000;

/// An interval that does not end during the measurement.
const NEVER: Duration = Duration::from_secs(3_600);

/// The number of keys in one workspace.
const WORKSPACE: usize = 50_000;

/// The number of keys of the process whose memory is subtracted. It is large enough to fill every queue, so
/// that the memory of the queues is not attributed to keys.
const FEW: usize = 128;

/// The system's allocator, with statistics.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Parser)]
struct Options {
    /// The largest number of keys
    #[arg(long, default_value_t = 100_000)]
    most: usize,

    /// The directory for the charts
    #[arg(long, default_value = "benches/plots")]
    plots: PathBuf,

    /// Measure this many keys in this process
    #[arg(long, hide = true)]
    keys: Option<usize>,

    /// The directory of the state
    #[arg(long, hide = true)]
    state: Option<PathBuf>,

    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The figures of one measurement.
#[derive(Clone, Copy)]
struct Figures {
    /// The CPU time of a check, in microseconds.
    look: f64,
    /// The memory beyond that of the configuration, in bytes.
    memory: f64,
}

fn main() {
    let options = Options::parse();
    if let Some(keys) = options.keys {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let figures = runtime
            .expect("a runtime")
            .block_on(measure(keys, options.state.as_deref()));
        println!("{} {}", figures.look, figures.memory);
        return;
    }
    let few = apart(FEW, true).memory;
    let mut rows = Vec::new();
    println!(
        "| keys | a look, no state | a look, SQLite | memory for a key, beyond its configuration |"
    );
    println!("|---:|---:|---:|---:|");
    for keys in SIZES.into_iter().filter(|keys| *keys <= options.most) {
        let (map, sqlite) = (apart(keys, false), apart(keys, true));
        let memory = (sqlite.memory - few).max(0.0) / (keys - FEW) as f64;
        println!(
            "| {keys} | {:.1} µs | {:.1} µs | {memory:.0} B |",
            map.look, sqlite.look
        );
        rows.push((keys as f64, map.look, sqlite.look, memory));
    }
    draw(&options.plots, &rows);
}

/// Runs one measurement in a process of its own.
fn apart(keys: usize, state: bool) -> Figures {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--keys", &keys.to_string()]);
    // The value that the systemd units, the image and the manifests set.
    command.env("MALLOC_ARENA_MAX", "2");
    if state {
        command.arg("--state").arg(directory.path());
    }
    let output = command.output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    let [look, memory] = numbers[..] else {
        panic!("{keys} keys: {}", String::from_utf8_lossy(&output.stderr))
    };
    Figures { look, memory }
}

async fn measure(keys: usize, state: Option<&Path>) -> Figures {
    let period = Duration::from_secs_f64(keys as f64 / RATE as f64);
    let configs = configs(keys, period);
    let before = allocated();

    let store: Arc<dyn StateStore> = match state {
        None => Arc::new(Map::default()),
        Some(directory) => {
            let path = directory.join("state.db");
            Arc::new(Sqlite::open(&path, "the simulation").expect("a state"))
        }
    };
    let stop = CancellationToken::new();
    let reconciler = Arc::new(reconciler(&configs, store, stop.clone()).await);
    let supervisor = Supervisor::new(stop.clone());
    let scheduler = Scheduler::start(Arc::clone(&reconciler) as _, supervisor);
    scheduler.replace(schedule(&configs, &Check::Every(period)));
    while scheduler.unseen() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Wait for one more round, so that the results of checks are in memory and the pushes are saved.
    tokio::time::sleep(period + Duration::from_secs(1)).await;

    let (looks, cpu) = (reconciler.looks.load(Ordering::Relaxed), cpu());
    tokio::time::sleep(period.max(Duration::from_secs(5))).await;
    let looks = reconciler.looks.load(Ordering::Relaxed) - looks;
    let look = (self::cpu() - cpu) / looks as f64;
    let mut memory = f64::INFINITY;
    if state.is_some() {
        // No check is under way then. The wait also lets the state write its last notes, which it does every
        // ten seconds if they are many.
        scheduler.replace(schedule(&configs, &Check::Every(NEVER)));
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            memory = memory.min(allocated() - before);
        }
    }
    stop.cancel();
    scheduler.drained().await;
    Figures {
        look: look * 1e6,
        memory,
    }
}

fn configs(keys: usize, period: Duration) -> Vec<(KeyId, Arc<KeyConfig>)> {
    let config = |index: usize| {
        let id = format!("key-{index:06}");
        let config = KeyConfig {
            settings: Settings {
                workspace_id: WorkspaceId::new(format!("workspace-{}", index / WORKSPACE)),
                name: id.clone(),
                ai_type: AiType::Openai,
                endpoint: "https://api.openai.com/v1".to_owned(),
                target: flashback_rotator::model::Target::Configuration,
            },
            origin: Origin {
                source: SourceId::new("memory"),
                path: format!("llm/{id}"),
                fields: FieldMap::default(),
            },
            check: Check::Every(period),
            check_with_events: None,
            verify: VerifyConfig {
                before_provider: false,
                after_flashback: true,
                grace: Duration::from_secs(60),
                rollback: true,
                settle: Duration::ZERO,
            },
            max_age: None,
            rotate: None,
            enabled: true,
            may_create: true,
            rule: None,
        };
        (KeyId::new(&id), Arc::new(config))
    };
    (0..keys).map(config).collect()
}

/// The waits after a failure, as they are by default.
const RETRY: Limits = Limits {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(30),
    give_up_after: Duration::from_secs(300),
};

fn source(metrics: &Arc<Metrics>) -> Secrets {
    let terms = Terms {
        max_rps: None,
        timeout: Duration::from_secs(10),
        permits: 16,
        retry: RETRY,
    };
    Secrets {
        id: SourceId::new("memory"),
        upstream: Upstream::new("memory", terms, Arc::clone(metrics), Arc::new(Nobody)),
        version: Version::numbered(1, "2026-11-01T00:00:00Z"),
        written_at: Utc::now(),
    }
}

async fn reconciler(
    configs: &[(KeyId, Arc<KeyConfig>)],
    store: Arc<dyn StateStore>,
    stop: CancellationToken,
) -> CountingReconciler {
    let metrics = Arc::new(Metrics::new());
    let source = Arc::new(source(&metrics));
    let mut managed_keys = HashMap::new();
    let permits = Arc::new(Semaphore::new(16));
    for (key, config) in configs {
        let managed = ManagedKey::new(
            key.clone(),
            Arc::clone(config),
            Arc::clone(&source) as _,
            Arc::clone(&permits),
        );
        managed_keys.insert(key.clone(), Arc::new(managed));
    }
    let target = configs.iter().map(|(_, config)| Arc::clone(config));
    let target = target.collect();
    CountingReconciler {
        engine: Engine {
            fingerprinter: store.fingerprinter().await.expect("a key"),
            store,
            flashback: Arc::new(Target(target)),
            lists: Arc::new(Lists::default()),
            edited: Arc::default(),
            prober: Arc::new(Anything),
            providers: std::collections::BTreeMap::new(),
            metrics,
            checks: Arc::default(),
            rules: Rules {
                resync: Duration::from_secs(86_400),
                refused: Duration::from_secs(900),
                since: DateTime::<Utc>::MIN_UTC,
            },
            retry: RETRY,
            stop,
            feed: Arc::new(Feed::new(Arc::default())),
            told: Arc::default(),
            changes: Changes::default(),
            logged_unsupported: Arc::default(),
            leases: Arc::new(LeaseTable::alone()),
        },
        managed_keys,
        looks: AtomicU64::new(0),
    }
}

fn schedule(configs: &[(KeyId, Arc<KeyConfig>)], check: &Check) -> Vec<Scheduled> {
    let scheduled = |(key, config): &(KeyId, Arc<KeyConfig>)| Scheduled {
        key: key.clone(),
        check: check.clone(),
        source: config.origin.source.clone(),
        workspace: config.settings.workspace_id.clone(),
        first: First::Now,
    };
    configs.iter().map(scheduled).collect()
}

fn draw(directory: &Path, rows: &[(f64, f64, f64, f64)]) {
    let series = |name: &str, of: fn(&(f64, f64, f64, f64)) -> f64| Series {
        name: name.to_owned(),
        points: rows.iter().map(|row| (row.0, of(row))).collect(),
    };
    let plot = |title: &str, y: &str, series: Vec<Series>| Plot {
        title: title.to_owned(),
        x: Axis::log("keys"),
        y: Axis::linear(y),
        series,
        marks: true,
    };
    plot(
        "Processor time for a look",
        "microseconds",
        vec![
            series("no state", |row| row.1),
            series("SQLite", |row| row.2),
        ],
    )
    .write(&directory.join("simulation-look.svg"));
    plot(
        "Memory for a key, beyond its configuration",
        "bytes",
        vec![series("resident", |row| row.3)],
    )
    .write(&directory.join("simulation-memory.svg"));
}

/// Returns the CPU time of this process, in seconds.
fn cpu() -> f64 {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9
}

/// Returns the memory that is allocated now, in bytes.
fn allocated() -> f64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}
