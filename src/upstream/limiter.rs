//! Who calls next.
//!
//! What a rotation needs goes before what merely looks: a key that was rotated must not wait for ten
//! thousand that were not. Calls of both kinds stand in one line, but of those in no hurry only one
//! at a time, and some places are never theirs. So a call that matters waits for one that does not
//! at most; and one that does not waits for those that stood in line before it, and is never starved.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::progress::in_line;

/// The part of the places that is kept for calls that matter.
const KEPT: usize = 8;

tokio::task_local! {
    static BACKGROUND: ();
}

/// Has the calls that `work` makes wait for those that matter more.
pub async fn in_background<T>(work: impl Future<Output = T>) -> T {
    BACKGROUND.scope((), work).await
}

/// The places of a lane, its budget, and the line before them.
pub(super) struct RateLimiter {
    permits: Semaphore,
    /// Places for those in no hurry.
    background: Semaphore,
    /// Held by the one of them that stands in line.
    last: tokio::sync::Mutex<()>,
    /// Held by whoever is next.
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
    /// `max_rps` calls a second, and `places` under way at once.
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

    /// Waits for a place, and for its share of the budget.
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

    /// Spaces calls, with a tenth of a second's worth saved up at most.
    async fn wait_for_budget(&self) {
        let Some(gap) = self.gap else {
            return;
        };
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
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
