//! The charts of the contest.

use std::path::Path;

use crate::common::plot::{Axis, Plot, Series};
use crate::common::report::Spread;
use crate::contender::Kind;
use crate::load::Load;
use crate::outcome::{CONTENDERS, Outcome};

pub fn draw(outcomes: &[Outcome], directory: &Path) {
    let mut sizes: Vec<usize> = outcomes.iter().map(|outcome| outcome.keys).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for keys in sizes {
        latency(outcomes, keys).write(&directory.join(format!("latency-{keys}.svg")));
    }
    let mega = |load: Load| load.rss as f64 / 1e6;
    let memory = growth("Memory while idle", "RSS, MB", outcomes, mega);
    memory.write(&directory.join("memory.svg"));
    let percent = |load: Load| 100.0 * load.cpu;
    let cpu = growth("CPU while idle", "% of one core", outcomes, percent);
    cpu.write(&directory.join("cpu.svg"));
    eprintln!("pictures in {}", directory.display());
}

/// Returns the share of rotations that had arrived, by time.
fn latency(outcomes: &[Outcome], keys: usize) -> Plot {
    let line = |kind: Kind| {
        let outcome = outcomes.iter().find(|o| o.kind == kind && o.keys == keys)?;
        if outcome.latency.is_empty() {
            return None;
        }
        let all = (outcome.latency.len() + outcome.lost) as f64;
        let spread = Spread::of(outcome.latency.clone());
        let mut points = vec![(0.0, 0.0)];
        // Each arrival is a step: the line stays level until the next one.
        for (index, time) in spread.times().iter().enumerate() {
            let (seconds, before) = (time.as_secs_f64(), 100.0 * index as f64 / all);
            points.push((seconds, before));
            points.push((seconds, before + 100.0 / all));
        }
        Some(Series {
            name: kind.name().to_owned(),
            points,
        })
    };
    let noun = if keys == 1 { "key" } else { "keys" };
    Plot {
        title: format!("From OpenBao to Flashback, {keys} {noun} looked at every second"),
        x: Axis::linear("seconds after the write"),
        y: Axis::linear("rotations that have arrived, %"),
        series: CONTENDERS.into_iter().filter_map(line).collect(),
        marks: false,
    }
}

/// Returns a figure by the number of keys.
fn growth(title: &str, unit: &str, outcomes: &[Outcome], of: impl Fn(Load) -> f64) -> Plot {
    let line = |kind: Kind| {
        let own = outcomes.iter().filter(|outcome| outcome.kind == kind);
        let points = own.map(|outcome| (outcome.keys as f64, of(outcome.load)));
        Series {
            name: kind.name().to_owned(),
            points: points.collect(),
        }
    };
    Plot {
        title: format!("{title}, each key looked at every second"),
        x: Axis::log("keys"),
        y: Axis::log(unit),
        series: CONTENDERS.into_iter().map(line).collect(),
        marks: true,
    }
}
