//! Limits and orders the calls to a service.
//!
//! Calls that a rotation needs come before background calls: a key that was rotated must not wait for ten
//! thousand that were not. Calls of both kinds wait in one queue, but only one background call at a time may
//! be in it, and some permits are never used for background calls. So an urgent call waits for one background
//! call at most. A background call waits only for those that entered the queue before it, and is never
//! starved.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::progress::in_line;

/// The fraction of the permits that is kept for urgent calls: one in this many.
const KEPT: usize = 8;

tokio::task_local! {
    static BACKGROUND: ();
}

/// Makes the calls of `work` background calls, which wait for urgent ones.
pub async fn in_background<T>(work: impl Future<Output = T>) -> T {
    BACKGROUND.scope((), work).await
}

/// The permits of an upstream, its call budget, and the queue for both.
pub(super) struct RateLimiter {
    permits: Semaphore,
    /// The permits for background calls.
    background: Semaphore,
    /// Locked by the background call that is in the queue.
    last: tokio::sync::Mutex<()>,
    /// Locked by the call that is next.
    line: tokio::sync::Mutex<()>,
    gap: Option<Duration>,
    next: Mutex<Instant>,
}

/// The right to make one call.
pub(super) struct Permit<'a> {
    _permit: SemaphorePermit<'a>,
    _background: Option<SemaphorePermit<'a>>,
}

impl RateLimiter {
    /// Creates a limiter for `max_rps` calls per second and `permits` calls in progress at once.
    pub fn new(permits: usize, max_rps: Option<f64>) -> Self {
        let kept = (permits / KEPT).max(1);
        Self {
            permits: Semaphore::new(permits),
            background: Semaphore::new(permits.saturating_sub(kept).max(1)),
            last: tokio::sync::Mutex::default(),
            line: tokio::sync::Mutex::default(),
            gap: max_rps.map(|rps| Duration::from_secs_f64(1.0 / rps)),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a permit and for a share of the budget.
    pub async fn take(&self) -> Permit<'_> {
        in_line(self.stand_in_line()).await
    }

    async fn stand_in_line(&self) -> Permit<'_> {
        let hurry = BACKGROUND.try_with(|()| ()).is_err();
        let (background, _last) = match hurry {
            true => (None, None),
            false => {
                let permit = acquire(&self.background).await;
                (Some(permit), Some(self.last.lock().await))
            }
        };
        let _line = self.line.lock().await;
        let permit = acquire(&self.permits).await;
        self.wait_for_budget().await;
        Permit {
            _permit: permit,
            _background: background,
        }
    }

    /// Spaces calls. At most a tenth of a second's worth of unused budget is saved up.
    async fn wait_for_budget(&self) {
        let Some(gap) = self.gap else {
            return;
        };
        let turn = {
            let mut next = self.next.lock();
            let now = Instant::now();
            let earliest = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
            let turn = (*next).max(earliest);
            *next = turn + gap;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

async fn acquire(permits: &Semaphore) -> SemaphorePermit<'_> {
    permits.acquire().await.expect("never closed")
}
