//! The membership of replicas that share the keys of one state, and their leases.
//!
//! Every implementation keeps this contract:
//!
//! - **One lease for all keys of a replica.** A replica *joins* under a number of its own and *renews* that
//!   one entry. The keys it has claimed are its own as long as the entry exists: until the replica leaves, or
//!   until another replica finds the entry expired and evicts it. Renewal and eviction exclude each other.
//! - **A claim has a fencing token**, which is larger than each before it on the same key.
//!   [`StateStore::save`] and [`StateStore::save_verified`] compare the record's [`Lease`] with the current
//!   claim in the same transaction, and fail with [`StateError::Lost`] if they differ.
//! - **One clock.** Only the state's own clock decides whether a lease has ended and when a repair is due.
//!   Processes measure lengths of time and never compare their wall clocks.
//! - **A mark belongs to no replica.** Any process may [`mark`](Membership::mark) a key for repair, whether
//!   it has leased it or not. The repair is due at once, and once more after [`LATE_WRITE`], however soon the
//!   first one was made: what was in flight when the mark was made may still arrive until then. A save whose
//!   record says that the repair is [`done`](crate::model::Repair::done) removes what was due when that
//!   record was loaded (identified by its [`number`](crate::model::Repair::number)), and nothing of a mark
//!   that was made since.
//! - **An intent that changes hands is a mark.** A replica that claims a key with an intent on record finds
//!   the key marked, due after [`LATE_WRITE`]: by then nothing that was in flight can arrive any more. The intent
//!   itself is the reason for the write at once. A mark
//!   that is already due stays due. Of two that are not due yet, the later one stands for both.
//!
//! [`StateStore::save`]: super::StateStore::save
//! [`StateStore::save_verified`]: super::StateStore::save_verified
//! [`Lease`]: crate::model::Lease

use std::time::Duration;

use async_trait::async_trait;

use super::StateError;
use crate::model::{FencingToken, KeyId, ReplicaId};

pub use crate::model::{LATE_WRITE, LONGEST_LEASE};

/// The description that a process gives of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The host and the process, for people.
    pub name: String,
    /// The role of the process.
    pub role: Role,
}

/// The role of a process among those that share the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The process keeps the keys current: it has a share of them and carries out requests.
    Daemon,
    /// The process carries out one command: it has no share of the keys and takes no requests.
    Command,
}

/// The situation that a replica finds after a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of daemons that share the keys, including this process if it is one.
    pub daemons: u32,
    /// The number of daemons that joined before this one: `0..daemons`.
    pub rank: u32,
    /// The number of keys that the other daemons want in addition to theirs.
    pub wanted: u32,
    /// The number of keys that no replica has leased.
    pub free: u32,
    /// The keys of this replica whose repair is due.
    pub due: Vec<KeyId>,
}

/// The parameters of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The length of the lease from now on.
    pub lease: Duration,
    /// The number of keys that this replica wants in addition to its own.
    pub wants: u32,
    /// `true` to evict replicas whose lease has ended. A replica that was cut off itself must not: after an
    /// outage of the state every lease has ended although all replicas are alive.
    pub evict: bool,
}

/// A replica as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The number under which it joined.
    pub id: ReplicaId,
    /// The description that it gave of itself.
    pub member: Member,
    /// `true` if its lease has not ended.
    pub alive: bool,
    /// The number of keys that it has leased.
    pub keys: u32,
}

/// A state whose keys are shared by several processes.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Joins under a new number, with no keys claimed.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn join(&self, member: &Member, lease: Duration) -> Result<ReplicaId, StateError>;

    /// Makes these keys known to the state, so that they can be claimed.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn know(&self, keys: &[KeyId]) -> Result<(), StateError>;

    /// Renews the lease on all keys of this replica. Returns `None` if the replica has been evicted, and has
    /// thereby lost all its keys: it may join again. One that is late and was not evicted keeps its keys.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn renew(
        &self,
        replica: ReplicaId,
        renewal: Renewal,
    ) -> Result<Option<Standing>, StateError>;

    /// Claims up to `most` of these keys, among those that no replica has leased. Two replicas that claim at
    /// the same time get different keys, and neither waits for the other.
    ///
    /// # Errors
    /// Returns [`StateError::Lost`] if this replica has been evicted.
    async fn claim(
        &self,
        replica: ReplicaId,
        keys: &[KeyId],
        most: u32,
    ) -> Result<Vec<(KeyId, FencingToken)>, StateError>;

    /// Releases keys. Those that this replica has not leased are skipped.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn release(&self, replica: ReplicaId, keys: &[KeyId]) -> Result<(), StateError>;

    /// Leaves, and releases all keys.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn leave(&self, replica: ReplicaId) -> Result<(), StateError>;

    /// Marks keys for repair, due at once and once more after [`LATE_WRITE`], whichever replica has leased
    /// them.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn mark(&self, keys: &[KeyId]) -> Result<(), StateError>;

    /// Returns all replicas that have joined and have neither left nor been evicted.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn replicas(&self) -> Result<Vec<Replica>, StateError>;

    /// Returns those of these keys that no replica has leased.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be used.
    async fn unheld(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, StateError>;
}
