//! When a step is tried, or something looked at, again.

use chrono::{DateTime, TimeDelta, Utc};

use super::old::is_due_again;
use super::situation::Situation;
use super::step::{Change, Rest, Step};
use crate::model::{ProviderKeyId, Stuck};

/// The wait before a list is asked for again that does not show yet what became of a call, and the shortest one before
/// the keys that read the secret are looked at again.
const LOOK_AGAIN: TimeDelta = TimeDelta::milliseconds(200);

/// The longest of these waits.
const LONGEST_LOOK: TimeDelta = TimeDelta::minutes(5);

impl Rest {
    /// Waits until `until` at the latest.
    pub(super) fn wait(&mut self, until: DateTime<Utc>, why: impl Into<String>) {
        if self.until.is_none_or(|earlier| until < earlier) {
            self.until = Some(until);
        }
        self.waiting.get_or_insert_with(|| why.into());
    }

    /// Waits for what has no time.
    pub(super) fn blocked(&mut self, why: impl Into<String>) {
        self.waiting.get_or_insert_with(|| why.into());
    }
}

/// Returns the wait before the next look at something that has been under way since `since`: the longer it lasts, the
/// longer.
pub(super) fn look_again(since: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now + ((now - since) / 4).clamp(LOOK_AGAIN, LONGEST_LOOK)
}

/// Returns the step that saves why a key does not get on.
pub(super) fn stuck(s: &Situation<'_>, id: Option<&ProviderKeyId>, why: &str) -> Step {
    let next = s.rotation.failed(id, why, None, s.now);
    Step::Save(Box::new(next), Change::Stuck)
}

/// Returns `true` unless something that has failed is to wait for its next try.
pub(super) fn is_ready(stuck: Option<&Stuck>, now: DateTime<Utc>) -> bool {
    stuck.is_none_or(|stuck| is_due_again(stuck, now))
}
