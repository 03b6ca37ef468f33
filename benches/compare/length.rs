//! The size of a run: the numbers of keys and the durations of all sections.

use std::time::Duration;

/// The durations and sizes of a run.
#[derive(Clone)]
pub struct Length {
    /// The numbers of keys with which the contest is run.
    pub sizes: Vec<usize>,
    /// The number of rotations in each contest.
    pub rotations: usize,
    /// The time over which those rotations are spread.
    pub spread: Duration,
    /// The duration of the measurement without rotations.
    pub idle: Duration,
    /// The number of keys rotated during the outage, the outage's duration, and the wait after it.
    pub outage: (usize, Duration, Duration),
    /// The number of keys of the section on events, and of rotations.
    pub events: (usize, usize),
    /// The time over which those rotations are spread.
    pub events_spread: Duration,
    /// The number of writes while a receiver is stopped.
    pub stalled: usize,
    /// The numbers of secrets and of writes while the ways of events fail.
    pub faults: (usize, usize),
    /// The number of keys of the large process.
    pub large: usize,
    /// The time for which the large process is left idle.
    pub large_idle: Duration,
    /// The number of keys that replicas share for their first round, and the number when one of them ends.
    pub shared: (usize, usize),
    /// The duration in seconds of each run of wrk, and the number of runs.
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
                events: (20, 10),
                events_spread: seconds(2),
                stalled: 300,
                faults: (10, 300),
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
                events: (1_000, 300),
                events_spread: seconds(30),
                stalled: 1_000,
                faults: (100, 10_000),
                large: 10_000,
                large_idle: seconds(120),
                shared: (2_000, 200),
                wrk: (10, 3),
            }
        }
    }
}
