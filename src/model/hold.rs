//! Who may work on a key, where several processes share them.

use std::time::Duration;

/// One process among those that share the keys of a state. It gets a new number each time it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(pub i64);

/// The number of a claim: larger than that of every claim before it on the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// Whose a key is, and since which claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Who holds it.
    pub replica: ReplicaId,
    /// The claim.
    pub fence: Fence,
}

/// A key whose configuration may have been written by somebody who had lost it: the newest value is
/// to be written once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Grows with each mark: a write undoes the marks that were there when it began, and no other.
    pub number: i64,
    /// How long until it is due, counted by the state's own clock. Zero: now.
    pub due_in: Duration,
}
