//! The membership of a process among those that share the keys of one state.
//!
//! At each tick, about twice a second, a replica renews its lease, learns how many keys are free and wanted,
//! and claims or releases keys to get closer to its share: [`balance`] decides, and [`MembershipTask`]
//! carries it out. The task does not work on keys itself and does not know how that is done: this is the
//! business of the [`Worker`].
//!
//! It guarantees the following:
//!
//! - **Late writes are reported first.** A key that may have been written after its lease is marked in the
//!   state as soon as the state answers, before anything else.
//! - **No key stays leased by accident.** A claim whose answer was lost may have been carried out, so its
//!   keys are released before the next claim. The number of keys that the state counts is compared from time
//!   to time with what this process knows.
//! - **A key is not worked on while it is released.** Its guard is taken first, and dropped once the state
//!   has recorded the release.
//!
//! A second task, [`WakeupTask`](wakeups::WakeupTask), wakes keys of whose changes another replica has heard.

pub mod balance;
pub mod command;
mod first;
#[cfg(test)]
mod memory;
mod task;
mod tell;
#[cfg(test)]
mod tests;
pub mod wakeups;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::KeyId;
use crate::state::StateError;
use crate::state::membership::Member;

pub use first::is_due;
pub use task::MembershipTask;

/// The terms on which a process becomes a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The description that the process gives of itself.
    pub member: Member,
    /// The time for which its keys stay leased after its last renewal.
    pub lease: Duration,
}

/// The part of the process that works on the leased keys.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Returns the keys that the configuration names.
    fn configured(&self) -> BTreeSet<KeyId>;

    /// Reserves up to `most` of these keys, leaving out those that are being worked on. No work begins on
    /// them while the returned values live.
    fn set_aside(&self, keys: &[KeyId], most: usize) -> Vec<SetAside>;

    /// Writes pending notes about the leased keys to the state.
    ///
    /// # Errors
    /// Returns [`StateError`] if the notes could not be written.
    async fn flush(&self) -> Result<(), StateError>;

    /// Tells the worker that these keys are now leased to this process.
    async fn took(&self, keys: &[KeyId]);

    /// Tells the worker that these keys are no longer leased to this process.
    fn lost(&self, keys: &[KeyId]);

    /// Has these keys checked now.
    fn check_now(&self, keys: &[KeyId]);

    /// Tells the worker whether the state answers. Nothing can be done to a key without it.
    fn state_answers(&self, answers: bool);

    /// Tells the worker that this process has joined and has completed a tick.
    fn joined(&self);
}

/// A key that is not worked on until this is dropped.
pub struct SetAside {
    /// The key.
    pub key: KeyId,
    /// The guard of the key; `None` if the key is not configured, so that no work could begin on it.
    pub guard: Option<Box<dyn Send>>,
}
