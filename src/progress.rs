//! Detects checks (reconcile runs) that hang.
//!
//! Each step of a check is bounded by a time-out, so a check that takes no step for minutes hangs, and only a
//! restart ends that. A check that waits in line for others is not suspected: the one that holds up the line
//! is. Time is counted in beats of this process and not by a clock: while a machine was suspended or the
//! process stopped, no check could make progress.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::failpoint;
use crate::model::KeyId;

/// The interval at which the progress of the checks is examined.
pub const BEAT: Duration = Duration::from_secs(1);

/// The time without a step after which a check counts as hanging. The longest step, a sign-in to Flashback
/// with a second factor, has four calls of 20 s each and may wait for two codes, of 30 s each.
const STALLED: Duration = Duration::from_secs(180);

tokio::task_local! {
    static HERE: Arc<Check>;
}

/// The checks under way in this process.
pub struct Checks {
    stalled_after: u32,
    under_way: Mutex<Vec<Watched>>,
}

/// A check under way.
struct Check {
    key: KeyId,
    steps: AtomicU32,
    /// The number of lines in which the check waits.
    waits: AtomicU32,
}

struct Watched {
    check: Weak<Check>,
    /// The number of steps when the check was last found to make progress …
    steps: u32,
    /// … and the beats since then.
    beats: u32,
}

impl Default for Checks {
    fn default() -> Self {
        let stalled = failpoint::interval("FLASHBACK_ROTATOR_STALLED_AFTER_MS", STALLED);
        let beats = stalled.as_millis().div_ceil(BEAT.as_millis());
        Self {
            stalled_after: u32::try_from(beats).unwrap_or(u32::MAX),
            under_way: Mutex::default(),
        }
    }
}

impl Checks {
    /// Watches `check`, a check of `key`, until it ends.
    pub async fn watch<T>(&self, key: &KeyId, check: impl Future<Output = T>) -> T {
        let here = Arc::new(Check {
            key: key.clone(),
            steps: AtomicU32::new(0),
            waits: AtomicU32::new(0),
        });
        self.under_way.lock().push(Watched {
            check: Arc::downgrade(&here),
            steps: 0,
            beats: 0,
        });
        HERE.scope(here, check).await
    }

    /// Examines which checks make progress; to be called each [`BEAT`].
    pub fn beat(&self) {
        let limit = self.stalled_after;
        self.under_way.lock().retain_mut(|watched| {
            let Some(check) = watched.check.upgrade() else {
                return false;
            };
            watched.beat(&check);
            if watched.beats == limit {
                tracing::error!(
                    key = %check.key,
                    "the check of this key hangs: this is a bug, please report it; the process is to be restarted"
                );
            }
            true
        });
    }

    /// Returns a key whose check hangs.
    pub fn stalled(&self) -> Option<KeyId> {
        let under_way = self.under_way.lock();
        let mut stalled = under_way
            .iter()
            .filter(|watched| watched.beats >= self.stalled_after);
        stalled.find_map(|watched| Some(watched.check.upgrade()?.key.clone()))
    }
}

impl Watched {
    fn beat(&mut self, check: &Check) {
        let steps = check.steps.load(Ordering::Relaxed);
        if steps != self.steps || check.waits.load(Ordering::Relaxed) > 0 {
            self.steps = steps;
            self.beats = 0;
        } else {
            self.beats = self.beats.saturating_add(1);
        }
    }
}

/// Records that the check in which this is called has taken a step.
pub fn step() {
    let _ = HERE.try_with(|check| check.steps.fetch_add(1, Ordering::Relaxed));
}

/// Awaits `wait` while the check in which this is called waits in line for others, and so does not hang.
pub async fn in_line<T>(wait: impl Future<Output = T>) -> T {
    let _waits = HERE.try_with(Waits::begin).ok();
    wait.await
}

/// Counts a wait until it is dropped, however the wait ends.
struct Waits(Arc<Check>);

impl Waits {
    fn begin(check: &Arc<Check>) -> Self {
        check.waits.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(check))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::Relaxed);
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt as _;

    use super::*;

    fn checks() -> Checks {
        Checks {
            stalled_after: 3,
            under_way: Mutex::default(),
        }
    }

    fn beat(checks: &Checks, times: u32) -> Option<String> {
        (0..times).for_each(|_| checks.beat());
        checks.stalled().map(|key| key.to_string())
    }

    #[test]
    fn a_check_without_a_step_stalls_until_it_takes_one() {
        let checks = checks();
        let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
        let key = KeyId::new("a");
        let mut check = Box::pin(checks.watch(&key, async {
            step();
            let _ = wait.await;
            step();
            pending::<()>().await;
        }));
        assert!(check.as_mut().now_or_never().is_none());
        assert_eq!(beat(&checks, 1 + 2), None, "the first beat has seen a step");
        assert_eq!(beat(&checks, 1).as_deref(), Some("a"));
        assert_eq!(beat(&checks, 10).as_deref(), Some("a"));
        go_on.send(()).expect("it waits");
        assert!(check.as_mut().now_or_never().is_none());
        assert_eq!(beat(&checks, 1), None);
        assert_eq!(beat(&checks, 3).as_deref(), Some("a"));
        drop(check);
        assert_eq!(beat(&checks, 0), None, "it has ended");
        assert_eq!(beat(&checks, 1), None);
        assert!(checks.under_way.lock().is_empty());
    }

    #[test]
    fn a_check_that_waits_for_others_does_not_stall() {
        let checks = checks();
        let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
        let key = KeyId::new("a");
        let mut check = Box::pin(checks.watch(&key, async {
            let _ = in_line(wait).await;
            pending::<()>().await;
        }));
        assert!(check.as_mut().now_or_never().is_none());
        assert_eq!(beat(&checks, 100), None);
        go_on.send(()).expect("it waits");
        assert!(check.as_mut().now_or_never().is_none());
        assert_eq!(beat(&checks, 1 + 2), None);
        assert_eq!(beat(&checks, 1).as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn outside_of_a_check_nothing_is_watched() {
        step();
        in_line(async {}).await;
    }
}
