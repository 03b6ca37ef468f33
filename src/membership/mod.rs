//! Sharing the keys of one state among processes.
//!
//! Once a second a replica renews its lease, learns how things stand, and claims or gives back what
//! brings it nearer to its share: [`balance`] decides that, [`MembershipTask`] carries it out. It never
//! works on a key, and does not know who does: that is the [`Worker`]'s.
//!
//! What it keeps to:
//!
//! - **Told before anything else.** A key that may have been written too late is marked in the state
//!   as soon as the state answers.
//! - **Nothing is held by accident.** A claim whose answer was lost may have been carried out: it is
//!   given back before the next one. What the state counts is compared now and then with what this
//!   process knows.
//! - **Nobody works on what is given back.** The right to work on it is taken first, and let go when
//!   the state has it.

pub mod balance;
pub mod command;
mod first;
#[cfg(test)]
mod memory;
mod task;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::KeyId;
use crate::state::StateError;
use crate::state::membership::Member;

pub use first::is_due;
pub use task::MembershipTask;

/// How a process shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What it says of itself.
    pub member: Member,
    /// How long it holds its keys after it was last heard of.
    pub lease: Duration,
}

/// Whoever works on the keys this process holds.
#[async_trait]
pub trait Worker: Send + Sync {
    /// The keys that the configuration asks for.
    fn configured(&self) -> BTreeSet<KeyId>;

    /// Keeps everybody from up to `most` of these keys that nobody works on at this moment, for as
    /// long as what it returns lives.
    fn set_aside(&self, keys: &[KeyId], most: usize) -> Vec<SetAside>;

    /// Writes what is still to be written about the keys held.
    ///
    /// # Errors
    /// [`StateError`].
    async fn flush(&self) -> Result<(), StateError>;

    /// These keys are this process's from now on.
    async fn took(&self, keys: &[KeyId]);

    /// These are not any more.
    fn lost(&self, keys: &[KeyId]);

    /// These are to be looked at now.
    fn check_now(&self, keys: &[KeyId]);

    /// Whether the state answers. Without it nothing can be done to a key.
    fn state_answers(&self, answers: bool);

    /// This process has its place among the others.
    fn joined(&self);
}

/// A key that nobody works on until this is dropped.
pub struct SetAside {
    /// Which.
    pub key: KeyId,
    /// The right to work on it; `None` where there is nobody who could.
    pub guard: Option<Box<dyn Send>>,
}
