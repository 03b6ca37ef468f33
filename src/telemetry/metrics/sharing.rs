//! The metrics of the state, and of the keys that processes share through it.

use super::{Metrics, OutcomeLabel};

impl Metrics {
    /// Sets whether the state answers.
    pub fn state_up(&self, up: bool) {
        self.state_up.set(i64::from(up));
    }

    /// Sets the number of processes that share the keys, and the number of keys leased to this one.
    pub fn sharing(&self, replicas: u32, held: usize) {
        self.replicas.set(replicas.into());
        self.keys_held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// Sets the number of configured keys that no process works on.
    pub fn keys_free(&self, keys: usize) {
        self.keys_free.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Counts one renewal of the lease: `renewed`, `lost` or `failed`.
    pub fn lease_renewal(&self, outcome: &'static str) {
        let outcome = outcome.to_owned();
        self.lease_renewals
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}
