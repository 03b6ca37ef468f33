//! What a finished step changes on record.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::step::Leaving;
use crate::model::{
    EndedKey, Fate, NextKey, OldKey, OwnKey, ProviderKeyId, RotateCommand, Rotation, Stuck, Times,
    Version, is_ahead,
};
use crate::secret::Fingerprint;

/// The wait after the first failure of a step.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

impl Rotation {
    /// A person asks for a rotation.
    #[must_use]
    pub fn asked(&self, command: RotateCommand) -> Self {
        // What is under way was begun before it, also by a clock that was set back since.
        let under_way = self.next.is_some();
        let times = if under_way {
            self.times.clone()
        } else {
            Times::default()
        };
        let after = times
            .started_at
            .map(|begun| begun + TimeDelta::milliseconds(1));
        Self {
            command: Some(RotateCommand {
                at: after.map_or(command.at, |after| after.max(command.at)),
                ..command
            }),
            stuck: None,
            times,
            ..self.clone()
        }
    }

    /// A key is to be made. `now` is the time right before the provider is called.
    #[must_use]
    pub fn minting(&self, next: NextKey, now: DateTime<Utc>) -> Self {
        // A clock that was set back has not begun it before it was asked for.
        let asked_at = self.command.map(|command| command.at);
        let begun = self.times.started_at;
        let is_new = |command: &RotateCommand| begun.is_none_or(|begun| begun < command.at);
        let times = self.of_wish();
        Self {
            number: self.number + 1,
            next: Some(next),
            times: Times {
                asked: self.command.filter(is_new).or(times.asked),
                started_at: Some(now).max(asked_at),
                ..times
            },
            ..self.clone()
        }
        .redated(now)
    }

    /// The stage that the next key is in begins now.
    #[must_use]
    pub fn redated(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        match &mut next.next {
            Some(
                NextKey::Minting { at, .. }
                | NextKey::Minted { at, .. }
                | NextKey::Stored { at, .. },
            ) => *at = now,
            None => {}
        }
        next
    }

    /// The provider has made it. `token` names the write to the source that follows.
    #[must_use]
    pub fn minted(
        &self,
        id: ProviderKeyId,
        fingerprint: Fingerprint,
        token: String,
        now: DateTime<Utc>,
    ) -> Self {
        let expected = match &self.next {
            Some(NextKey::Minting { expected, .. } | NextKey::Minted { expected, .. }) => {
                expected.clone()
            }
            Some(NextKey::Stored { .. }) | None => None,
        };
        let mut next = self.clone();
        next.next = Some(NextKey::Minted {
            id,
            fingerprint,
            expected,
            token,
            doubtful: false,
            at: now,
        });
        next.times.minted_at = Some(now);
        next.stuck = None;
        next
    }

    /// The source has it in this version.
    #[must_use]
    pub fn stored(&self, version: Version, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        if let Some(NextKey::Minted {
            id,
            fingerprint,
            expected,
            ..
        }) = next.next.take()
        {
            next.next = Some(NextKey::Stored {
                id,
                fingerprint,
                version,
                expected,
                at: now,
            });
        }
        next.times.stored_at = Some(now);
        next.stuck = None;
        next
    }

    /// There is no next key any more: it was not made, or was removed.
    #[must_use]
    pub fn without_next(&self) -> Self {
        Self {
            next: None,
            times: self.of_wish(),
            ..self.clone()
        }
    }

    /// Returns what stays of the times as long as what a person has asked for is not done: a key that was made for it
    /// may not work, and another one be made.
    fn of_wish(&self) -> Times {
        let Times {
            asked,
            replaced,
            ended,
            ..
        } = &self.times;
        match asked.is_some() && *asked == self.command {
            true => Times {
                asked: *asked,
                replaced: replaced.clone(),
                ended: ended.clone(),
                ..Times::default()
            },
            false => Times::default(),
        }
    }

    /// The next key is live and verified everywhere. `live_at` is the time at which Flashback accepted it.
    #[must_use]
    pub fn verified(&self, live_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        let Some(NextKey::Stored {
            id, fingerprint, ..
        }) = next.next.take()
        else {
            return next;
        };
        if let Some(current) = &self.current {
            next.times.replaced = Some(current.id.clone());
        }
        next.retire_current(self.is_compromised(), false, now);
        next.old.retain(|old| old.key.id != id);
        next.current = Some(OwnKey {
            id,
            fingerprint,
            minted: true,
        });
        next.unknown = None;
        next.stuck = None;
        // A wish that came while it was under way is fulfilled by it.
        let asked_at = self.command.map(|command| command.at);
        next.times.started_at = next.times.started_at.max(asked_at);
        next.times.asked = self.command.or(next.times.asked);
        next.times.live_at = live_at.or(Some(now));
        next.times.verified_at = Some(now);
        next
    }

    /// The live value is that of this key of the provider; `None` if it is not known whose it is.
    #[must_use]
    pub fn adopted(
        &self,
        id: Option<ProviderKeyId>,
        fingerprint: Fingerprint,
        now: DateTime<Utc>,
    ) -> Self {
        let mut next = self.clone();
        // What was live when a person called it compromised is, whoever has replaced it.
        next.retire_current(self.is_compromised(), false, now);
        next.unknown = id.is_none().then_some(fingerprint);
        next.stuck = None;
        if let Some(id) = id {
            let known = next.old.iter().find(|old| old.key.id == id);
            let is_next = next.next.as_ref().and_then(NextKey::id) == Some(&id);
            let minted = is_next || known.is_some_and(|old| old.key.minted);
            next.old.retain(|old| old.key.id != id);
            if is_next {
                next.next = None;
            }
            next.current = Some(OwnKey {
                id,
                fingerprint,
                minted,
            });
        }
        next
    }

    /// An old key is live again. The one that was live is the next one again, in `version`.
    #[must_use]
    pub fn reinstated(
        &self,
        id: &ProviderKeyId,
        version: Option<Version>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut next = self.clone();
        let Some(index) = next.old.iter().position(|old| old.key.id == *id) else {
            return next;
        };
        let back = next.old.remove(index).key;
        let out = next.current.replace(back);
        next.unknown = None;
        if let (Some(out), Some(version), None) = (&out, version, &next.next)
            && out.minted
        {
            next.next = Some(NextKey::Stored {
                id: out.id.clone(),
                fingerprint: out.fingerprint,
                version,
                expected: None,
                at: now,
            });
        } else if let Some(out) = out {
            next.old.push(draining(out, false, false, now));
        }
        next
    }

    /// Another version is the newest, so the next key is an old one.
    #[must_use]
    pub fn superseded(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.without_next();
        if let Some(
            NextKey::Minted {
                id, fingerprint, ..
            }
            | NextKey::Stored {
                id, fingerprint, ..
            },
        ) = &self.next
        {
            let key = OwnKey {
                id: id.clone(),
                fingerprint: *fingerprint,
                minted: true,
            };
            next.old.push(draining(key, false, false, now));
        }
        next.stuck = None;
        next
    }

    /// The current key is to be revoked though its successor does not work.
    #[must_use]
    pub fn forced(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        next.times.asked = self.command.or(next.times.asked);
        next.times.replaced = self.current.as_ref().map(|key| key.id.clone());
        next.retire_current(true, true, now);
        next
    }

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

    /// An old key is enabled again. If disabling it may still have its effect, which it cannot after `doubt` twice,
    /// that stays on record.
    #[must_use]
    pub fn enabled(&self, id: &ProviderKeyId, doubt: Duration, now: DateTime<Utc>) -> Self {
        self.changed(id, |old| {
            old.disabled_at = None;
            old.disabling = old.disabling.filter(|at| now < *at + doubt * 2);
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
        if why.is_none() && next.times.revoked_at.is_none() {
            next.revoked(self.old(id), now);
        }
        next
    }

    /// What a person has asked for is done, or cannot be.
    #[must_use]
    pub fn without_command(&self) -> Self {
        Self {
            command: None,
            ..self.clone()
        }
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

    /// Returns `true` if the keys that are live until the next rotation is over are known to others.
    fn is_compromised(&self) -> bool {
        let is_open = self.times.verified_at.is_none();
        is_open && self.command.is_some_and(|command| command.compromised)
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

    fn retire_current(&mut self, compromised: bool, even_if_broken: bool, now: DateTime<Utc>) {
        if let Some(key) = self.current.take() {
            self.old
                .push(draining(key, compromised, even_if_broken, now));
        }
    }
}

/// Returns `true` if it is time for the next try. A wait that lasts too long is one of a clock that was set back.
pub(super) fn is_due_again(stuck: &Stuck, now: DateTime<Utc>) -> bool {
    stuck.next_at <= now || is_ahead(stuck.next_at, now + LONGEST_WAIT)
}

fn draining(key: OwnKey, compromised: bool, even_if_broken: bool, now: DateTime<Utc>) -> OldKey {
    OldKey {
        key,
        since: now,
        disabled_at: None,
        disabling: None,
        compromised,
        even_if_broken,
        stuck: None,
    }
}
