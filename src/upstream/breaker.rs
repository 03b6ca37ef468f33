//! The circuit breaker: what the calls to a service have shown.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::faults::Faults;
use crate::model::Outage;
use crate::retry::Round;

/// Tracks whether a service is available.
#[derive(Debug)]
pub struct CircuitBreaker {
    /// The time since which the service has been available, as shown by an answer.
    pub up_since: Option<DateTime<Utc>>,
    /// The time at which a call last worked, or was refused for a good reason.
    pub last_success: Option<Instant>,
    pub faults: Faults,
    pub down: Option<Down>,
    /// The last outage that has ended.
    pub last_outage: Option<Outage>,
    /// `true` if another upstream has taken over and reports on the service from now on.
    pub replaced: bool,
}

/// An outage that has not ended.
#[derive(Debug)]
pub struct Down {
    pub began: Instant,
    pub since: DateTime<Utc>,
    /// The error of the last call that found the service unavailable.
    pub error: String,
    pub round: Round,
    /// The time before which no call is made.
    pub until: Instant,
    /// `true` if the service asked for quiet. An answer to a call that was in progress then does not end the
    /// outage.
    pub quiet: bool,
    /// The time by which the probe in progress has ended.
    pub probed_until: Option<Instant>,
}
