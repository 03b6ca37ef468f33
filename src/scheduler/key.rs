//! What the dispatcher knows of a key and of the queue it waits in.

use std::collections::{HashMap, VecDeque};
use std::ops::{Index, IndexMut};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{First, Scheduled};
use crate::config::Check;
use crate::model::{KeyId, SourceId, WorkspaceId};

/// A key as the dispatcher sees it.
pub struct Key {
    pub check: Check,
    pub queue: QueueId,
    pub place: Place,
    /// No look before this: a round of tries is waiting.
    pub not_before: Instant,
    /// The entry of `later` that counts; any other is out of date.
    pub wake_at: Option<Instant>,
    pub again: Again,
    /// The cron occurrence that it waits to be looked at for, where that is all it waits for.
    pub occurrence: Option<DateTime<Utc>>,
    /// Its place on its ring has changed since its last turn.
    pub moved: bool,
    /// When the last look began.
    pub looked_at: Option<Instant>,
    pub well: bool,
    /// Still in the configuration.
    pub scheduled: bool,
    /// Requeue at once at least.
    pub seen: bool,
}

impl Key {
    /// One that is to be looked at.
    pub fn new(check: Check, queue: QueueId) -> Self {
        Self {
            check,
            queue,
            place: Place::Idle,
            not_before: Instant::now(),
            wake_at: None,
            again: Again::No,
            occurrence: None,
            moved: false,
            looked_at: None,
            well: true,
            scheduled: true,
            seen: false,
        }
    }

    /// What it was scheduled by, to be looked at once more.
    pub fn into_scheduled(self, key: KeyId, queues: &Queues) -> Scheduled {
        let Queue {
            source, workspace, ..
        } = &queues[self.queue];
        Scheduled {
            key,
            check: self.check,
            source: source.clone(),
            workspace: workspace.clone(),
            first: First::Now,
        }
    }
}

/// Whether a look under way is followed by another at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    No,
    /// What it failed at is back since.
    IfNotWell,
    /// It looks at what is out of date.
    Yes,
}

/// Where a key is between two looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Idle,
    Queued,
    UnderWay,
}

/// Keys that wait for each other: a slow source holds up its own keys and no others, and so does a
/// slow workspace.
pub struct Queue {
    pub source: SourceId,
    pub workspace: WorkspaceId,
    pub under_way: usize,
    pub waiting: VecDeque<KeyId>,
}

/// Which of the [`Queues`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueId(usize);

/// Every queue that was asked for; one that no key is in any more is an empty one.
#[derive(Default)]
pub struct Queues {
    all: Vec<Queue>,
    names: HashMap<(SourceId, WorkspaceId), QueueId>,
}

impl Queues {
    /// The queue of this source and this workspace.
    pub fn of(&mut self, source: &SourceId, workspace: &WorkspaceId) -> QueueId {
        let name = (source.clone(), workspace.clone());
        *self.names.entry(name).or_insert_with(|| {
            self.all.push(Queue {
                source: source.clone(),
                workspace: workspace.clone(),
                under_way: 0,
                waiting: VecDeque::new(),
            });
            QueueId(self.all.len() - 1)
        })
    }
}

impl Index<QueueId> for Queues {
    type Output = Queue;

    fn index(&self, QueueId(index): QueueId) -> &Queue {
        &self.all[index]
    }
}

impl IndexMut<QueueId> for Queues {
    fn index_mut(&mut self, QueueId(index): QueueId) -> &mut Queue {
        &mut self.all[index]
    }
}
