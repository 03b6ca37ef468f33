//! Named points at which a test can have the process killed, as by `kill -9`.
//!
//! A debug build reads `FLASHBACK_ROTATOR_KILL_AT=NAME` or `NAME:N` (the Nth time) from its
//! environment. A release build has no such points.

/// Dies here if the environment says so.
#[cfg(debug_assertions)]
pub fn reach(point: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static REACHED: AtomicU32 = AtomicU32::new(0);

    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FLASHBACK_ROTATOR_KILL_AT").ok()?;
        Some(match text.split_once(':') {
            Some((name, count)) => (name.to_owned(), count.parse().unwrap_or(1)),
            None => (text, 1),
        })
    });
    if let Some((name, count)) = wanted
        && name == point
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// A release build has no such points.
#[cfg(not(debug_assertions))]
pub fn reach(_point: &str) {}
