//! Whether signing in to a service works, said once for each change.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::telemetry::event;
use crate::upstream::Upstream;

/// Knows whether signing in works, counts how often it did and did not, and logs each success and the
/// first of the failures in a row.
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
    /// Knows nothing yet. `method` is the name of the way to sign in, for the log.
    pub fn new(method: &'static str) -> Self {
        Self {
            method,
            state: Mutex::new(State::Unknown),
        }
    }

    /// Whether it worked the last time.
    pub fn is_good(&self) -> bool {
        matches!(*self.state(), State::Works)
    }

    /// Returns the first failure since it last worked.
    pub fn trouble(&self) -> Option<E> {
        match &*self.state() {
            State::Fails(error) => Some(error.clone()),
            State::Unknown | State::Works => None,
        }
    }

    /// Takes note of a sign-in that worked, for a token that lives for `life`.
    pub fn works(&self, upstream: &Upstream, life: Option<Duration>) {
        *self.state() = State::Works;
        upstream.signed_in(true);
        tracing::info!(
            event = event::SIGNED_IN,
            source = upstream.service(),
            method = self.method,
            ttl_seconds = life.map(|life| life.as_secs()),
            "signed in"
        );
    }

    /// Takes note of one that did not.
    pub fn failed(&self, upstream: &Upstream, error: &E) {
        upstream.signed_in(false);
        let before = std::mem::replace(&mut *self.state(), State::Fails(error.clone()));
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

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
