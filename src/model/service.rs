//! Whether a service (Flashback or a source) answers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether a service answers, judged by the calls that are made to it.
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

/// Whether a service answers, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// Whether it answers.
    pub status: ServiceStatus,
    /// Since when that is so, where it is known.
    pub since: Option<DateTime<Utc>>,
    /// The error of the last call, where the service is down; never a value.
    pub error: Option<String>,
}

/// A time during which a service did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first call failed.
    pub since: DateTime<Utc>,
    /// The time at which it answered again.
    pub until: DateTime<Utc>,
    /// The error of the last call that failed; never a value.
    pub error: String,
}
