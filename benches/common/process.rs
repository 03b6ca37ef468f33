//! The resources that a process uses, as counted by Linux (`man 5 proc`).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::venv;

/// The clock ticks per second in `/proc`: 100 on every architecture that Rust supports on Linux.
const TICKS: u64 = 100;

/// The size of a page in bytes: 4 KiB wherever these benchmarks run.
const PAGE: u64 = 4096;

pub struct Usage {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The highest resident memory so far, in bytes.
    pub peak: u64,
    /// The CPU time of all threads, in user and kernel mode.
    pub cpu: Duration,
    /// The bytes written to files, counted when they reach the kernel's cache. `None` if they may not be
    /// read: only root may read them, as the daemon cannot be traced.
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

/// The resources of a process and all its descendants, including those that have ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tree {
    /// Resident memory, in bytes. Shared pages are counted for each process.
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

/// The parsed fields of `/proc/PID/stat`.
struct Stat {
    /// `true` if it is a zombie.
    over: bool,
    parent: u32,
    /// The ticks of the process itself.
    own: u64,
    /// The ticks of children that have ended, and of their descendants.
    ended: u64,
    pages: u64,
}

impl Stat {
    fn read(line: &str) -> Option<Self> {
        // The program's name, in parentheses, may contain any characters; the state follows it.
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
        // The process may end after its directory entry was read.
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

/// A program with a known process id that ends with the benchmark, however the benchmark ends.
pub struct Leashed {
    leash: Child,
    pid: u32,
}

impl Leashed {
    /// Starts `command`, with its output appended to `log`.
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

    /// Sends SIGTERM, as systemd does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name (`STOP`).
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Returns whether it has ended.
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
