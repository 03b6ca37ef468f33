//! Faults of calls that are the fault of their service.
//!
//! A 500 to one call may be the trouble of what it asked for. Where call after call fails so, for one key and then for
//! others, and nothing works between, the service is ill: an audit log on a full disk, a database behind it that is gone.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::KeyId;

/// So many keys speak for a service; fewer where it has fewer …
const MOST: usize = 5;
/// … and never one alone.
const LEAST: usize = 2;

/// A key that was not called for in this time is not counted among those of a service. The rarest checks but a few
/// come once a day.
const FORGOTTEN: Duration = Duration::from_secs(25 * 60 * 60);

tokio::task_local! {
    static SUBJECT: Subject;
}

/// Whose call it is, told apart well enough by a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject(u64);

impl Subject {
    fn of(key: &KeyId) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(key))
    }

    /// The key that the call made now is for, where it is for one.
    pub fn current() -> Option<Self> {
        SUBJECT.try_with(|subject| *subject).ok()
    }
}

/// Has the calls that `work` makes count as calls for this key.
pub async fn on_behalf_of<T>(key: &KeyId, work: impl Future<Output = T>) -> T {
    SUBJECT.scope(Subject::of(key), work).await
}

/// Returns `work` for another task, on behalf of the key that this one works for.
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
    /// Some of the keys that the service is called for: those of the latest calls, and when.
    known: Vec<(Subject, Instant)>,
    failed: Vec<Subject>,
}

impl Faults {
    /// A call worked.
    pub fn worked(&mut self, subject: Option<Subject>, now: Instant) {
        self.know(subject, now);
        self.failed.clear();
    }

    /// A call failed. Returns whether the service is ill, by all that is known.
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
