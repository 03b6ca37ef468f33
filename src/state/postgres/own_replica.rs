//! The replica id under which this process has joined the membership.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::ReplicaId;

/// The number under which this process has joined; zero while it has not.
#[derive(Default)]
pub(super) struct OwnReplica(AtomicI64);

impl OwnReplica {
    /// Remembers the number under which the process has joined.
    pub(super) fn joined(&self, replica: ReplicaId) {
        self.0.store(replica.0, Ordering::Relaxed);
    }

    /// Forgets that number, unless the process has joined under another one since.
    pub(super) fn left(&self, replica: ReplicaId) {
        let relaxed = Ordering::Relaxed;
        let _ = self.0.compare_exchange(replica.0, 0, relaxed, relaxed);
    }

    /// Returns the number under which the process has joined.
    pub(super) fn replica(&self) -> Option<i64> {
        let replica = self.0.load(Ordering::Relaxed);
        (replica != 0).then_some(replica)
    }
}
