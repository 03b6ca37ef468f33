//! The dispatcher's signs of life, and its progress with the first run of each key.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The signs of life.
pub struct Pulse {
    start: Instant,
    beat: AtomicU64,
    /// Keys that have not been reconciled yet; at least one before the first schedule is known.
    unseen: AtomicUsize,
}

impl Pulse {
    /// Creates a pulse whose last sign of life is now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            beat: AtomicU64::new(0),
            unseen: AtomicUsize::new(1),
        }
    }

    /// Gives a sign of life.
    pub fn beat(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(elapsed, Ordering::Relaxed);
    }

    /// Returns how long ago the last sign of life was.
    pub fn age(&self) -> Duration {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(beat)
    }

    /// Returns how many keys have not been reconciled yet.
    pub fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Sets how many keys have not been reconciled yet.
    pub fn set_unseen(&self, unseen: usize) {
        self.unseen.store(unseen, Ordering::Relaxed);
    }

    /// Counts one key as reconciled.
    pub fn one_seen(&self) {
        self.unseen.fetch_sub(1, Ordering::Relaxed);
    }
}
