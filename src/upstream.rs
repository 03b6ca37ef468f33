//! The one way to call an outside service.
//!
//! Each service (every source, and Flashback) has an [`Upstream`]. A call through it needs a permit and a
//! share of the call budget, where calls that a rotation needs come before background calls. It has a time
//! limit and a metric, and its outcome shows whether the service is available. If it is not, the *circuit is
//! open*: calls are rejected at once with the time after which to try again, then a single call is let
//! through as a probe, and the outage is reported once when it begins and once when it ends. A service that
//! answers, but fails for every key ([`faults`]), counts as unavailable too.

mod breaker;
mod faults;
mod limiter;
mod view;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::Outage;
use crate::progress;
use crate::retry::{Class, LONGEST_RETRY_AFTER, Limits, Round};
use crate::telemetry::metrics::Metrics;

use breaker::{CircuitBreaker, Down};
use faults::{Faults, Subject};
pub use faults::{carried_over, on_behalf_of};
use limiter::RateLimiter;
pub use limiter::in_background;
pub use view::UpstreamView;

/// The wait that callers are given while a probe is in progress. It is shorter than the probe may take, because the
/// service may be back at once.
const WHILE_PROBED: Duration = Duration::from_secs(5);

/// The longest wait between probes of an unavailable service, unless the service asks for quiet. Its return
/// is noticed within this time and the time of one call.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The properties of an error that an upstream needs to count it, and to tell an outage from a fault.
pub trait Failure: std::fmt::Display {
    /// Returns the reaction that the error calls for.
    fn class(&self) -> Class;
    /// Returns the HTTP status or a word (`timeout`, `connect`, …) for `api_requests_total{status}`. It must
    /// come from a small, fixed set.
    fn status(&self) -> String;
    /// Returns `true` if the service is available and asks all its callers to wait: it named a time, or said
    /// that there are too many calls.
    fn asks_for_quiet(&self) -> bool {
        let named = matches!(
            self.class(),
            Class::Outage {
                retry_after: Some(_)
            }
        );
        named || matches!(&*self.status(), "429" | "throttled")
    }
    /// Returns `true` if an answer with this error shows that the service works. One that only says that the
    /// caller must sign in again ends no outage.
    fn ends_outage(&self) -> bool {
        true
    }
    /// Creates the error of a call without an answer in time.
    fn timed_out(after: Duration) -> Self;
    /// Creates the error of a call that was rejected because the circuit is open. It shows `cause`, the error
    /// of the last call that found the service unavailable.
    fn circuit_open(retry_in: Duration, cause: &str) -> Self;
}

/// Receives the reports of outages.
pub trait Outages: Send + Sync {
    /// Reports that the service is unavailable. Called once for each outage.
    fn unavailable(&self, service: &str, error: &str, retry_in: Duration);
    /// Reports that the service is available again. Called once for each outage.
    fn recovered(&self, service: &str, after: Duration);
}

/// Reports no outage: each call's error says what happened.
pub struct Unreported;

impl Outages for Unreported {
    fn unavailable(&self, _: &str, _: &str, _: Duration) {}
    fn recovered(&self, _: &str, _: Duration) {}
}

/// The limits of the calls to a service.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The number of calls per second, including failures and repetitions; `None` for no limit.
    pub max_rps: Option<f64>,
    /// The time limit of one call, from the first byte sent to the last byte received.
    pub timeout: Duration,
    /// The largest number of calls in progress at once.
    pub permits: usize,
    /// The waits between probes of an unavailable service.
    pub retry: Limits,
}

/// The guarded way to one service.
pub struct Upstream {
    service: String,
    terms: Terms,
    limiter: RateLimiter,
    breaker: Arc<Mutex<CircuitBreaker>>,
    metrics: Arc<Metrics>,
    outages: Arc<dyn Outages>,
}

impl Upstream {
    /// Creates the upstream of `service`, which is its name in metrics and reports.
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

    /// Returns the service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns a view of the service's health, for code that makes no calls.
    pub fn view(&self) -> UpstreamView {
        UpstreamView::of(&self.breaker)
    }

    /// Records a sign-in that the service has answered.
    pub fn signed_in(&self, succeeded: bool) {
        let breaker = self.breaker.lock();
        if !breaker.replaced {
            self.metrics.sign_in(&self.service, succeeded);
        }
    }

    /// Returns the error with which a call made now would be rejected, if it would.
    pub fn circuit_open<E: Failure>(&self) -> Option<E> {
        let breaker = self.breaker.lock();
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

    /// Returns the time until the next probe, if the service is unavailable.
    pub fn down_for(&self) -> Option<Duration> {
        let breaker = self.breaker.lock();
        breaker
            .down
            .as_ref()
            .map(|down| down.until.saturating_duration_since(Instant::now()))
    }

    /// Makes one call. `operation` is the API's name for it (`GetSecretValue`, `PUT /ai/llm/{id}`).
    ///
    /// # Errors
    /// Returns the call's own error, [`Failure::timed_out`], or [`Failure::circuit_open`] if the circuit is
    /// open and the call was not made.
    pub async fn call<T, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.make(operation, true, call).await
    }

    /// Makes a call that prepares others, such as a sign-in. Its success ends no outage: the calls that it
    /// was made for must work first.
    ///
    /// # Errors
    /// Returns the errors of [`call`](Self::call).
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
        // A rejected call takes no permit, and nothing of the budget.
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
        let mut breaker = self.breaker.lock();
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

    /// Records a fault of a call that began at `started`. Returns `true` if it is the service's fault: no
    /// other call has worked since, and enough keys are affected.
    fn is_ill(&self, started: Instant) -> bool {
        let mut breaker = self.breaker.lock();
        let worked_since = breaker.last_success.is_some_and(|at| at > started);
        !worked_since && breaker.faults.failed(Subject::current(), Instant::now())
    }

    /// Records an answer. Any answer shows that the service is available; if it `worked`, which a refusal
    /// does too, the service does what it is asked. An outage in which the service asked for quiet is ended
    /// by a probe only: other answers may belong to calls made before that.
    fn answered(&self, probed: bool, worked: bool) {
        let mut breaker = self.breaker.lock();
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

    /// Lets the next caller probe at once, because this probe showed nothing either way.
    fn probe_ended(&self) {
        if let Some(down) = &mut self.breaker.lock().down {
            down.probed_until = None;
        }
    }

    /// Opens the circuit for an outage that was found without a call through this upstream. Ignores other
    /// errors.
    pub fn report<E: Failure>(&self, error: &E) {
        if let Class::Outage { retry_after } = error.class() {
            self.away(Instant::now(), false, error, retry_after);
        }
    }

    /// Records evidence of an outage. It counts only if no call has worked since this one began, so that one
    /// hanging request beside working ones does not stop them. A service that asks for quiet is obeyed
    /// whatever it has answered to other calls.
    fn away<E: Failure>(
        &self,
        started: Instant,
        probed: bool,
        error: &E,
        retry_after: Option<Duration>,
    ) {
        let quiet = error.asks_for_quiet();
        let now = Instant::now();
        // Locked to the end, so that outages are reported in the order in which they were found, and none
        // after another upstream has taken over.
        let mut breaker = self.breaker.lock();
        if !quiet && breaker.last_success.is_some_and(|at| at > started) {
            if let Some(down) = breaker.down.as_mut().filter(|_| probed) {
                down.probed_until = None;
            }
            return;
        }
        let error = error.to_string();
        let first = breaker.down.is_none();
        // An outage does not end by itself, so its round is never given up.
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
            // The call was in progress when the outage began. It adds only the wait that the service asks
            // for.
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

/// The right to make a call. A probe that is dropped before it ends, because its task was cancelled, lets the
/// next caller probe.
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
