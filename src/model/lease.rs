//! Who may work on a key, where several processes share them.

use std::time::Duration;

/// One process among those that share the keys of a state. It gets a new number each time it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(pub i64);

/// The number of a claim: larger than that of every claim before it on the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FencingToken(pub i64);

/// Whose a key is, and since which claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Who holds it.
    pub replica: ReplicaId,
    /// The claim.
    pub fencing_token: FencingToken,
}

/// A key whose configuration may have been written by somebody who had lost it: the newest value is
/// to be written once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repair {
    /// Grows with each mark, and when one comes due: a write takes back what was due when it began,
    /// and nothing that has come since.
    pub number: i64,
    /// How long until it is due, counted by the state's own clock. Zero: now.
    pub due_in: Duration,
    /// It was due when a write began, and that write has succeeded: the save that says so takes the
    /// marks back that were due.
    pub done: bool,
}

impl Repair {
    /// Whether a write is to be made for it now.
    pub fn is_due(&self) -> bool {
        !self.done && self.due_in.is_zero()
    }

    /// After a write that succeeded. One that is not due yet stays: what it is for may still come.
    #[must_use]
    pub fn written(self) -> Self {
        Self {
            done: self.done || self.is_due(),
            ..self
        }
    }
}
