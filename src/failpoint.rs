//! Named points at which a test can kill the process, as by `kill -9`, or make it panic.
//!
//! A debug build reads `FLASHBACK_ROTATOR_KILL_AT` and `FLASHBACK_ROTATOR_PANIC_AT` from its environment:
//! `NAME`, `NAME:N` (the Nth time), or `NAME:*` (every time); `NAME@STAGE` counts only passes in that stage
//! of a verification. In the same way `FLASHBACK_ROTATOR_HANG_AT` makes a task wait for ever at a point
//! marked by [`may_hang`], and [`interval`] lets a test shorten an interval. A release build has no failpoints.

use std::time::Duration;

/// Returns an interval that a test may shorten: a debug build reads `variable`, in milliseconds, from its
/// environment.
#[cfg(debug_assertions)]
pub fn interval(variable: &str, interval: Duration) -> Duration {
    let text = std::env::var(variable).ok();
    let millis = text.and_then(|text| text.parse().ok());
    millis.map_or(interval, Duration::from_millis)
}

/// Returns `interval`: a release build reads no variable.
#[cfg(not(debug_assertions))]
pub fn interval(_variable: &str, interval: Duration) -> Duration {
    interval
}

/// Kills the process or panics if the environment names this point.
pub fn reach(point: &str) {
    reach_in("", point);
}

/// Does the same as [`reach`] for a point that is reached in several stages of a verification.
#[cfg(debug_assertions)]
pub fn reach_in(stage: &str, point: &str) {
    use std::sync::LazyLock;

    use rustix::process::{Signal, getpid, kill_process};

    static KILL: LazyLock<Wanted> = LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_KILL_AT"));
    static PANIC: LazyLock<Wanted> = LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_PANIC_AT"));

    if KILL.is_now(stage, point) {
        if let Some(last) = LAST.get() {
            last();
        }
        let _ = kill_process(getpid(), Signal::KILL);
    }
    // The message stands for one that holds a secret: tests check that it is never shown.
    assert!(!PANIC.is_now(stage, point), "canary of a panic at {point}");
}

/// What is done before the process is killed at a point.
#[cfg(debug_assertions)]
static LAST: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>> = std::sync::OnceLock::new();

/// Sets what is done before the process is killed at a point, once: a test that counts the lines of the log needs
/// those that were on their way.
#[cfg(debug_assertions)]
pub fn before_kill(last: impl Fn() + Send + Sync + 'static) {
    let _ = LAST.set(Box::new(last));
}

/// Does nothing: a release build has no failpoints.
#[cfg(not(debug_assertions))]
pub fn before_kill(_last: impl Fn() + Send + Sync + 'static) {}

/// Waits for ever if the environment names this point.
#[cfg(debug_assertions)]
pub async fn may_hang(point: &str) {
    static HANG: std::sync::LazyLock<Wanted> =
        std::sync::LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_HANG_AT"));
    if HANG.is_now("", point) {
        std::future::pending::<()>().await;
    }
}

/// Does nothing: a release build has no failpoints.
#[cfg(not(debug_assertions))]
pub async fn may_hang(_point: &str) {}

/// The failpoint that an environment variable names.
#[cfg(debug_assertions)]
struct Wanted {
    /// The point and which pass through it counts; `None` for every pass.
    at: Option<(String, Option<u32>)>,
    reached: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
impl Wanted {
    fn read(variable: &str) -> Self {
        let parse = |text: String| match text.split_once(':') {
            Some((name, "*")) => (name.to_owned(), None),
            Some((name, count)) => (name.to_owned(), Some(count.parse().unwrap_or(1))),
            None => (text, Some(1)),
        };
        Self {
            at: std::env::var(variable).ok().map(parse),
            reached: std::sync::atomic::AtomicU32::new(0),
        }
    }

    fn is_now(&self, stage: &str, point: &str) -> bool {
        use std::sync::atomic::Ordering;
        let here = |name: &str| name == point || name.split_once('@') == Some((point, stage));
        let Some((_, time)) = self.at.as_ref().filter(|(name, _)| here(name)) else {
            return false;
        };
        let reached = self.reached.fetch_add(1, Ordering::Relaxed) + 1;
        time.is_none_or(|time| time == reached)
    }
}

/// Does nothing: a release build has no failpoints.
#[cfg(not(debug_assertions))]
pub fn reach_in(_stage: &str, _point: &str) {}
