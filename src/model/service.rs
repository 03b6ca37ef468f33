//! The health of a service: Flashback or a source.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The availability of a service, judged by the calls made to it.
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

/// The health of a service, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// The availability.
    pub status: ServiceStatus,
    /// The beginning of that status, as far as it is known.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// The error of the latest call that was made, if the service is down; never a secret value.
    #[serde(default)]
    pub error: Option<String>,
}

/// A time during which a service did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The time at which the first failure was noticed.
    pub since: DateTime<Utc>,
    /// The time at which it answered again.
    pub until: DateTime<Utc>,
    /// The error of the last call that failed; never a secret value.
    pub error: String,
}
