//! What a process takes, as Linux counts it (`man 5 proc`).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::venv;

/// Clock ticks a second in `/proc`: 100 on every architecture Rust supports on Linux.
const TICKS: u64 = 100;

/// Bytes of a page: 4 KiB wherever these benchmarks run.
const PAGE: u64 = 4096;

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
        let stat = Stat::read(&stat).expect("its counts");
        Self {
            rss: kibi("VmRSS:"),
            peak: kibi("VmHWM:"),
            cpu: ticks(stat.own),
            written: file("io")
                .ok()
                .and_then(|text| number(&text, "write_bytes:")),
        }
    }
}

/// What a process and all that it started take together, those that have ended included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tree {
    /// Resident memory, in bytes; what they share is counted in each.
    pub rss: u64,
    pub cpu: Duration,
}

impl Tree {
    pub fn of(pid: u32) -> Self {
        let all = processes();
        let mut tree = Self::default();
        let mut counted = HashSet::new();
        let mut left = vec![pid];
        while let Some(pid) = left.pop() {
            if let Some(stat) = all.get(&pid)
                && counted.insert(pid)
            {
                tree.rss += stat.pages * PAGE;
                tree.cpu += ticks(stat.own + stat.ended);
                left.extend(all.iter().filter(|(_, s)| s.parent == pid).map(|(p, _)| *p));
            }
        }
        tree
    }
}

/// A line of `/proc/PID/stat`.
struct Stat {
    /// Whether it has ended, and nobody has asked how.
    over: bool,
    parent: u32,
    /// Ticks of its own.
    own: u64,
    /// Ticks of children that have ended, and theirs.
    ended: u64,
    pages: u64,
}

impl Stat {
    fn read(line: &str) -> Option<Self> {
        // The name of the program, in parentheses, may hold anything; the state comes after it.
        let after_name = line.rsplit_once(')')?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            over: fields.first() == Some(&"Z"),
            parent: number(1)?.try_into().ok()?,
            own: number(11)? + number(12)?,
            ended: number(13)? + number(14)?,
            pages: number(21)?,
        })
    }
}

fn processes() -> HashMap<u32, Stat> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let stats = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // It may end between the two.
        let line = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        Some((pid, Stat::read(&line)?))
    });
    stats.collect()
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / TICKS)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A program that ends with the benchmark, however that ends, and whose process id is known.
pub struct Leashed {
    leash: Child,
    pid: u32,
}

impl Leashed {
    /// Starts `command`; its output is appended to `log`.
    pub fn start(command: &Command, log: &Path) -> Self {
        let out = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/leash.py");
        let mut leash = Command::new(venv().join("bin/python3"));
        leash
            .arg(script)
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(out.try_clone().expect("a second handle"))
            .stderr(out);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leash.env(name, value),
                None => leash.env_remove(name),
            };
        }
        let mut leash = leash.spawn().expect("it starts");
        let pid = loop {
            let mut all = processes().into_iter();
            if let Some((pid, _)) = all.find(|(_, stat)| stat.parent == leash.id()) {
                break pid;
            }
            let ended = leash.try_wait().expect("the leash");
            assert!(ended.is_none(), "not started: {}", log.display());
            std::thread::sleep(Duration::from_millis(1));
        };
        Self { leash, pid }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to end, as systemd would.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.pid.to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        let line = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        let stat = line.ok().and_then(|line| Stat::read(&line));
        stat.is_none_or(|stat| stat.over)
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}
