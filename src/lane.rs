//! The one way to make a call to an outside service.
//!
//! A [`Lane`] stands before each service (every source, and Flashback). A call through it has a
//! place among a bounded number, a share of the call budget, a timeout and a metric, and its
//! outcome tells the lane whether the service is there. When it is not, the lane is *down*: calls
//! are turned away at once with the time at which to come back, a single one is let through then
//! to see, and the outage is reported once when it begins and once when it ends.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::retry::{Class, Limits, Round};
use crate::telemetry::metrics::Metrics;

/// What a lane must know of an error to count it and to tell an outage from a fault.
pub trait Failure: std::fmt::Display {
    /// What to do about it.
    fn class(&self) -> Class;
    /// The HTTP status, or a word (`timeout`, `connect`, …), for `api_requests_total{status}`.
    /// It must come from a small, fixed set.
    fn status(&self) -> String;
    /// The error of a call that got no answer in time.
    fn timed_out(after: Duration) -> Self;
    /// The error of a call that was turned away because the lane is down.
    fn held_back(retry_in: Duration) -> Self;
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
    pub places: usize,
    /// The waits between looks at a service that is away.
    pub retry: Limits,
}

/// The way to one service.
pub struct Lane {
    service: String,
    terms: Terms,
    places: Semaphore,
    pace: Mutex<Instant>,
    gate: Mutex<Gate>,
    metrics: Arc<Metrics>,
    outages: Arc<dyn Outages>,
}

/// Whether the service is taken to be there.
#[derive(Debug)]
struct Gate {
    last_success: Option<Instant>,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    since: Instant,
    round: Round,
    /// Nobody goes before this.
    until: Instant,
    /// Somebody went to see, and is not back.
    probing: bool,
}

impl Lane {
    /// Opens the way to `service`, the name that metrics and reports show.
    pub fn new(
        service: impl Into<String>,
        terms: Terms,
        metrics: Arc<Metrics>,
        outages: Arc<dyn Outages>,
    ) -> Self {
        let service = service.into();
        metrics.service_up(&service, true);
        Self {
            service,
            terms,
            places: Semaphore::new(terms.places),
            pace: Mutex::new(Instant::now()),
            gate: Mutex::new(Gate {
                last_success: None,
                down: None,
            }),
            metrics,
            outages,
        }
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether calls are turned away now, and for how long.
    pub fn down_for(&self) -> Option<Duration> {
        let gate = lock(&self.gate);
        gate.down
            .as_ref()
            .map(|down| down.until.saturating_duration_since(Instant::now()))
    }

    /// Makes one call. `operation` is the API's name for it (`GetSecretValue`, `PUT /ai/llm/{id}`).
    ///
    /// # Errors
    /// The call's own error, [`Failure::timed_out`], or [`Failure::held_back`] where the lane is
    /// down and the call was not made.
    pub async fn call<T, E: Failure>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let _place = self
            .places
            .acquire()
            .await
            .expect("the semaphore is never closed");
        self.wait_for_budget().await;
        let mut probe = self.admit().map_err(E::held_back)?;
        let started = Instant::now();
        let result = match tokio::time::timeout(self.terms.timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(E::timed_out(self.terms.timeout)),
        };
        let elapsed = started.elapsed();
        let status = result
            .as_ref()
            .map_or_else(Failure::status, |_| "ok".to_owned());
        self.metrics
            .api_request(&self.service, operation, &status, elapsed);
        probe.settled = true;
        match &result {
            Ok(_) => self.answered(),
            Err(error) => match error.class() {
                Class::Outage { retry_after } => {
                    self.away(started, &error.to_string(), retry_after);
                }
                Class::Transient { .. } | Class::Refused => self.answered(),
            },
        }
        result
    }

    /// Spaces calls `1 / max_rps` apart, with a tenth of a second's worth saved up at most.
    async fn wait_for_budget(&self) {
        let Some(rps) = self.terms.max_rps else {
            return;
        };
        let gap = Duration::from_secs_f64(1.0 / rps);
        let turn = {
            let mut next = lock(&self.pace);
            let now = Instant::now();
            let earliest = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
            let turn = (*next).max(earliest);
            *next = turn + gap;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    fn admit(&self) -> Result<Probe<'_>, Duration> {
        let mut gate = lock(&self.gate);
        let Some(down) = &mut gate.down else {
            return Ok(Probe {
                lane: self,
                settled: true,
            });
        };
        let now = Instant::now();
        if now < down.until {
            return Err(down.until - now);
        }
        if down.probing {
            return Err(self.terms.retry.initial);
        }
        down.probing = true;
        Ok(Probe {
            lane: self,
            settled: false,
        })
    }

    /// Any answer, a refusal too, shows that the service is there.
    fn answered(&self) {
        let ended = {
            let mut gate = lock(&self.gate);
            gate.last_success = Some(Instant::now());
            gate.down.take()
        };
        if let Some(down) = ended {
            self.metrics.service_up(&self.service, true);
            self.outages.recovered(&self.service, down.since.elapsed());
        }
    }

    /// Evidence of an outage counts only where nothing was answered since the call began, so that
    /// one hanging request beside working ones does not stop them.
    fn away(&self, started: Instant, error: &str, retry_after: Option<Duration>) {
        let (first, retry_in) = {
            let mut gate = lock(&self.gate);
            let now = Instant::now();
            if retry_after.is_none() && gate.last_success.is_some_and(|at| at > started) {
                return;
            }
            let first = gate.down.is_none();
            // An outage has no end by itself: its round is never given up.
            let forever = Limits {
                give_up_after: Duration::MAX,
                ..self.terms.retry
            };
            let down = gate.down.get_or_insert_with(|| Down {
                since: now,
                round: Round::begin(forever),
                until: now,
                probing: false,
            });
            if !first && !down.probing && now < down.until && retry_after.is_none() {
                return;
            }
            down.probing = false;
            let wait = down
                .round
                .next_wait(retry_after)
                .unwrap_or(self.terms.retry.max);
            down.until = now + wait;
            (first, wait)
        };
        self.metrics.retry(&self.service);
        if first {
            self.metrics.service_up(&self.service, false);
            self.outages.unavailable(&self.service, error, retry_in);
        }
    }
}

/// The right to see whether the service is back. Dropped unsettled (its task was cancelled), it
/// gives the right to the next caller.
struct Probe<'a> {
    lane: &'a Lane,
    settled: bool,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if !self.settled
            && let Some(down) = &mut lock(&self.lane.gate).down
        {
            down.probing = false;
        }
    }
}

/// A poisoned lock is entered all the same: what it guards is replaced whole, never half.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error("outage")]
        Outage,
        #[error("refused")]
        Refused,
        #[error("timed out")]
        TimedOut,
        #[error("held back")]
        HeldBack(Duration),
    }

    impl Failure for Fault {
        fn class(&self) -> Class {
            match self {
                Self::Outage | Self::TimedOut => Class::Outage { retry_after: None },
                Self::Refused | Self::HeldBack(_) => Class::Refused,
            }
        }
        fn status(&self) -> String {
            self.to_string()
        }
        fn timed_out(_: Duration) -> Self {
            Self::TimedOut
        }
        fn held_back(retry_in: Duration) -> Self {
            Self::HeldBack(retry_in)
        }
    }

    #[derive(Default)]
    struct Seen(Mutex<Vec<&'static str>>);

    impl Outages for Seen {
        fn unavailable(&self, _: &str, _: &str, _: Duration) {
            lock(&self.0).push("unavailable");
        }
        fn recovered(&self, _: &str, _: Duration) {
            lock(&self.0).push("recovered");
        }
    }

    fn lane(max_rps: Option<f64>) -> (Lane, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let retry = Limits {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            give_up_after: Duration::from_secs(300),
        };
        let terms = Terms {
            max_rps,
            timeout: Duration::from_secs(10),
            places: 16,
            retry,
        };
        (
            Lane::new("s", terms, Arc::new(Metrics::new()), seen.clone()),
            seen,
        )
    }

    async fn well() -> Result<(), Fault> {
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_reported_once_and_probed_by_one_call() {
        let (lane, seen) = lane(None);
        for _ in 0..5 {
            let _ = lane.call("op", async { Err::<(), _>(Fault::Outage) }).await;
        }
        assert!(matches!(
            lane.call("op", well()).await,
            Err(Fault::HeldBack(_))
        ));
        assert_eq!(*lock(&seen.0), ["unavailable"]);

        tokio::time::advance(lane.down_for().expect("down")).await;
        let hang = lane.call("op", std::future::pending::<Result<(), Fault>>());
        tokio::pin!(hang);
        assert!(
            futures_util::poll!(&mut hang).is_pending(),
            "the probe goes"
        );
        assert!(matches!(
            lane.call("op", well()).await,
            Err(Fault::HeldBack(_))
        ));
        assert!(matches!(hang.await, Err(Fault::TimedOut)));

        tokio::time::advance(lane.down_for().expect("still down")).await;
        lane.call("op", well()).await.expect("back");
        assert_eq!(*lock(&seen.0), ["unavailable", "recovered"]);
        assert!(lane.down_for().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_leaves_its_place() {
        let (lane, _) = lane(None);
        let _ = lane.call("op", async { Err::<(), _>(Fault::Outage) }).await;
        tokio::time::advance(lane.down_for().expect("down")).await;
        {
            let hang = lane.call("op", std::future::pending::<Result<(), Fault>>());
            tokio::pin!(hang);
            assert!(futures_util::poll!(&mut hang).is_pending());
        }
        lane.call("op", well()).await.expect("the next one may see");
    }

    #[tokio::test(start_paused = true)]
    async fn one_hanging_call_beside_working_ones_is_no_outage() {
        let (lane, seen) = lane(None);
        let hang = lane.call("op", std::future::pending::<Result<(), Fault>>());
        let work = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                lane.call("op", well()).await.expect("well");
            }
        };
        let (hung, ()) = tokio::join!(hang, work);
        assert!(matches!(hung, Err(Fault::TimedOut)));
        assert!(lock(&seen.0).is_empty());
        let _ = lane
            .call("op", async { Err::<(), _>(Fault::Refused) })
            .await;
        assert!(lane.down_for().is_none(), "a refusal is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_spaces_calls() {
        let (lane, _) = lane(Some(10.0));
        let started = Instant::now();
        for _ in 0..21 {
            lane.call("op", well()).await.expect("well");
        }
        let took = started.elapsed();
        assert!(
            took >= Duration::from_millis(1_800) && took <= Duration::from_millis(2_100),
            "{took:?}"
        );
    }
}
