//! The health of a service: Flashback or a source.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The status of a service, judged by the calls that are made to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// It answered the last call.
    Up,
    /// It is taken to be down: one call at a time probes whether it is back.
    Down,
    /// It has not been called yet, or has given no answer yet.
    #[default]
    Unknown,
}

/// The health of a service, and since when it is so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// The status.
    pub status: ServiceStatus,
    /// The time since which that is so, if known.
    pub since: Option<DateTime<Utc>>,
    /// The error of the last call, if the service is down; never a value.
    pub error: Option<String>,
    /// The events of the service, for a source that has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsHealth>,
}

/// The health of a source's events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsHealth {
    /// `true` if each change in the source is heard of as it happens; otherwise it is polled.
    pub up: bool,
    /// The reason why it is not, if known; never a value.
    pub error: Option<String>,
}

/// A time during which a service did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The time at which the first call failed.
    pub since: DateTime<Utc>,
    /// The time at which it answered again.
    pub until: DateTime<Utc>,
    /// The error of the last call that failed; never a value.
    pub error: String,
}
