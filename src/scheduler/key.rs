//! The dispatcher's view of a key, and the queues in which keys wait.

use std::collections::{HashMap, VecDeque};
use std::ops::{Index, IndexMut};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{First, Scheduled};
use crate::config::Check;
use crate::model::{KeyId, SourceId, WorkspaceId};

/// The least time between two runs of a key that events cause. What is told in between is found by the later one.
const TOLD_APART: Duration = Duration::from_millis(20);

/// A key as the dispatcher sees it.
pub struct Key {
    pub check: Check,
    pub queue: QueueId,
    pub place: Place,
    /// The earliest time of the next run; later than now while a retry waits.
    pub not_before: Instant,
    /// The time of the key's valid entry in `Dispatcher::later`; other entries are outdated.
    pub wake_at: Option<Instant>,
    pub again: Again,
    /// The cron occurrence that the next run is for, if it is for nothing else.
    pub occurrence: Option<DateTime<Utc>>,
    /// The key's slot on its wheel has moved since it was last due there.
    pub moved: bool,
    /// The time at which the last run began.
    pub looked_at: Option<Instant>,
    pub well: bool,
    /// The key is still in the configuration.
    pub scheduled: bool,
    /// The key has been reconciled at least once, here or by the process that had it before.
    pub seen: bool,
}

impl Key {
    /// Creates a key that has not been reconciled yet.
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

    /// Returns the time before which an event causes no other run, if that is to come: the last one has just begun.
    pub fn rests_until(&self) -> Option<Instant> {
        let until = self.looked_at? + TOLD_APART;
        (until > Instant::now()).then_some(until)
    }

    /// Returns how the key is scheduled, with a first run at once.
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

/// The need for another run right after the one under way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    No,
    /// Needed if the run fails: the service that it needs may have recovered since it began.
    IfNotWell,
    /// Needed in any case: the run works on outdated knowledge.
    Yes,
    /// Needed in any case and without a wait: an event has told of a change.
    AtOnce,
}

/// The phase of a key: between runs, waiting for one, or in one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Idle,
    Queued,
    UnderWay,
}

/// The keys of one source in one workspace, which share a limit of runs under way. A slow source or workspace
/// thus delays its own keys and no others.
pub struct Queue {
    pub source: SourceId,
    pub workspace: WorkspaceId,
    pub under_way: usize,
    pub waiting: VecDeque<KeyId>,
}

/// The index of a queue in [`Queues`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueId(usize);

/// Every queue that was ever used; a queue without keys is empty.
#[derive(Default)]
pub struct Queues {
    all: Vec<Queue>,
    names: HashMap<(SourceId, WorkspaceId), QueueId>,
}

impl Queues {
    /// Returns the queue of a source and a workspace.
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
