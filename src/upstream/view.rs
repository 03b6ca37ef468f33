//! The health of a service, according to its upstream.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::breaker::CircuitBreaker;
use crate::model::{Outage, ServiceHealth, ServiceStatus};

/// A view of an upstream through which no calls can be made.
#[derive(Clone)]
pub struct UpstreamView(Arc<Mutex<CircuitBreaker>>);

impl UpstreamView {
    pub(super) fn of(breaker: &Arc<Mutex<CircuitBreaker>>) -> Self {
        Self(Arc::clone(breaker))
    }

    /// Returns `true` if the service is believed to be available.
    pub fn is_up(&self) -> bool {
        self.0.lock().down.is_none()
    }

    /// Returns the health of the service.
    pub fn health(&self) -> ServiceHealth {
        let breaker = self.0.lock();
        match (&breaker.down, breaker.up_since) {
            (Some(down), _) => ServiceHealth {
                status: ServiceStatus::Down,
                since: Some(down.since),
                error: Some(down.error.clone()),
                events: None,
            },
            (None, Some(since)) => ServiceHealth {
                status: ServiceStatus::Up,
                since: Some(since),
                error: None,
                events: None,
            },
            (None, None) => ServiceHealth::default(),
        }
    }

    /// Returns the last outage that has ended since the upstream was created.
    pub fn last_outage(&self) -> Option<Outage> {
        self.0.lock().last_outage.clone()
    }

    /// Returns `true` if a call has worked within this time.
    pub fn has_worked_within(&self, time: Duration) -> bool {
        let last = self.0.lock().last_success;
        last.is_some_and(|at| at.elapsed() < time)
    }

    /// Returns `true` if both are views of the same upstream.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Records that another upstream has taken over the service, or that the service is not used any more.
    /// Calls in progress end normally, but what they find is not reported, as it would be taken for a finding
    /// of the new upstream.
    pub fn replaced(&self) {
        self.0.lock().replaced = true;
    }
}
