//! The state, and the keys that processes share through it.

use super::{Metrics, OutcomeLabel};

impl Metrics {
    /// Whether the state answers.
    pub fn state_up(&self, up: bool) {
        self.state_up.set(i64::from(up));
    }

    /// How many processes share the keys, and how many of them this one has.
    pub fn sharing(&self, replicas: u32, held: usize) {
        self.replicas.set(replicas.into());
        self.keys_held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// How many configured keys nobody works on.
    pub fn keys_free(&self, keys: usize) {
        self.keys_free.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// One renewal of the lease: `renewed`, `lost` or `failed`.
    pub fn lease_renewal(&self, outcome: &'static str) {
        let outcome = outcome.to_owned();
        self.lease_renewals
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}
