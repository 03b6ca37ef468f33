//! What a runtime is built on.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::engine::Changes;
use crate::lease::LeaseTable;
use crate::progress::Checks;
use crate::secret::Fingerprinter;
use crate::state::StateStore;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Outages;

/// What a runtime is built on, and keeps from one configuration to the next.
#[derive(Clone)]
pub struct RuntimeContext {
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// Which keys this process may work on.
    pub leases: Arc<LeaseTable>,
    /// What this process is called among those that share the keys.
    pub replica: Option<String>,
    /// Makes the digests the state keeps.
    pub fingerprinter: Fingerprinter,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Sees whether looks get on.
    pub checks: Arc<Checks>,
    /// Is told when a service goes away and comes back.
    pub outages: Arc<dyn Outages>,
    /// Is told what happens to keys.
    pub changes: Changes,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// What was refused before this is tried again at once.
    pub since: DateTime<Utc>,
}
