//! The resources that the process uses, under the names that Prometheus gives them
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
//!
//! They are read whenever metrics are. All of them can also be read where `/proc` shows a process only
//! itself, and where other users may not inspect the process.

use std::fmt::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The metrics of this process.
#[derive(Debug)]
pub struct Process {
    /// The start by this program's own clock: the kernel's value needs the time of boot, which a sandboxed
    /// service may not read.
    started: f64,
}

impl Process {
    /// Creates the metrics of a process that starts now.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: since.unwrap_or_default().as_secs_f64(),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut tell = |name, help, metric: &dyn Told| metric.tell(&mut encoder, name, help);
        tell(
            "process_start_time_seconds",
            "Unix time at which the process started",
            &ConstGauge::new(self.started),
        )?;
        tell(
            "process_cpu_seconds",
            "Processor time taken, by the user's and the kernel's code",
            &ConstCounter::new(cpu_seconds()),
        )?;
        if let Some(bytes) = resident_bytes() {
            tell(
                "process_resident_memory_bytes",
                "Memory in use",
                &ConstGauge::new(bytes),
            )?;
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // Does not count the descriptor that reads the directory.
            let open = open.count().saturating_sub(1);
            let open = i64::try_from(open).unwrap_or(i64::MAX);
            tell(
                "process_open_fds",
                "File descriptors in use",
                &ConstGauge::new(open),
            )?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            tell(
                "process_max_fds",
                "File descriptors it may use",
                &ConstGauge::new(most),
            )?;
        }
        Ok(())
    }
}

/// A metric of any type.
trait Told {
    fn tell(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), Error>;
}

impl<M: EncodeMetric> Told for M {
    fn tell(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), Error> {
        const NONE: Option<&Unit> = None;
        let metric = encoder.encode_descriptor(name, help, NONE, self.metric_type())?;
        self.encode(metric)
    }
}

fn cpu_seconds() -> f64 {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.split_whitespace().next()?.parse::<i64>().ok()?;
    Some(kibibytes * 1024)
}
