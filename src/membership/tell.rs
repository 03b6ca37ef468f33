//! What the log and the metrics say of sharing.

use std::sync::Arc;

use crate::model::KeyId;
use crate::state::StateError;
use crate::state::membership::Standing;
use crate::telemetry::event;
use crate::telemetry::metrics::Metrics;

/// Says each thing once.
pub struct Teller {
    metrics: Arc<Metrics>,
}

impl Teller {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }

    /// How a renewal ended.
    pub fn renewal(&self, renewed: &Result<Option<Standing>, StateError>) {
        self.metrics.lease_renewal(match renewed {
            Ok(Some(_)) => "renewed",
            Ok(None) => "lost",
            Err(_) => "failed",
        });
    }

    /// How things stand.
    pub fn standing(&self, replicas: u32, held: usize) {
        self.metrics.sharing(replicas, held);
    }

    /// How many of the configured keys nobody holds.
    pub fn free(&self, keys: usize) {
        self.metrics.keys_free(keys);
    }

    /// Keys were claimed.
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

    /// Keys were given back.
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

    /// Everything is lost.
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
