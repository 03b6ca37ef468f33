//! Tasks that are started again after a panic.
//!
//! A panic ends the task in which it happens and nothing else, so a daemon that ignored it would go on
//! half-dead. Tasks that run for as long as the process does run under a [`Supervisor`]: they are started
//! again, with growing pauses, and if that does not help, the process no longer counts as live. The panic
//! itself is logged by the hook in [`telemetry::panics`](crate::telemetry::panics).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::telemetry::panics::{Task, within};

/// The pause before a task is first started again; each further pause is twice as long …
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that has run this long is well again.
const WELL_AGAIN: Duration = Duration::from_secs(60);

/// The number of panics, without [`WELL_AGAIN`] between them, after which a task counts as lost.
const LOST_AFTER: u32 = 5;

/// Starts tasks again that have panicked, and knows which cannot be kept running.
#[derive(Clone, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    lost: Arc<AtomicUsize>,
}

impl Supervisor {
    /// Creates a supervisor that starts nothing again once `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            lost: Arc::default(),
        }
    }

    /// Returns the token that is cancelled when nothing new may begin.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Checks that no task is lost.
    pub fn all_well(&self) -> bool {
        self.lost.load(Ordering::Relaxed) == 0
    }

    /// Runs `run` on `state`, and again after each panic, until it returns. A panic can leave the state
    /// half-changed: `run` must rely only on what is certain.
    pub async fn keep<S: Send>(
        &self,
        task: Task,
        mut state: S,
        run: impl for<'a> Fn(&'a mut S) -> BoxFuture<'a, ()> + Send,
    ) {
        let mut lost = Lost::no(&self.lost);
        let mut panics = 0;
        loop {
            let ended = AssertUnwindSafe(within(task, None, run(&mut state))).catch_unwind();
            tokio::pin!(ended);
            let ended = match tokio::time::timeout(WELL_AGAIN, &mut ended).await {
                Ok(ended) => ended,
                Err(_) => {
                    panics = 0;
                    lost.is(false);
                    ended.await
                }
            };
            if ended.is_ok() {
                return;
            }
            let pause = FIRST_PAUSE.saturating_mul(1 << panics.min(16));
            panics += 1;
            lost.is(panics >= LOST_AFTER);
            let pause = tokio::time::sleep(pause.min(LONGEST_PAUSE));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }
}

/// Counts one task as lost while it is, until this is dropped.
struct Lost<'a> {
    count: &'a AtomicUsize,
    counted: bool,
}

impl<'a> Lost<'a> {
    fn no(count: &'a AtomicUsize) -> Self {
        Self {
            count,
            counted: false,
        }
    }

    fn is(&mut self, lost: bool) {
        match (std::mem::replace(&mut self.counted, lost), lost) {
            (false, true) => self.count.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.count.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.is(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use parking_lot::Mutex;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_restarts_with_its_state_after_growing_pauses() {
        let supervisor = Supervisor::default();
        let starts = Mutex::new(Vec::new());
        let begun = Instant::now();
        supervisor
            .keep(Task::Http, 0, |turn| {
                let at = begun.elapsed().as_millis();
                starts.lock().push(at);
                *turn += 1;
                let last = *turn == 4;
                async move { assert!(last, "as the test says") }.boxed()
            })
            .await;
        assert_eq!(*starts.lock(), [0, 100, 300, 700]);
        assert!(supervisor.all_well());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_keeps_panicking_is_unwell_until_it_runs_again() {
        let supervisor = Supervisor::default();
        let ill = Arc::new(AtomicBool::new(true));
        let (kept, is_ill) = (supervisor.clone(), Arc::clone(&ill));
        let kept = tokio::spawn(async move {
            kept.keep(Task::Http, is_ill, |ill| {
                let ill = ill.load(Ordering::Relaxed);
                async move {
                    assert!(!ill, "as the test says");
                    std::future::pending::<()>().await;
                }
                .boxed()
            })
            .await;
        });
        sleep(Duration::from_secs(1)).await;
        assert!(supervisor.all_well(), "a few panics are survived");
        sleep(Duration::from_secs(600)).await;
        assert!(!supervisor.all_well());
        ill.store(false, Ordering::Relaxed);
        sleep(LONGEST_PAUSE + WELL_AGAIN + Duration::from_secs(1)).await;
        assert!(supervisor.all_well());
        kept.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_started_again_at_the_end() {
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(stop.clone());
        supervisor
            .keep(Task::Http, stop, |stop| {
                assert!(!stop.is_cancelled(), "it was started again");
                stop.cancel();
                async { panic!("as the test says") }.boxed()
            })
            .await;
    }
}
