//! Finds out that a source's events have fallen silent, though its trigger listens: an audit device that was disabled, or
//! a file that the server does not write any more, looks like a source in which nothing changes.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::failpoint;

/// The time that an event has to come after a check has found its change.
const PATIENCE: Duration = Duration::from_secs(30);

/// A change is held against the events only if the source made it this long after they began, so that neither a clock
/// that is a little ahead nor a change on their way does.
const MARGIN: TimeDelta = TimeDelta::seconds(10);

/// The changes that checks have found and no event has told of yet.
#[derive(Debug, Default)]
pub struct Unheard {
    since: Option<DateTime<Utc>>,
    found: BTreeMap<String, Instant>,
}

impl Unheard {
    /// Begins anew, as the events have.
    pub fn begin(&mut self) {
        self.since = Some(Utc::now());
        self.found.clear();
    }

    /// Notes that a check has found a change of this time that no event has told of.
    pub fn found(&mut self, path: &str, written_at: Option<DateTime<Utc>>) {
        let is_later = |since| written_at.is_some_and(|at| at > since + MARGIN);
        if self.since.is_some_and(is_later) {
            let now = Instant::now();
            self.found.entry(path.to_owned()).or_insert(now);
        }
    }

    /// Notes that an event has told of a change.
    pub fn heard(&mut self, paths: &[String]) {
        for path in paths {
            self.found.remove(path);
        }
    }

    /// Returns `true` if an event has not come in its time.
    pub fn is_overdue(&self) -> bool {
        let patience = failpoint::interval("FLASHBACK_ROTATOR_UNHEARD_MS", PATIENCE);
        self.found.values().any(|at| at.elapsed() >= patience)
    }
}
