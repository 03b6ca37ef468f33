//! flashback-rotator beside what people use today: OpenBao's own agent with a command for each key,
//! and a shell loop. One OpenBao, a sandbox for each as its Flashback, and the real programs.
//!
//! It prints its figures beside what is expected of them, as Markdown, draws them into a directory,
//! and asserts nothing: a busy machine is slow and not wrong. `benches/RESULTS.md` has the figures
//! of one machine.

#[allow(dead_code, reason = "the rest is for the other benchmarks")]
#[path = "../common/mod.rs"]
mod common;
mod contender;
mod contest;
mod daemon;
mod drawing;
mod flashback;
mod large;
mod load;
mod outage;
mod replicas;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use common::report::Report;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Latency, calls, memory and CPU with 1, 100 and 1,000 keys
    Contest,
    /// Rotations while Flashback is away
    Outage,
    /// Ten thousand keys in one process
    Large,
    /// 1, 2 and 4 processes on one PostgreSQL
    Replicas,
}

#[derive(Parser)]
struct Options {
    /// A smoke run: fewer keys and shorter times, whose figures say nothing
    #[arg(long)]
    quick: bool,

    /// Lease the contest only with so many keys
    #[arg(long)]
    keys: Option<usize>,

    /// What to measure; everything where nothing is named
    sections: Vec<Section>,

    /// Where the pictures go
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/plots"))]
    plots: PathBuf,

    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long and how large a run is.
#[derive(Clone)]
pub struct Length {
    /// How many keys the contest is held with, each time.
    pub sizes: Vec<usize>,
    /// How often a key is rotated in each contest.
    pub rotations: usize,
    /// How long those rotations are spread over.
    pub spread: Duration,
    /// How long nothing is rotated.
    pub idle: Duration,
    /// How many keys are rotated in an outage, how long it is, and what is waited after it.
    pub outage: (usize, Duration, Duration),
    /// How many keys one process gets in the end.
    pub large: usize,
    /// How long that process is left alone.
    pub large_idle: Duration,
    /// How many keys replicas share for their first pass, and when one ends.
    pub shared: (usize, usize),
    /// How long the store is read by wrk alone, each time, and how many times.
    pub wrk: (u32, usize),
}

impl Length {
    fn new(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self {
                sizes: vec![1, 10],
                rotations: 5,
                spread: seconds(3),
                idle: seconds(4),
                outage: (5, seconds(4), seconds(8)),
                large: 200,
                large_idle: seconds(5),
                shared: (100, 20),
                wrk: (1, 1),
            }
        } else {
            Self {
                sizes: vec![1, 100, 1_000],
                rotations: 50,
                spread: seconds(20),
                idle: seconds(60),
                outage: (100, seconds(30), seconds(60)),
                large: 10_000,
                large_idle: seconds(120),
                shared: (2_000, 200),
                wrk: (10, 3),
            }
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let options = Options::parse();
    let mut length = Length::new(options.quick);
    if let Some(keys) = options.keys {
        length.sizes = vec![keys];
    }
    let wanted = |section| options.sections.is_empty() || options.sections.contains(&section);
    let mut report = Report::begin("compared");
    if wanted(Section::Contest) {
        contest::hold(&mut report, &length, &options.plots).await;
    }
    if wanted(Section::Outage) {
        outage::hold(&mut report, &length).await;
    }
    if wanted(Section::Large) {
        large::hold(&mut report, &length).await;
    }
    if wanted(Section::Replicas) {
        replicas::hold(&mut report, &length).await;
    }
    report.end();
}
