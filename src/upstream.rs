//! The one way to make a call to an outside service.
//!
//! A [`Upstream`] stands before each service (every source, and Flashback). A call through it has a
//! place among a bounded number, a share of the call budget (what a rotation needs goes before what
//! merely looks), a timeout and a metric, and its
//! outcome tells the lane whether the service is there. When it is not, the lane is *down*: calls
//! are turned away at once with the time at which to come back, a single one is let through then
//! to see, and the outage is reported once when it begins and once when it ends. A service that answers
//! and does nothing for anybody ([`faults`]) is down, too.

mod breaker;
mod faults;
mod limiter;
mod view;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::model::Outage;
use crate::progress;
use crate::retry::{Class, LONGEST_RETRY_AFTER, Limits, Round};
use crate::telemetry::metrics::Metrics;

use breaker::{CircuitBreaker, Down, lock};
use faults::{Faults, Subject};
pub use faults::{carried_over, on_behalf_of};
use limiter::RateLimiter;
pub use limiter::in_background;
pub use view::UpstreamView;

/// How long callers are told to wait while somebody is out to see whether the service is back. Not
/// that one's whole time: it may be back with good news at once.
const WHILE_PROBED: Duration = Duration::from_secs(5);

/// The longest wait between looks at a service that is away, unless it asks for quiet: it is found to be
/// back within this and the time of one call.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a lane must know of an error to count it and to tell an outage from a fault.
pub trait Failure: std::fmt::Display {
    /// What to do about it.
    fn class(&self) -> Class;
    /// The HTTP status, or a word (`timeout`, `connect`, …), for `api_requests_total{status}`.
    /// It must come from a small, fixed set.
    fn status(&self) -> String;
    /// Whether the service is there and asks all its callers to wait: it named a time, or said that
    /// they are too many.
    fn asks_for_quiet(&self) -> bool {
        let named = matches!(
            self.class(),
            Class::Outage {
                retry_after: Some(_)
            }
        );
        named || matches!(&*self.status(), "429" | "throttled")
    }
    /// Whether such an answer shows that the service does what it is asked. One that only says that
    /// the caller must sign in again ends no outage.
    fn ends_outage(&self) -> bool {
        true
    }
    /// The error of a call that got no answer in time.
    fn timed_out(after: Duration) -> Self;
    /// The error of a call that was turned away because the lane is down, which shows `cause`: the error of
    /// the last call that found the service away.
    fn circuit_open(retry_in: Duration, cause: &str) -> Self;
}

/// Is told when a service goes away and comes back.
pub trait Outages: Send + Sync {
    /// The service went away. Called once for each outage.
    fn unavailable(&self, service: &str, error: &str, retry_in: Duration);
    /// The service is back. Called once for each outage.
    fn recovered(&self, service: &str, after: Duration);
}

/// How a lane treats its service.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Calls a second, failures and repetitions included; `None` for no limit.
    pub max_rps: Option<f64>,
    /// One call's time, from the first byte out to the last byte in.
    pub timeout: Duration,
    /// Calls under way at once.
    pub permits: usize,
    /// The waits between looks at a service that is away.
    pub retry: Limits,
}

/// The way to one service.
pub struct Upstream {
    service: String,
    terms: Terms,
    limiter: RateLimiter,
    breaker: Arc<Mutex<CircuitBreaker>>,
    metrics: Arc<Metrics>,
    outages: Arc<dyn Outages>,
}

impl Upstream {
    /// Opens the way to `service`, the name that metrics and reports show.
    pub fn new(
        service: impl Into<String>,
        terms: Terms,
        metrics: Arc<Metrics>,
        outages: Arc<dyn Outages>,
    ) -> Self {
        Self {
            service: service.into(),
            terms,
            limiter: RateLimiter::new(terms.permits, terms.max_rps),
            breaker: Arc::new(Mutex::new(CircuitBreaker {
                up_since: None,
                last_success: None,
                faults: Faults::default(),
                down: None,
                last_outage: None,
                replaced: false,
            })),
            metrics,
            outages,
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What is known of it, for whoever does not call.
    pub fn view(&self) -> UpstreamView {
        UpstreamView::of(&self.breaker)
    }

    /// Takes note of a sign-in that the service has answered.
    pub fn signed_in(&self, succeeded: bool) {
        let breaker = lock(&self.breaker);
        if !breaker.replaced {
            self.metrics.sign_in(&self.service, succeeded);
        }
    }

    /// The error that a call made now would be turned away with, if it would.
    pub fn circuit_open<E: Failure>(&self) -> Option<E> {
        let breaker = lock(&self.breaker);
        let down = breaker.down.as_ref()?;
        let wait = self.closed(down, Instant::now())?;
        Some(E::circuit_open(wait, &down.error))
    }

    fn closed(&self, down: &Down, now: Instant) -> Option<Duration> {
        if now < down.until {
            return Some(down.until - now);
        }
        let back = down.probed_until?.saturating_duration_since(now);
        Some(back.min(WHILE_PROBED).max(self.terms.retry.initial))
    }

    /// Whether the service is away, and how long nobody goes to see.
    pub fn down_for(&self) -> Option<Duration> {
        let breaker = lock(&self.breaker);
        breaker
            .down
            .as_ref()
            .map(|down| down.until.saturating_duration_since(Instant::now()))
    }

    /// Makes one call. `operation` is the API's name for it (`GetSecretValue`, `PUT /ai/llm/{id}`).
    ///
    /// # Errors
    /// The call's own error, [`Failure::timed_out`], or [`Failure::circuit_open`] where the lane is
    /// down and the call was not made.
    pub async fn call<T, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.make(operation, true, call).await
    }

    /// Makes a call that prepares others, such as a sign-in. Its success ends no outage: the calls
    /// that it was made for have to work first.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn prepare<T, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.make(operation, false, call).await
    }

    async fn make<T, E: Failure>(
        &self,
        operation: &'static str,
        proves: bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // One that is turned away takes no place, and nothing of the budget.
        if let Some(error) = self.circuit_open() {
            return Err(error);
        }
        let _permit = self.limiter.take().await;
        let mut probe = self.admit()?;
        let started = Instant::now();
        let result = match tokio::time::timeout(self.terms.timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(E::timed_out(self.terms.timeout)),
        };
        progress::step();
        let elapsed = started.elapsed();
        let status = result
            .as_ref()
            .map_or_else(Failure::status, |_| "ok".to_owned());
        self.metrics
            .api_request(&self.service, operation, &status, elapsed);
        let probed = std::mem::take(&mut probe.goes_to_see);
        match result.as_ref().map_err(|error| (error, error.class())) {
            Err((error, Class::Outage { retry_after })) => {
                self.away(started, probed, error, retry_after);
            }
            Err((error, Class::Transient { retry_after })) if proves && self.is_ill(started) => {
                self.away(started, probed, error, retry_after);
            }
            Ok(_) if proves => self.answered(probed, true),
            Err((error, class)) if proves && error.ends_outage() => {
                self.answered(probed, class == Class::Refused);
            }
            Ok(_) | Err(_) if probed => self.probe_ended(),
            Ok(_) | Err(_) => {}
        }
        result
    }

    fn admit<E: Failure>(&self) -> Result<Probe<'_>, E> {
        let mut breaker = lock(&self.breaker);
        let now = Instant::now();
        if let Some(down) = &mut breaker.down {
            if let Some(wait) = self.closed(down, now) {
                return Err(E::circuit_open(wait, &down.error));
            }
            down.probed_until = Some(now + self.terms.timeout);
        }
        Ok(Probe {
            upstream: self,
            goes_to_see: breaker.down.is_some(),
        })
    }

    /// Whether a fault of a call that began then is the service's. Those of calls that were under way when
    /// another one worked are not.
    fn is_ill(&self, started: Instant) -> bool {
        let mut breaker = lock(&self.breaker);
        let worked_since = breaker.last_success.is_some_and(|at| at > started);
        !worked_since && breaker.faults.failed(Subject::current(), Instant::now())
    }

    /// Any answer shows that the service is there; one that `worked`, a refusal too, that it does what it is asked.
    /// Whether it wants to be called again is another question, which only a call made since can answer.
    fn answered(&self, probed: bool, worked: bool) {
        let mut breaker = lock(&self.breaker);
        breaker.up_since.get_or_insert_with(Utc::now);
        if worked {
            let now = Instant::now();
            breaker.last_success = Some(now);
            breaker.faults.worked(Subject::current(), now);
        }
        let ends = |down: &mut Down| probed || (worked && !down.quiet);
        let ended = breaker.down.take_if(ends);
        let Some(down) = ended else { return };
        let until = Utc::now();
        breaker.up_since = Some(until);
        breaker.last_outage = Some(Outage {
            since: down.since,
            until,
            error: down.error,
        });
        if !breaker.replaced {
            self.metrics.service_up(&self.service, true);
            self.outages.recovered(&self.service, down.began.elapsed());
        }
    }

    /// The next caller may go to see at once: what was found out says nothing either way.
    fn probe_ended(&self) {
        if let Some(down) = &mut lock(&self.breaker).down {
            down.probed_until = None;
        }
    }

    /// Takes the service to be away because of something that was found without a call through
    /// this lane.
    pub fn report<E: Failure>(&self, error: &E) {
        if let Class::Outage { retry_after } = error.class() {
            self.away(Instant::now(), false, error, retry_after);
        }
    }

    /// Evidence of an outage counts only where nothing was answered since the call began, so that
    /// one hanging request beside working ones does not stop them. A service that asks for quiet is
    /// obeyed whatever it has answered to others.
    fn away<E: Failure>(
        &self,
        started: Instant,
        probed: bool,
        error: &E,
        retry_after: Option<Duration>,
    ) {
        let quiet = error.asks_for_quiet();
        let now = Instant::now();
        // Held to the end: what is told of a service is told in the order it was found, and nothing
        // after another lane has taken over.
        let mut breaker = lock(&self.breaker);
        if !quiet && breaker.last_success.is_some_and(|at| at > started) {
            if let Some(down) = breaker.down.as_mut().filter(|_| probed) {
                down.probed_until = None;
            }
            return;
        }
        let error = error.to_string();
        let first = breaker.down.is_none();
        // An outage has no end by itself: its round is never given up.
        let forever = Limits {
            give_up_after: Duration::MAX,
            ..self.terms.retry
        };
        let down = breaker.down.get_or_insert_with(|| Down {
            began: now,
            since: Utc::now(),
            error: error.clone(),
            round: Round::begin(forever),
            until: now,
            quiet,
            probed_until: None,
        });
        if !first && !probed {
            // A call that was under way when the outage began. It adds what the service asks for,
            // and nothing else.
            down.quiet |= quiet;
            let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            down.until = down.until.max(now + asked);
            return;
        }
        down.probed_until = None;
        down.quiet = quiet;
        down.error.clone_from(&error);
        let wait = down.round.next_wait(retry_after);
        let mut wait = wait.unwrap_or(self.terms.retry.max);
        if !quiet {
            wait = wait.min(LONGEST_WAIT);
        }
        down.until = down.until.max(now + wait);
        self.metrics.retry(&self.service);
        if first && !breaker.replaced {
            self.metrics.service_up(&self.service, false);
            self.outages.unavailable(&self.service, &error, wait);
        }
    }
}

/// The right to make a call. One that goes to see whether the service is back and is dropped on the
/// way (its task was cancelled) leaves that to the next caller.
struct Probe<'a> {
    upstream: &'a Upstream,
    goes_to_see: bool,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if self.goes_to_see {
            self.upstream.probe_ended();
        }
    }
}

#[cfg(test)]
mod tests;
