//! Upstreams for tests that call a service without a daemon.

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::retry::Limits;
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::upstream::{Outages, Terms, Upstream};
use parking_lot::Mutex;

/// Returns an upstream without a rate limit that probes a failed service almost at once.
pub fn upstream(service: &str) -> Upstream {
    Bench::new(service, Duration::from_secs(30)).upstream
}

/// An upstream, with its metrics and reports.
pub struct Bench {
    /// The upstream.
    pub upstream: Upstream,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The outages it reports.
    pub reports: Arc<Reports>,
}

impl Bench {
    /// Returns an upstream as [`upstream`] does, with this time limit for a call.
    pub fn new(service: &str, timeout: Duration) -> Self {
        let retry = Limits {
            initial: Duration::from_millis(10),
            max: Duration::from_millis(50),
            give_up_after: Duration::from_secs(300),
        };
        let terms = Terms {
            permits: 16,
            max_rps: None,
            timeout,
            retry,
        };
        let metrics = Arc::new(Metrics::new());
        let reports = Arc::new(Reports::default());
        Self {
            upstream: Upstream::new(service, terms, metrics.clone(), reports.clone()),
            metrics,
            reports,
        }
    }
}

/// Returns the number of calls that the metrics count for an operation and a status.
pub fn calls(metrics: &Metrics, operation: &str, status: &str) -> u64 {
    let labels = format!("operation=\"{operation}\",status=\"{status}\"}} ");
    let text = metrics.render();
    let counts = text.lines().filter_map(|line| line.split_once(&*labels));
    counts
        .map(|(_, count)| count.parse::<u64>().expect("a count"))
        .sum()
}

/// The outages that an upstream reported.
#[derive(Default)]
pub struct Reports(Mutex<Vec<String>>);

impl Reports {
    /// Returns every report so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    fn push(&self, text: String) {
        self.0.lock().push(text);
    }
}

impl Outages for Reports {
    fn unavailable(&self, _: &str, error: &str, _: Duration) {
        self.push(format!("unavailable: {error}"));
    }
    fn recovered(&self, _: &str, _: Duration) {
        self.push("recovered".to_owned());
    }
}
