//! Named points at which a test can have the process killed, as by `kill -9`, or have it panic.
//!
//! A debug build reads `FLASHBACK_ROTATOR_KILL_AT` and `FLASHBACK_ROTATOR_PANIC_AT` from its
//! environment: `NAME`, `NAME:N` (the Nth time), or `NAME:*` (every time); `NAME@STAGE` counts only what
//! belongs to that stage of a trial. `FLASHBACK_ROTATOR_HANG_AT` makes a task wait for ever in the same
//! way, where one [`may_hang`]. A release build has no such points.
//! [`interval`]s are for tests in the same way.

use std::time::Duration;

/// An interval that a test may shorten: a debug build reads the variable, in milliseconds, from its
/// environment.
#[cfg(debug_assertions)]
pub fn interval(variable: &str, interval: Duration) -> Duration {
    let text = std::env::var(variable).ok();
    let millis = text.and_then(|text| text.parse().ok());
    millis.map_or(interval, Duration::from_millis)
}

/// A release build has its intervals as they are.
#[cfg(not(debug_assertions))]
pub fn interval(_variable: &str, interval: Duration) -> Duration {
    interval
}

/// Dies or panics here if the environment says so.
pub fn reach(point: &str) {
    reach_in("", point);
}

/// The same at a point that is passed in several stages of a trial.
#[cfg(debug_assertions)]
pub fn reach_in(stage: &str, point: &str) {
    use std::sync::LazyLock;

    use rustix::process::{Signal, getpid, kill_process};

    static KILL: LazyLock<Wanted> = LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_KILL_AT"));
    static PANIC: LazyLock<Wanted> = LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_PANIC_AT"));

    if KILL.is_now(stage, point) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
    // The message stands for one that holds a secret: it must get nowhere.
    assert!(!PANIC.is_now(stage, point), "canary of a panic at {point}");
}

/// Waits here for ever if the environment says so.
#[cfg(debug_assertions)]
pub async fn may_hang(point: &str) {
    static HANG: std::sync::LazyLock<Wanted> =
        std::sync::LazyLock::new(|| Wanted::read("FLASHBACK_ROTATOR_HANG_AT"));
    if HANG.is_now("", point) {
        std::future::pending::<()>().await;
    }
}

/// A release build has no such points.
#[cfg(not(debug_assertions))]
pub async fn may_hang(_point: &str) {}

/// What the environment names.
#[cfg(debug_assertions)]
struct Wanted {
    /// The point, and the time; `None` for every time.
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

/// A release build has no such points.
#[cfg(not(debug_assertions))]
pub fn reach_in(_stage: &str, _point: &str) {}
