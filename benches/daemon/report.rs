//! Figures beside what is expected of them, in Markdown.

use std::fmt;
use std::time::Duration;

use chrono::Utc;

pub struct Report {
    missed: usize,
}

impl Report {
    /// Prints the head: what is measured, when, and on what.
    pub fn begin(keys: usize) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        println!(
            "flashback-rotator {}, {keys} keys, {}",
            env!("CARGO_PKG_VERSION"),
            Utc::now().format("%Y-%m-%d %H:%M UTC")
        );
        println!(
            "on {} cores of {}, {} of memory, Linux {}, load average {}",
            cores,
            field(&read("/proc/cpuinfo"), "model name"),
            field(&read("/proc/meminfo"), "MemTotal"),
            read("/proc/sys/kernel/osrelease").trim(),
            read("/proc/loadavg").trim()
        );
        println!("\n| what | figure | expected | |\n|---|---|---|---|");
        Self { missed: 0 }
    }

    /// Prints one figure. `met` says whether it is as expected, where something is expected.
    pub fn figure(&mut self, what: &str, figure: &str, expected: &str, met: Option<bool>) {
        let verdict = match met {
            Some(true) => "as expected",
            Some(false) => "**missed**",
            None => "",
        };
        self.missed += usize::from(met == Some(false));
        println!("| {what} | {figure} | {expected} | {verdict} |");
    }

    /// Prints what it comes to.
    pub fn end(self) {
        println!("\nExpectations missed: {}", self.missed);
    }
}

/// How a time is distributed.
pub struct Spread(Vec<Duration>);

impl Spread {
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort();
        Self(times)
    }

    pub fn max(&self) -> Duration {
        self.at(100)
    }

    /// The smallest time that so many of a hundred do not exceed.
    fn at(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.max(1) - 1]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, most, max] = [50, 99, 100].map(|percent| millis(self.at(percent)));
        write!(f, "median {median}, p99 {most}, max {max}")
    }
}

pub fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
}
