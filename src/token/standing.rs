//! The state of signing in to a service, reported once for each change.

use std::fmt::Display;
use std::time::Duration;

use parking_lot::Mutex;

use crate::telemetry::event;
use crate::upstream::Upstream;

/// Tracks whether signing in works: counts successes and failures, and logs each success and the first
/// failure in a row.
#[derive(Debug)]
pub struct Standing<E> {
    method: &'static str,
    state: Mutex<State<E>>,
}

#[derive(Debug)]
enum State<E> {
    Unknown,
    Works,
    Fails(E),
}

impl<E: Display + Clone> Standing<E> {
    /// Creates a standing before the first sign-in. `method` is the name of the sign-in method, for the log.
    pub fn new(method: &'static str) -> Self {
        Self {
            method,
            state: Mutex::new(State::Unknown),
        }
    }

    /// Returns `true` if the last sign-in worked.
    pub fn is_good(&self) -> bool {
        matches!(*self.state.lock(), State::Works)
    }

    /// Returns the error of the last sign-in, if it failed.
    pub fn trouble(&self) -> Option<E> {
        match &*self.state.lock() {
            State::Fails(error) => Some(error.clone()),
            State::Unknown | State::Works => None,
        }
    }

    /// Records a sign-in that worked, for a token that lives for `life`.
    pub fn works(&self, upstream: &Upstream, life: Option<Duration>) {
        *self.state.lock() = State::Works;
        upstream.signed_in(true);
        tracing::info!(
            event = event::SIGNED_IN,
            source = upstream.service(),
            method = self.method,
            ttl_seconds = life.map(|life| life.as_secs()),
            "signed in"
        );
    }

    /// Records a sign-in that failed.
    pub fn failed(&self, upstream: &Upstream, error: &E) {
        upstream.signed_in(false);
        let before = std::mem::replace(&mut *self.state.lock(), State::Fails(error.clone()));
        if !matches!(before, State::Fails(_)) {
            tracing::error!(
                event = event::SIGN_IN_FAILED,
                source = upstream.service(),
                method = self.method,
                %error,
                "cannot sign in"
            );
        }
    }
}
