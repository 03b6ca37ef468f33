//! The schedule of a key, and the trait that reconciles it.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::config::Check;
use crate::model::{KeyId, SourceId, WorkspaceId};

/// Reconciles the keys that the dispatcher wakes.
#[async_trait]
pub trait Reconciler: Send + Sync {
    /// Reconciles a key. `planned` is the time of its next run, which is only displayed; `occurrence` is the
    /// cron occurrence that this run is for, if it is for nothing else.
    async fn reconcile(
        &self,
        key: &KeyId,
        planned: Option<DateTime<Utc>>,
        occurrence: Option<DateTime<Utc>>,
    ) -> Requeue;
}

/// The outcome of a reconcile run, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// The time until the next run; `None` for the schedule's next time.
    pub again_in: Option<Duration>,
    /// Nothing keeps the key from being in step. A key that is not well is reconciled again as soon
    /// as the service that failed recovers.
    pub well: bool,
}

/// A key and when it is reconciled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// The key.
    pub key: KeyId,
    /// The interval or the cron line.
    pub check: Check,
    /// The key's source …
    pub source: SourceId,
    /// … and its workspace: keys that have both in common share a limit of runs under way.
    pub workspace: WorkspaceId,
    /// The time of its first run, if it was not scheduled before.
    pub first: First,
}

/// The time of the first run of a key that was not scheduled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// At once.
    Now,
    /// At the next time of its schedule, because another process has reconciled it.
    OnSchedule,
}
