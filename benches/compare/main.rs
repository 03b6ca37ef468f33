//! Compares flashback-rotator with common alternatives: OpenBao's agent with a command for each key, and a
//! shell loop. All use the real programs, one OpenBao, and a sandbox for each contender as its Flashback.
//!
//! It prints its figures next to the expectations, as Markdown, and draws them into a directory. It asserts
//! nothing: on a busy machine the figures are worse without anything being wrong. `benches/RESULTS.md` has
//! the figures of one machine.

#[allow(dead_code, reason = "the rest is for the other benchmarks")]
#[path = "../common/mod.rs"]
mod common;
mod contender;
mod contest;
mod daemon;
mod drawing;
mod events;
mod flashback;
mod large;
mod length;
mod lists;
mod load;
mod outage;
mod outcome;
mod replicas;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use common::report::Report;
use length::Length;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Latency, calls, memory and CPU with 1, 100 and 1,000 keys
    Contest,
    /// Rotations while Flashback is unavailable
    Outage,
    /// Ten thousand keys in one process
    Large,
    /// The latency of a rotation with events, beside polling and the others
    Events,
    /// Writes in OpenBao while the receiver of its records is stopped
    Stalled,
    /// Writes while whatever brings events fails
    Faults,
    /// Looks by lists
    Lists,
    /// 1, 2 and 4 processes on one PostgreSQL
    Replicas,
}

#[derive(Parser)]
struct Options {
    /// A smoke run: fewer keys and shorter times, without meaningful figures
    #[arg(long)]
    quick: bool,

    /// Run the contest only with this many keys
    #[arg(long)]
    keys: Option<usize>,

    /// The sections to measure; all if none is named
    sections: Vec<Section>,

    /// The directory for the charts
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/plots"))]
    plots: PathBuf,

    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
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
    if wanted(Section::Events) {
        events::hold(&mut report, &length).await;
    }
    if wanted(Section::Stalled) {
        events::stalled::hold(&mut report, &length).await;
    }
    if wanted(Section::Faults) {
        events::faults::hold(&mut report, &length).await;
    }
    if wanted(Section::Lists) {
        lists::hold(&mut report, &length).await;
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
