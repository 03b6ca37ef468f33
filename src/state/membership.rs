//! How several processes share the keys of one state.
//!
//! The contract every such store keeps, in prose:
//!
//! - **One lease for all a replica holds.** A replica *joins* under a number of its own and *renews*
//!   that one entry; what it has claimed is its own as long as the entry is there. It is there until
//!   the replica leaves, or until another one, which finds its time over, strikes it out. Renewing and
//!   striking out exclude each other.
//! - **A claim has a fence**, larger than each before it on the same key. [`StateStore::save`] and
//!   [`StateStore::save_verified`] compare the record's [`Lease`] with the claim there is, in the same
//!   transaction, and refuse with [`StateError::Lost`] where it is another.
//! - **One clock.** Whether a lease is over, and when a repair is due, is told by the state's own
//!   clock alone. Processes measure lengths of time, and never compare their time of day.
//! - **A mark is nobody's.** Anyone may [`mark`](Membership::mark) a key for repair, holding it or not. It is
//!   due at once, and once more after [`LATE_WRITE`], however soon it was heeded: what was under way
//!   when it was made may still arrive until then. A save whose record says that the repair is
//!   [`done`](crate::model::Repair::done) takes back what was due when that record was loaded (its
//!   [`number`](crate::model::Repair::number) tells), and nothing of a mark that was made since.
//! - **An intent that changes hands is a mark.** Whoever claims a key with an intent on record finds it
//!   marked, due after [`LATE_WRITE`]: by then nothing that was under way can arrive any more. A mark
//!   that is due stays so. Of two that are still to come due the later one stands for both.
//!
//! [`StateStore::save`]: super::StateStore::save
//! [`StateStore::save_verified`]: super::StateStore::save_verified
//! [`Lease`]: crate::model::Lease

use std::time::Duration;

use async_trait::async_trait;

use super::StateError;
use crate::model::{FencingToken, KeyId, ReplicaId};

/// How long after a change of hands a write that was under way may still arrive: the longest a
/// request to Flashback is waited for, and as long again for what stands between.
pub const LATE_WRITE: Duration = Duration::from_secs(40);

/// No lease is longer. One that lies further ahead was given by a clock that was set back since.
pub const LONGEST_LEASE: Duration = Duration::from_secs(5 * 60);

/// What a process says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// For people: host and process.
    pub name: String,
    /// What it is there for.
    pub role: Role,
}

/// What a process shares the keys for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To keep them current: it takes its share, and carries out requests.
    Daemon,
    /// For one command. It has no share, and takes no requests.
    Command,
}

/// How things stand after a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many daemons share the keys, this process among them if it is one.
    pub daemons: u32,
    /// How many of them joined before this one: `0..daemons`.
    pub rank: u32,
    /// How many more keys the other daemons would like to have.
    pub wanted: u32,
    /// How many keys are nobody's.
    pub free: u32,
    /// The keys of this replica whose repair is due.
    pub due: Vec<KeyId>,
}

/// What a renewal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// How long the lease is from now on.
    pub lease: Duration,
    /// How many more keys this replica would like to have.
    pub wants: u32,
    /// Strike out replicas whose lease is over. Whoever was away itself must not: after an outage of
    /// the state everybody's lease is over, and all of them are alive.
    pub evict: bool,
}

/// A replica, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its number.
    pub id: ReplicaId,
    /// What it says of itself.
    pub member: Member,
    /// Its lease is not over.
    pub alive: bool,
    /// How many keys it holds.
    pub keys: u32,
}

/// A state whose keys are shared.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Joins under a new number, with nothing claimed.
    ///
    /// # Errors
    /// [`StateError`].
    async fn join(&self, member: &Member, lease: Duration) -> Result<ReplicaId, StateError>;

    /// Lets the state know of these keys, so that they can be claimed.
    ///
    /// # Errors
    /// [`StateError`].
    async fn know(&self, keys: &[KeyId]) -> Result<(), StateError>;

    /// Renews all that this replica holds. `None` where it has been struck out, and with it every
    /// claim: it may join again. One that is late and was not struck out keeps what it has.
    ///
    /// # Errors
    /// [`StateError`].
    async fn renew(
        &self,
        replica: ReplicaId,
        renewal: Renewal,
    ) -> Result<Option<Standing>, StateError>;

    /// Claims up to `most` of these keys that are nobody's. Two that claim at once get different
    /// ones, and neither waits for the other.
    ///
    /// # Errors
    /// [`StateError::Lost`] where this replica has been struck out.
    async fn claim(
        &self,
        replica: ReplicaId,
        keys: &[KeyId],
        most: u32,
    ) -> Result<Vec<(KeyId, FencingToken)>, StateError>;

    /// Gives keys back; those it does not hold are passed over.
    ///
    /// # Errors
    /// [`StateError`].
    async fn release(&self, replica: ReplicaId, keys: &[KeyId]) -> Result<(), StateError>;

    /// Leaves, and gives everything back.
    ///
    /// # Errors
    /// [`StateError`].
    async fn leave(&self, replica: ReplicaId) -> Result<(), StateError>;

    /// Marks keys for repair, due at once and once more after [`LATE_WRITE`], whoever holds them.
    ///
    /// # Errors
    /// [`StateError`].
    async fn mark(&self, keys: &[KeyId]) -> Result<(), StateError>;

    /// Everybody who has joined and was not struck out.
    ///
    /// # Errors
    /// [`StateError`].
    async fn replicas(&self) -> Result<Vec<Replica>, StateError>;

    /// Which of these keys nobody holds.
    ///
    /// # Errors
    /// [`StateError`].
    async fn unheld(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, StateError>;
}
