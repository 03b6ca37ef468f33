//! The leases by which several processes share the keys.

use std::time::Duration;

/// The number of a replica in the membership of a state. A process gets a new one each time it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(pub i64);

/// The fencing token of a lease: larger than that of every earlier lease on the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FencingToken(pub i64);

/// The longest possible lease. One that ends further ahead was granted by a clock that has been set back
/// since.
pub const LONGEST_LEASE: Duration = Duration::from_secs(5 * 60);

/// The time after a key has changed hands during which a write in flight may still arrive: the longest time
/// that a request to Flashback is waited for, and as long again for everything in between.
pub const LATE_WRITE: Duration = Duration::from_secs(40);

/// The lease on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The replica that has the key.
    pub replica: ReplicaId,
    /// The fencing token of its lease.
    pub fencing_token: FencingToken,
}

/// A mark for repair: a replica that had lost the key may have written to Flashback, so what should be live is to
/// be written once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repair {
    /// The number of the mark. It grows with each mark, and when a delayed mark comes due. A save clears the mark only
    /// if its number is still this one.
    pub number: i64,
    /// The time until the repair is due, by the state's clock; zero if it is due now.
    pub due_in: Duration,
    /// `true` if a write that began when the repair was due has succeeded. Saving the record then clears the mark.
    pub done: bool,
}

impl Repair {
    /// Returns `true` if a write is to be made for it now.
    pub fn is_due(&self) -> bool {
        !self.done && self.due_in.is_zero()
    }

    /// Returns the mark after a write that succeeded. A mark that is not due yet stays: the late write it waits for may
    /// still arrive.
    #[must_use]
    pub fn written(self) -> Self {
        Self {
            done: self.done || self.is_due(),
            ..self
        }
    }
}
