//! The parts of a process that outlive a configuration.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::engine::{Changes, Tellings};
use crate::lease::LeaseTable;
use crate::progress::Checks;
use crate::secret::Fingerprinter;
use crate::state::StateStore;
use crate::telemetry::metrics::Metrics;
use crate::trigger::Feed;
use crate::upstream::Outages;

/// The parts of a process that a runtime is built on, and that stay the same across reloads.
#[derive(Clone)]
pub struct RuntimeContext {
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// The keys that this process may work on.
    pub leases: Arc<LeaseTable>,
    /// The name of this process among the replicas that share the keys.
    pub replica: Option<String>,
    /// Makes the digests that the state keeps.
    pub fingerprinter: Fingerprinter,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Watches that checks make progress.
    pub checks: Arc<Checks>,
    /// Is notified when a service becomes unavailable and when it recovers.
    pub outages: Arc<dyn Outages>,
    /// What the triggers have heard.
    pub feed: Arc<Feed>,
    /// What events have told about keys.
    pub told: Arc<Tellings>,
    /// Is notified of changes of keys.
    pub changes: Changes,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// The time before which refusals no longer count: a write that was refused earlier is tried again at once.
    pub since: DateTime<Utc>,
}
