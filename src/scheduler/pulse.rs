//! Whether the dispatcher lives, and how far it is with its first looks.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Signs of life.
pub struct Pulse {
    start: Instant,
    beat: AtomicU64,
    /// Keys not looked at yet. Before the first schedule is known there is one at least.
    unseen: AtomicUsize,
}

impl Pulse {
    /// Returns one that begins now.
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

    /// Returns how many keys have not been looked at yet.
    pub fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Says how many keys have not been looked at yet.
    pub fn set_unseen(&self, unseen: usize) {
        self.unseen.store(unseen, Ordering::Relaxed);
    }

    /// Counts one key as looked at.
    pub fn one_seen(&self) {
        self.unseen.fetch_sub(1, Ordering::Relaxed);
    }
}
