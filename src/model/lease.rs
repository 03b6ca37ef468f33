//! Leases on keys, where several processes share them.

use std::time::Duration;

/// One of the processes that share the keys of a state. A process gets a new number each time it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(pub i64);

/// The fencing token of a lease: larger than that of every earlier lease on the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FencingToken(pub i64);

/// The lease on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The replica that has it.
    pub replica: ReplicaId,
    /// The fencing token under which it was granted.
    pub fencing_token: FencingToken,
}

/// A mark on a key whose configuration may have been written by a replica after its lease was over: the
/// newest value must be written once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repair {
    /// The number of the mark. It grows with each new mark, and when one comes due, so that a write clears
    /// only the marks that were due when it began.
    pub number: i64,
    /// The time until it is due, by the state's own clock. Zero means now.
    pub due_in: Duration,
    /// `true` if a write that began when it was due has succeeded. The save that records the write clears the
    /// marks that were due.
    pub done: bool,
}

impl Repair {
    /// Returns whether a write is to be made for it now.
    pub fn is_due(&self) -> bool {
        !self.done && self.due_in.is_zero()
    }

    /// Returns the mark after a write that succeeded. One that is not due yet stays, because the late write
    /// that it waits for may still arrive.
    #[must_use]
    pub fn written(self) -> Self {
        Self {
            done: self.done || self.is_due(),
            ..self
        }
    }
}
