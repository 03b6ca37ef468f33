//! Reports in Markdown that compare figures with expectations.

use std::fmt;
use std::time::Duration;

use chrono::Utc;

pub struct Report {
    missed: usize,
}

impl Report {
    /// Prints the heading: the subject, the time and the machine.
    pub fn begin(what: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        println!(
            "flashback-rotator {}, {what}, {}",
            env!("CARGO_PKG_VERSION"),
            Utc::now().format("%Y-%m-%d %H:%M UTC")
        );
        println!(
            "on {} cores of {}, {} of memory, Linux {}, load average {}",
            cores,
            field(&read("/proc/cpuinfo"), "model name"),
            field(&read("/proc/meminfo"), "MemTotal"),
            read("/proc/sys/kernel/osrelease").trim(),
            load()
        );
        Self { missed: 0 }
    }

    /// Begins a table. `columns` stand between the name of a figure and its expectation.
    pub fn table(&self, columns: &[&str]) {
        let columns = columns.join(" | ");
        println!("\n| what | {columns} | expected | |");
        println!("|{}", "---|".repeat(columns.split('|').count() + 3));
    }

    /// Prints one figure. `met` says whether it meets its expectation, if there is one.
    pub fn figure(&mut self, what: &str, figure: &str, expected: &str, met: Option<bool>) {
        self.row(what, &[figure.to_owned()], expected, met);
    }

    /// Prints one row of a table with several columns.
    pub fn row(&mut self, what: &str, figures: &[String], expected: &str, met: Option<bool>) {
        let figures = figures.join(" | ");
        let verdict = match met {
            Some(true) => "as expected",
            Some(false) => "**missed**",
            None => "",
        };
        self.missed += usize::from(met == Some(false));
        println!("| {what} | {figures} | {expected} | {verdict} |");
    }

    /// Prints the summary.
    pub fn end(self) {
        println!("\nLoad average at the end: {}", load());
        println!("Expectations missed: {}", self.missed);
    }
}

/// Returns the load averages of the last 1, 5 and 15 minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let numbers: Vec<&str> = text.split_whitespace().take(3).collect();
    numbers.join(" ")
}

/// The distribution of a duration.
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

    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// Returns all durations, the shortest first.
    pub fn times(&self) -> &[Duration] {
        &self.0
    }

    /// Returns the given percentile: the shortest duration that `percent` of a hundred do not exceed.
    pub fn at(&self, percent: usize) -> Duration {
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

pub fn mega(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
