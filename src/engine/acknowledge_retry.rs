//! The wait after an acknowledgement that failed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::reconcile::Rules;
use crate::retry::{self, Class, Limits};
use crate::source::SourceError;
use crate::upstream::Failure as _;

/// Failed attempts to acknowledge a version.
#[derive(Debug, Default)]
pub struct AcknowledgeRetry {
    tries: u32,
    not_before: Option<Instant>,
    /// The last start or reload before the last attempt.
    since: DateTime<Utc>,
    /// The error that was logged last.
    error: Option<SourceError>,
}

impl AcknowledgeRetry {
    /// Records a failure and returns the wait before the next attempt. A refusal stays until a person
    /// changes something, and is tried again as rarely as one of Flashback's.
    pub fn failed(&mut self, error: &SourceError, rules: &Rules, retry: Limits) -> Duration {
        let wait = match error.class() {
            Class::Refused => rules.refused,
            Class::Outage { retry_after } | Class::Transient { retry_after } => {
                retry::wait(retry, self.tries, retry_after)
            }
        };
        self.tries += 1;
        self.since = rules.since;
        self.not_before = Some(Instant::now() + wait);
        wait
    }

    /// Returns `true` if an error is to be logged: it is another one than the last, and no outage that is logged for
    /// all keys of a source.
    pub fn is_news(&mut self, error: &SourceError) -> bool {
        let is_news =
            self.error.as_ref() != Some(error) && !matches!(error, SourceError::CircuitOpen { .. });
        if is_news {
            self.error = Some(error.clone());
        }
        is_news
    }

    /// Returns `true` if it may be tried now. `since` is the last start or reload, which brings a try forward.
    pub fn may(&self, since: DateTime<Utc>) -> bool {
        self.since != since || self.not_before.is_none_or(|at| Instant::now() >= at)
    }
}
