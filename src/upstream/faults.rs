//! Detection of failed calls that are the fault of their service.
//!
//! A 500 to one call may be caused by what the call asked for. If call after call fails, for one key and then
//! for others, and none works in between, the service itself is at fault: an audit log on a full disk, or a
//! database behind it that is gone.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::KeyId;

/// The number of keys that must fail before the service is at fault. It is lower if the service has fewer
/// keys.
const MOST: usize = 5;
/// The smallest number of keys that must fail before the service is at fault.
const LEAST: usize = 2;

/// The time after its last call for which a key still counts among those of a service. Except for rare ones,
/// checks run at least once a day.
const FORGOTTEN: Duration = Duration::from_secs(25 * 60 * 60);

tokio::task_local! {
    static SUBJECT: Subject;
}

/// The key that a call is for. A hash distinguishes keys well enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject(u64);

impl Subject {
    fn of(key: &KeyId) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(key))
    }

    /// Returns the key that the current call is for, if there is one.
    pub fn current() -> Option<Self> {
        SUBJECT.try_with(|subject| *subject).ok()
    }
}

/// Attributes the calls that `work` makes to this key.
pub async fn on_behalf_of<T>(key: &KeyId, work: impl Future<Output = T>) -> T {
    SUBJECT.scope(Subject::of(key), work).await
}

/// Prepares `work` for another task: its calls stay attributed to the key that this task works for.
pub fn carried_over<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let subject = Subject::current();
    async move {
        match subject {
            Some(subject) => SUBJECT.scope(subject, work).await,
            None => work.await,
        }
    }
}

/// The keys whose calls have failed since the last call that worked.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The keys of the latest calls, and the time of the last call for each.
    known: Vec<(Subject, Instant)>,
    failed: Vec<Subject>,
}

impl Faults {
    /// Records a call that worked.
    pub fn worked(&mut self, subject: Option<Subject>, now: Instant) {
        self.know(subject, now);
        self.failed.clear();
    }

    /// Records a call that failed. Returns `true` if the service is at fault.
    pub fn failed(&mut self, subject: Option<Subject>, now: Instant) -> bool {
        self.know(subject, now);
        if let Some(subject) = subject
            && !self.failed.contains(&subject)
            && self.failed.len() < MOST
        {
            self.failed.push(subject);
        }
        self.failed.len() >= self.known.len().clamp(LEAST, MOST)
    }

    fn know(&mut self, subject: Option<Subject>, now: Instant) {
        let Some(subject) = subject else { return };
        self.known
            .retain(|(known, at)| *known != subject && now - *at < FORGOTTEN);
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.push((subject, now));
    }
}
