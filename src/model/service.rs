//! How a service stands: Flashback, or a source.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether a service answers, by the calls made to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// It did when last called.
    Up,
    /// It is taken to be away: one call at a time finds out whether it is back.
    Down,
    /// It has given no answer yet, or nobody calls it.
    #[default]
    Unknown,
}

/// How a service stands, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// In a word.
    pub status: ServiceStatus,
    /// Since when, as far as that is known.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// What the last call found that was made, where it is down; never a value.
    #[serde(default)]
    pub error: Option<String>,
}

/// A time in which a service did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When that was first seen.
    pub since: DateTime<Utc>,
    /// When it answered again.
    pub until: DateTime<Utc>,
    /// What the last call found before it did; never a value.
    pub error: String,
}
