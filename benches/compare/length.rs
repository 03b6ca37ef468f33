//! What a run costs: the numbers of keys and the times of all sections.

use std::time::Duration;

/// How long and how large a run is.
#[derive(Clone)]
pub struct Length {
    /// How many keys the contest is held with, each time.
    pub sizes: Vec<usize>,
    /// How often a key is rotated in each contest.
    pub rotations: usize,
    /// How long those rotations are spread over.
    pub spread: Duration,
    /// How long nothing is rotated.
    pub idle: Duration,
    /// How many keys are rotated in an outage, how long it is, and what is waited after it.
    pub outage: (usize, Duration, Duration),
    /// How many keys one process gets in the end.
    pub large: usize,
    /// How long that process is left alone.
    pub large_idle: Duration,
    /// How many keys replicas share for their first pass, and when one ends.
    pub shared: (usize, usize),
    /// How long the store is read by wrk alone, each time, and how many times.
    pub wrk: (u32, usize),
}

impl Length {
    pub fn new(quick: bool) -> Self {
        let seconds = Duration::from_secs;
        if quick {
            Self {
                sizes: vec![1, 10],
                rotations: 5,
                spread: seconds(3),
                idle: seconds(4),
                outage: (5, seconds(4), seconds(8)),
                large: 200,
                large_idle: seconds(5),
                shared: (100, 20),
                wrk: (1, 1),
            }
        } else {
            Self {
                sizes: vec![1, 100, 1_000],
                rotations: 50,
                spread: seconds(20),
                idle: seconds(60),
                outage: (100, seconds(30), seconds(60)),
                large: 10_000,
                large_idle: seconds(120),
                shared: (2_000, 200),
                wrk: (10, 3),
            }
        }
    }
}
