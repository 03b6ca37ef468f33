//! What a process knows of its lease: no clock, no waiting, so that every order of events can be laid
//! before it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{FencingToken, KeyId, Lease, ReplicaId};

/// The part of a lease at its end that is not made use of: clocks do not run equally fast, and who
/// breaks a write off needs a moment.
const UNUSED: u32 = 10;

/// One process's lease, and what it has claimed under it.
#[derive(Clone, Debug, Default)]
pub struct HeldLeases {
    replica: Option<ReplicaId>,
    /// Nothing is written from here on.
    until: Option<Instant>,
    claims: HashMap<KeyId, FencingToken>,
    late_writes: BTreeSet<KeyId>,
}

impl HeldLeases {
    /// It has joined under this number, and holds nothing.
    pub fn joined(&mut self, replica: ReplicaId) {
        self.replica = Some(replica);
        self.claims.clear();
    }

    /// A lease of this length was given. It was asked for at `asked_at`, and answers may come in
    /// another order than they were asked for.
    pub fn renewed(&mut self, asked_at: Instant, lease: Duration) {
        let until = asked_at + (lease - lease / UNUSED);
        self.until = self.until.max(Some(until));
    }

    /// These were claimed.
    pub fn claimed(&mut self, claims: impl IntoIterator<Item = (KeyId, FencingToken)>) {
        self.claims.extend(claims);
    }

    /// It holds this key no more.
    pub fn gave_up(&mut self, key: &KeyId) {
        self.claims.remove(key);
    }

    /// It was struck out: it holds nothing any more.
    pub fn evicted(&mut self) {
        self.replica = None;
        self.until = None;
        self.claims.clear();
    }

    /// The keys it holds.
    pub fn keys(&self) -> BTreeSet<KeyId> {
        self.claims.keys().cloned().collect()
    }

    /// Whether the key is held.
    pub fn has(&self, key: &KeyId) -> bool {
        self.claims.contains_key(key)
    }

    /// Whether the key is held under this very claim.
    pub fn holds(&self, key: &KeyId, lease: Option<Lease>) -> bool {
        lease.is_some_and(|lease| {
            self.replica == Some(lease.replica)
                && self.claims.get(key) == Some(&lease.fencing_token)
        })
    }

    /// Until when the key may be written, as far as is known at `now`; `None` where it may not.
    ///
    /// A claim whose time is over may come to life again: whoever is late renews what it has, unless
    /// it was struck out meanwhile.
    pub fn may_write(&self, key: &KeyId, lease: Option<Lease>, now: Instant) -> Option<Instant> {
        let until = self.until.filter(|until| now < *until)?;
        self.holds(key, lease).then_some(until)
    }

    /// A write of this key was begun, and may have been carried out after the lease was over.
    pub fn late_write(&mut self, key: &KeyId) {
        self.late_writes.insert(key.clone());
    }

    /// Takes the strays that the state was not told of yet.
    pub fn take_late_writes(&mut self) -> BTreeSet<KeyId> {
        std::mem::take(&mut self.late_writes)
    }

    /// Whether there are strays that the state was not told of.
    #[cfg(test)]
    pub fn has_late_writes(&self) -> bool {
        !self.late_writes.is_empty()
    }

    /// All that decides how it goes on, where nothing but whole leases passes.
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
