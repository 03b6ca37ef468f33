//! What the dispatcher is told, by whom schedules, sources and looks send.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::key::QueueId;
use super::{Requeue, Scheduled};
use crate::config::CronLine;
use crate::model::{KeyId, SourceId};

/// What the dispatcher is told.
pub enum Event {
    /// These keys, and no others, are scheduled from now on.
    Replace(Arc<[Scheduled]>),
    /// It is these keys' turn.
    Due(Vec<KeyId>),
    /// A cron line fired, for this occurrence.
    Cron(CronLine, DateTime<Utc>),
    /// What is asked of these keys has changed: a look that began before does not count.
    Changed(Vec<KeyId>),
    /// A service is back.
    Recovered(Option<SourceId>),
    /// A look ended. The epoch and the queue are those it was counted in: a panic or a new
    /// configuration may have changed them meanwhile.
    Ended(u32, KeyId, QueueId, Requeue),
}
