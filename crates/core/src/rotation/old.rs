//! What a finished step about an old key, and one that has failed, changes on record.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::step::Leaving;
use crate::model::{EndedKey, Fate, NextKey, OldKey, ProviderKeyId, Rotation, Stuck, is_ahead};

/// The wait after the first failure of a step.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

impl Rotation {
    /// An old key is to be disabled: from now on it may be.
    #[must_use]
    pub fn disabling(&self, id: &ProviderKeyId, now: DateTime<Utc>) -> Self {
        self.changed(id, |old| {
            old.disabled_at = Some(now);
            old.disabling = Some(now);
        })
    }

    /// An old key is disabled.
    #[must_use]
    pub fn disabled(&self, id: &ProviderKeyId, now: DateTime<Utc>) -> Self {
        let mut next = self.changed(id, |old| {
            old.disabled_at = Some(now);
            old.disabling = None;
            old.stuck = None;
        });
        next.revoked(self.old(id), now);
        next
    }

    /// An old key is enabled again. If a call that disables it may still have its effect, which it cannot after `doubt`
    /// twice, that stays on record: also if a later one was answered.
    #[must_use]
    pub fn enabled(&self, id: &ProviderKeyId, doubt: Duration, now: DateTime<Utc>) -> Self {
        self.changed(id, |old| {
            let begun = old.disabling.or(old.disabled_at);
            old.disabling = begun.filter(|at| now < *at + doubt * 2);
            old.disabled_at = None;
            old.since = now;
            old.stuck = None;
        })
    }

    /// The wait for an old key begins again.
    #[must_use]
    pub fn restarted(&self, id: &ProviderKeyId, now: DateTime<Utc>) -> Self {
        self.changed(id, |old| {
            old.since = now;
            old.disabled_at = old.disabled_at.map(|_| now);
            old.disabling = old.disabling.map(|_| now);
        })
    }

    /// An old key is not there any more, or is left to people.
    #[must_use]
    pub fn without(&self, id: &ProviderKeyId, why: Option<Leaving>, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        let ended = self.old.iter().filter(|old| old.key.id == *id);
        next.times.ended.extend(ended.map(|old| EndedKey {
            id: id.clone(),
            fate: match why {
                None => Fate::Deleted,
                Some(_) => Fate::Left,
            },
            compromised: old.compromised,
            disabled_at: old.disabled_at,
            at: now,
        }));
        next.old.retain(|old| old.key.id != *id);
        if why.is_none() {
            next.deleted_at = Some(now);
        }
        if why.is_none() && next.times.revoked_at.is_none() {
            next.revoked(self.old(id), now);
        }
        next
    }

    /// A step about an old key, or else about the next one, has failed. It is tried again after a wait that grows, or
    /// after what the provider has asked for.
    #[must_use]
    pub fn failed(
        &self,
        id: Option<&ProviderKeyId>,
        why: &str,
        retry_after: Option<Duration>,
        now: DateTime<Utc>,
    ) -> Self {
        let old = id.and_then(|id| self.old(id));
        let known = match old {
            Some(old) => old.stuck.as_ref(),
            None => self.stuck.as_ref(),
        };
        let tries = known.map_or(0, |known| known.tries);
        let wait = (FIRST_WAIT * 2_u32.saturating_pow(tries.min(20))).min(LONGEST_WAIT);
        let stuck = Stuck {
            why: why.to_owned(),
            since: known.map_or(now, |known| known.since),
            tries: tries + 1,
            next_at: now + retry_after.unwrap_or_default().min(LONGEST_WAIT).max(wait),
        };
        match old {
            Some(old) => self.changed(&old.key.id, |old| old.stuck = Some(stuck)),
            None => {
                let mut next = self.clone();
                next.stuck = Some(stuck);
                if let Some(NextKey::Minted { doubtful, .. }) = &mut next.next {
                    *doubtful = true;
                }
                next
            }
        }
    }

    /// What is due for its next try has no reason any more to be stuck.
    #[must_use]
    pub fn recovered(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        let is_later = |stuck: &Stuck| !is_due_again(stuck, now);
        next.stuck = next.stuck.filter(is_later);
        for old in &mut next.old {
            old.stuck = old.stuck.take().filter(is_later);
        }
        next
    }

    /// Returns what does not get on.
    pub fn stuck(&self) -> impl Iterator<Item = &Stuck> {
        let old = self.old.iter().filter_map(|old| old.stuck.as_ref());
        self.stuck.iter().chain(old)
    }

    /// Returns the reasons for which something does not get on.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.stuck().map(|stuck| stuck.why.as_str())
    }

    /// Returns the time of the next try of something that does not get on; `now` if nothing waits for one.
    pub fn next_try(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let all = self.stuck().map(|stuck| stuck.next_at);
        all.filter(|at| *at > now).min().unwrap_or(now)
    }

    fn old(&self, id: &ProviderKeyId) -> Option<&OldKey> {
        self.old.iter().find(|old| old.key.id == *id)
    }

    /// Notes when the key was revoked that the last rotation has replaced, and not one from before.
    fn revoked(&mut self, old: Option<&OldKey>, now: DateTime<Utc>) {
        if old.is_some_and(|old| {
            self.times
                .started_at
                .is_some_and(|begun| begun <= old.since)
        }) {
            self.times.revoked_at = Some(now);
        }
    }

    fn changed(&self, id: &ProviderKeyId, change: impl FnOnce(&mut OldKey)) -> Self {
        let mut next = self.clone();
        if let Some(old) = next.old.iter_mut().find(|old| old.key.id == *id) {
            change(old);
        }
        next
    }
}

/// Returns `true` if it is time for the next try. A wait that lasts too long is one of a clock that was set back.
pub(super) fn is_due_again(stuck: &Stuck, now: DateTime<Utc>) -> bool {
    stuck.next_at <= now || is_ahead(stuck.next_at, now + LONGEST_WAIT)
}
