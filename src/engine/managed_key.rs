//! One configured key, and the right to work on it.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::acknowledge::Telling;
use super::report::State;
use super::written::Written;
use crate::config::KeyConfig;
use crate::model::{KeyId, Problem, ProblemKind, Version};
use crate::progress::in_line;
use crate::retry::Round;
use crate::source::Source;

/// One configured key.
pub struct ManagedKey {
    /// Its id.
    pub key: KeyId,
    /// What the configuration says of it.
    pub config: Arc<KeyConfig>,
    /// The source it names.
    pub source: Arc<dyn Source>,
    /// The keys that read the same secret, this one among them.
    pub readers: Arc<[KeyId]>,
    /// Places for pushes to its workspace, so that one slow workspace does not fill the target's.
    permits: Arc<Semaphore>,
    memory: Arc<Mutex<KeyMemory>>,
    seen: Arc<std::sync::Mutex<Seen>>,
}

/// How a key stood at the end of the last look of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// In a word; pending before the first look, and while the key is another replica's.
    pub state: State,
    /// The kind of what stands in its way, if anything does.
    pub problem: Option<ProblemKind>,
    /// When the look ended.
    pub at: DateTime<Utc>,
    /// Since when the source has what is live.
    pub created_at: Option<DateTime<Utc>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            state: State::Pending,
            problem: None,
            at: DateTime::UNIX_EPOCH,
            created_at: None,
        }
    }
}

/// What is known of a key only while the process lives; what is rare of it takes no place before it
/// is there. Whoever holds it works on the key: looks at one key never overlap.
#[derive(Debug, Default)]
pub struct KeyMemory {
    pub(super) round: Option<Box<Round>>,
    /// The problem last logged, so that it is logged once and not at every look.
    pub(super) told: Option<Box<Problem>>,
    /// The version whose white space was last warned of.
    pub(super) trimmed: Option<Box<Version>>,
    /// The store could not be told which version is live.
    pub(super) telling: Option<Box<Telling>>,
    /// What a write has come to that the state could not be told.
    pub(super) unsaved: Option<Box<Written>>,
}

/// The right to work on a key.
pub type KeyGuard = OwnedMutexGuard<KeyMemory>;

impl ManagedKey {
    /// A key that nobody has worked on.
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
            permits,
            memory: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// The same key among others that read the same secret.
    #[must_use]
    pub fn among(self, readers: Arc<[KeyId]>) -> Self {
        Self { readers, ..self }
    }

    /// The same key under another configuration. Work under way on the old one still excludes
    /// work on this one.
    #[must_use]
    pub fn taking_over(self, old: &Self) -> Self {
        Self {
            memory: Arc::clone(&old.memory),
            seen: Arc::clone(&old.seen),
            ..self
        }
    }

    /// How it stood at the end of the last look of this process.
    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn was_seen(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Waits for a place among the pushes to its workspace.
    pub(super) async fn place(&self) -> SemaphorePermit<'_> {
        in_line(self.permits.acquire()).await.expect("never closed")
    }

    /// The right to work on it, unless somebody has it.
    pub fn try_guard(&self) -> Option<KeyGuard> {
        Arc::clone(&self.memory).try_lock_owned().ok()
    }

    /// The right to work on it, after whoever has it.
    pub async fn guard(&self) -> KeyGuard {
        Arc::clone(&self.memory).lock_owned().await
    }
}
