//! What a process takes, as Linux counts it (`man 5 proc`).

use std::time::Duration;

/// Clock ticks a second in `/proc`: 100 on every architecture Rust supports on Linux.
const TICKS: u64 = 100;

pub struct Usage {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The most it was.
    pub peak: u64,
    /// In user and kernel mode, all threads.
    pub cpu: Duration,
    /// Bytes that went into files, counted when they were handed to the kernel's cache. `None` where
    /// that may not be read: only root may, as the daemon cannot be traced.
    pub written: Option<u64>,
}

impl Usage {
    pub fn of(pid: u32) -> Self {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let status = file("status").expect("the process runs");
        let stat = file("stat").expect("the process runs");
        let kibi = |name| number(&status, name).expect("a size") * 1024;
        // The name of the program, in parentheses, may hold anything; `utime` is the 12th after it.
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks
            .map(|ticks| ticks.parse::<u64>().expect("ticks"))
            .sum();
        Self {
            rss: kibi("VmRSS:"),
            peak: kibi("VmHWM:"),
            cpu: Duration::from_millis(ticks * 1_000 / TICKS),
            written: file("io")
                .ok()
                .and_then(|text| number(&text, "write_bytes:")),
        }
    }
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
