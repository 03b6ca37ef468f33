//! The state of a replica's lease. It reads no clock and does not wait, so that the model can present it with
//! every order of events.

#[cfg(test)]
mod model;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::model::{FencingToken, KeyId, Lease, ReplicaId};

/// The fraction of a lease that is left unused at its end: one part in this many. Clocks do not run equally
/// fast, and stopping a write takes a moment.
const UNUSED: u32 = 10;

/// The lease of one replica, and the keys claimed under it.
#[derive(Clone, Debug, Default)]
pub struct HeldLeases {
    replica: Option<ReplicaId>,
    /// The time from which on nothing is written.
    until: Option<Instant>,
    claims: HashMap<KeyId, FencingToken>,
    late_writes: BTreeSet<KeyId>,
}

impl HeldLeases {
    /// Records that this process has joined as `replica`, with no keys.
    pub fn joined(&mut self, replica: ReplicaId) {
        self.replica = Some(replica);
        self.claims.clear();
    }

    /// Records a lease of this length, which was requested at `asked_at`. Answers may arrive in a different
    /// order than they were requested, so the latest end counts.
    pub fn renewed(&mut self, asked_at: Instant, lease: Duration) {
        let until = asked_at + (lease - lease / UNUSED);
        self.until = self.until.max(Some(until));
    }

    /// Records that these keys were claimed, with their fencing tokens.
    pub fn claimed(&mut self, claims: impl IntoIterator<Item = (KeyId, FencingToken)>) {
        self.claims.extend(claims);
    }

    /// Records that this process has given up the lease on a key.
    pub fn gave_up(&mut self, key: &KeyId) {
        self.claims.remove(key);
    }

    /// Records that this replica was evicted: it has lost all its keys.
    pub fn evicted(&mut self) {
        self.replica = None;
        self.until = None;
        self.claims.clear();
    }

    /// Returns the leased keys.
    pub fn keys(&self) -> BTreeSet<KeyId> {
        self.claims.keys().cloned().collect()
    }

    /// Returns `true` if the key is leased to this process.
    pub fn has(&self, key: &KeyId) -> bool {
        self.claims.contains_key(key)
    }

    /// Returns `true` if the key is leased under exactly this replica id and fencing token.
    pub fn holds(&self, key: &KeyId, lease: Option<Lease>) -> bool {
        lease.is_some_and(|lease| {
            self.replica == Some(lease.replica)
                && self.claims.get(key) == Some(&lease.fencing_token)
        })
    }

    /// Returns the time until which the key may be written, as known at `now`, or `None` if it must not be
    /// written.
    ///
    /// An expired lease can become valid again: a replica that renews it late keeps its keys, unless it was evicted
    /// meanwhile.
    pub fn may_write(&self, key: &KeyId, lease: Option<Lease>, now: Instant) -> Option<Instant> {
        let until = self.until.filter(|until| now < *until)?;
        self.holds(key, lease).then_some(until)
    }

    /// Records that a write of this key was begun and may take effect after the end of the lease.
    pub fn late_write(&mut self, key: &KeyId) {
        self.late_writes.insert(key.clone());
    }

    /// Takes the late writes that have not been reported to the state.
    pub fn take_late_writes(&mut self) -> BTreeSet<KeyId> {
        std::mem::take(&mut self.late_writes)
    }

    /// Returns `true` if there are late writes that have not been reported to the state.
    #[cfg(test)]
    pub fn has_late_writes(&self) -> bool {
        !self.late_writes.is_empty()
    }

    /// Returns everything that determines the future behaviour, provided that time passes in whole leases
    /// only.
    #[cfg(test)]
    pub fn outline(&self, now: Instant) -> impl std::hash::Hash + use<> {
        let Self {
            replica,
            until,
            claims,
            late_writes,
        } = self;
        let fences: Vec<_> = claims.values().copied().collect();
        let left = until.map(|until| now < until);
        (*replica, left, fences, late_writes.len())
    }
}
