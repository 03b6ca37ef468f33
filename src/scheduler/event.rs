//! The events that schedules, sources and reconcile runs send to the dispatcher.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::key::QueueId;
use super::{Requeue, Scheduled};
use crate::config::CronLine;
use crate::model::{KeyId, SourceId};

/// An event for the dispatcher.
pub enum Event {
    /// These keys, and no others, are scheduled from now on.
    Replace(Arc<[Scheduled]>),
    /// The intervals of these keys are over.
    Due(Vec<KeyId>),
    /// A cron line has fired for this occurrence.
    Cron(CronLine, DateTime<Utc>),
    /// These keys must be reconciled: something about them has changed, and a run that began before does not count.
    Changed(Vec<KeyId>),
    /// These keys must be reconciled at once: an event has told of a change.
    Told(Vec<KeyId>),
    /// Every key of this source that has been reconciled must be once more: events may have been missed.
    Missed(SourceId),
    /// Keys of this source (`None` for every source) that have failed may work again.
    Recovered(Option<SourceId>),
    /// A reconcile run has ended. The epoch and the queue are those in which it was begun: a panic or a new
    /// configuration may have changed them since.
    Ended(u32, KeyId, QueueId, Requeue),
}
