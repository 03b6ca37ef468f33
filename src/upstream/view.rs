//! How a service stands, by the calls through its lane.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::breaker::{CircuitBreaker, lock};
use crate::model::{Outage, ServiceHealth, ServiceStatus};

/// What is known of a lane without a way to call through it.
#[derive(Clone)]
pub struct UpstreamView(Arc<Mutex<CircuitBreaker>>);

impl UpstreamView {
    pub(super) fn of(breaker: &Arc<Mutex<CircuitBreaker>>) -> Self {
        Self(Arc::clone(breaker))
    }

    /// Whether the service is taken to be there.
    pub fn is_up(&self) -> bool {
        lock(&self.0).down.is_none()
    }

    /// How the service stands.
    pub fn health(&self) -> ServiceHealth {
        let breaker = lock(&self.0);
        match (&breaker.down, breaker.up_since) {
            (Some(down), _) => ServiceHealth {
                status: ServiceStatus::Down,
                since: Some(down.since),
                error: Some(down.error.clone()),
            },
            (None, Some(since)) => ServiceHealth {
                status: ServiceStatus::Up,
                since: Some(since),
                error: None,
            },
            (None, None) => ServiceHealth::default(),
        }
    }

    /// The last outage that is over, as long as the lane has been there.
    pub fn last_outage(&self) -> Option<Outage> {
        lock(&self.0).last_outage.clone()
    }

    /// Whether a call has worked within this time.
    pub fn has_worked_within(&self, time: Duration) -> bool {
        let last = lock(&self.0).last_success;
        last.is_some_and(|at| at.elapsed() < time)
    }

    /// Whether both are of one lane.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Another lane stands before the service, or none any more. Calls under way end as they do,
    /// and what they find is no longer told: it would be taken for what the new lane found.
    pub fn replaced(&self) {
        lock(&self.0).replaced = true;
    }
}
