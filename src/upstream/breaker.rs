//! What is known of a service by the calls to it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::faults::Faults;
use crate::model::Outage;
use crate::retry::Round;

/// Whether the service is taken to be there.
#[derive(Debug)]
pub struct CircuitBreaker {
    /// Since when the service has been taken to be there, by an answer of it.
    pub up_since: Option<DateTime<Utc>>,
    /// When a call last worked, or was refused as it should be.
    pub last_success: Option<Instant>,
    pub faults: Faults,
    pub down: Option<Down>,
    /// The last outage that is over.
    pub last_outage: Option<Outage>,
    /// Another lane has taken its place, and tells of the service from now on.
    pub replaced: bool,
}

#[derive(Debug)]
pub struct Down {
    pub began: Instant,
    pub since: DateTime<Utc>,
    /// What the last call that found the service away said.
    pub error: String,
    pub round: Round,
    /// Nobody goes before this.
    pub until: Instant,
    /// It asked for quiet: an answer to a call that was under way then does not lift that.
    pub quiet: bool,
    /// Somebody went to see, and is back by then.
    pub probed_until: Option<Instant>,
}

/// A poisoned lock is entered all the same: what it guards is replaced whole, never half.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
