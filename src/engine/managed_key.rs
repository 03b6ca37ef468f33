//! One configured key, and the right to work on it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::acknowledge_retry::AcknowledgeRetry;
use super::minted::MintedValue;
use super::outcome::Written;
use super::state::State;
use crate::config::KeyConfig;
use crate::model::{KeyId, Lease, Problem, ProblemKind, Version};
use crate::progress::in_line;
use crate::retry::Round;
use crate::rotation::Stage;
use crate::source::Source;

/// A configured key with what this process knows of it.
pub struct ManagedKey {
    /// Its id.
    pub key: KeyId,
    /// Its configuration.
    pub config: Arc<KeyConfig>,
    /// Its source.
    pub source: Arc<dyn Source>,
    /// The keys that read the same secret, this one among them.
    pub readers: Arc<[KeyId]>,
    /// The other keys that read the same secret, if this one is rotated, each with whether it is enabled.
    pub sharers: Arc<[(KeyId, bool)]>,
    /// Places for pushes to its workspace, so that one slow workspace does not fill the target's.
    permits: Arc<Semaphore>,
    memory: Arc<Mutex<KeyMemory>>,
    seen: Arc<parking_lot::Mutex<Seen>>,
}

/// The key's state at the end of the last check by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The state; pending before the first check, and while another replica has the key.
    pub state: State,
    /// The kind of the key's problem, if it has one.
    pub problem: Option<ProblemKind>,
    /// The time at which the check ended.
    pub at: DateTime<Utc>,
    /// The time since which the source has the live value.
    pub created_at: Option<DateTime<Utc>>,
    /// The stage of its rotation, if it is rotated.
    pub rotation: Option<Stage>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            state: State::Pending,
            problem: None,
            at: DateTime::UNIX_EPOCH,
            created_at: None,
            rotation: None,
        }
    }
}

/// The state of a key that is kept only in memory. Rare fields are boxed. It is locked during a check, so that
/// checks of one key never overlap.
#[derive(Debug, Default)]
pub struct KeyMemory {
    pub(super) round: Option<Box<Round>>,
    /// The problem that was logged last, so that it is not logged at each check.
    pub(super) logged_problem: Option<Box<Problem>>,
    /// The version for which white space around the value was last logged.
    pub(super) trimmed: Option<Box<Version>>,
    /// The failed attempts to acknowledge a version.
    pub(super) acknowledge_retry: Option<Box<AcknowledgeRetry>>,
    /// The lease under which it was last checked: under another one a replica may have seen a newer version since.
    pub(super) lease: Option<Lease>,
    /// The value of a key that was made and is not stored yet.
    pub(super) minted: Option<Box<MintedValue>>,
    /// The outcome of a write that could not be saved yet.
    pub(super) unsaved: Option<Box<Written>>,
}

/// The right to work on a key.
pub type KeyGuard = OwnedMutexGuard<KeyMemory>;

impl ManagedKey {
    /// Returns a key that was not checked yet.
    pub fn new(
        key: KeyId,
        config: impl Into<Arc<KeyConfig>>,
        source: Arc<dyn Source>,
        permits: Arc<Semaphore>,
    ) -> Self {
        let config = config.into();
        Self {
            key,
            config,
            source,
            readers: Arc::default(),
            sharers: Arc::default(),
            permits,
            memory: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Returns the key with the keys that read the same secret.
    #[must_use]
    pub fn among(self, readers: Arc<[KeyId]>) -> Self {
        Self { readers, ..self }
    }

    /// Returns the key, which is rotated, with the other keys that read the same secret.
    #[must_use]
    pub fn sharing(self, sharers: Arc<[(KeyId, bool)]>) -> Self {
        Self { sharers, ..self }
    }

    /// Returns the key with what is known of the same key under its former configuration. A check of that still
    /// excludes one of this.
    #[must_use]
    pub fn taking_over(self, old: &Self) -> Self {
        Self {
            memory: Arc::clone(&old.memory),
            seen: Arc::clone(&old.seen),
            ..self
        }
    }

    /// Returns the key's state at the end of the last check by this process.
    pub fn seen(&self) -> Seen {
        *self.seen.lock()
    }

    pub(super) fn was_seen(&self, seen: Seen) {
        *self.seen.lock() = seen;
    }

    /// Waits for a place among the pushes to its workspace.
    pub(super) async fn place(&self) -> SemaphorePermit<'_> {
        in_line(self.permits.acquire()).await.expect("never closed")
    }

    /// Returns the right to work on the key, unless it is taken.
    pub fn try_guard(&self) -> Option<KeyGuard> {
        Arc::clone(&self.memory).try_lock_owned().ok()
    }

    /// Waits for the right to work on the key.
    pub async fn guard(&self) -> KeyGuard {
        Arc::clone(&self.memory).lock_owned().await
    }
}
