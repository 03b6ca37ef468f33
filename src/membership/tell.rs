//! The log events and metrics of membership.

use std::sync::Arc;

use crate::model::KeyId;
use crate::state::StateError;
use crate::state::membership::Standing;
use crate::telemetry::event;
use crate::telemetry::metrics::Metrics;

/// Writes the events and sets the metrics.
pub struct Teller {
    metrics: Arc<Metrics>,
}

impl Teller {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }

    /// Counts a renewal by its outcome.
    pub fn renewal(&self, renewed: &Result<Option<Standing>, StateError>) {
        self.metrics.lease_renewal(match renewed {
            Ok(Some(_)) => "renewed",
            Ok(None) => "lost",
            Err(_) => "failed",
        });
    }

    /// Sets the number of replicas and of leased keys.
    pub fn standing(&self, replicas: u32, held: usize) {
        self.metrics.sharing(replicas, held);
    }

    /// Sets the number of configured keys that no replica has leased.
    pub fn free(&self, keys: usize) {
        self.metrics.keys_free(keys);
    }

    /// Reports that keys were claimed.
    pub fn claimed(&self, keys: &[KeyId], held: usize, replicas: u32) {
        self.metrics.sharing(replicas, held);
        tracing::info!(
            event = event::KEYS_CLAIMED,
            keys = keys.len(),
            held,
            replicas,
            "keys were nobody's and are this replica's now"
        );
        tracing::debug!(?keys, "claimed");
    }

    /// Reports that keys were released.
    pub fn released(&self, keys: &[KeyId], held: usize, replicas: u32) {
        if keys.is_empty() {
            return;
        }
        self.metrics.sharing(replicas, held);
        tracing::info!(
            event = event::KEYS_RELEASED,
            keys = keys.len(),
            held,
            replicas,
            "keys were given back for another replica to claim"
        );
        tracing::debug!(?keys, "given back");
    }

    /// Reports that all keys were lost.
    pub fn lost(&self, keys: usize, why: &str) {
        self.metrics.sharing(0, 0);
        tracing::warn!(
            event = event::LEASE_LOST,
            keys,
            error = why,
            "the other replicas take over what this one held; it joins them again"
        );
    }
}
