//! What is scheduled, and who is woken for it.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::config::Check;
use crate::model::{KeyId, SourceId, WorkspaceId};

/// Does the looking.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// Looks at a key. `planned` is the time of its next look, for people to see; `occurrence` is the
    /// cron occurrence that this look is for, where it is for nothing else.
    async fn reconcile(
        &self,
        key: &KeyId,
        planned: Option<DateTime<Utc>>,
        occurrence: Option<DateTime<Utc>>,
    ) -> Requeue;
}

/// How a look ended, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// Look again after this long; `None` for the schedule's next time.
    pub again_in: Option<Duration>,
    /// Nothing stands in the way of the key. One that is not well is looked at again as soon as
    /// what failed comes back.
    pub well: bool,
}

/// A key and when it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The key.
    pub key: KeyId,
    /// When.
    pub check: Check,
    /// Its source …
    pub source: SourceId,
    /// … and its workspace: looks at keys that have both in common share a limit.
    pub workspace: WorkspaceId,
    /// Where it was not scheduled before: when its first look is.
    pub first: First,
}

/// When a key that was not scheduled before is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// At once.
    Now,
    /// When its schedule says: another process has looked at it.
    OnSchedule,
}
