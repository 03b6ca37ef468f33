//! What a finished step about the live and the next key changes on record.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{
    NextKey, OldKey, OwnKey, ProviderId, ProviderKeyId, RotateCommand, Rotation, Times, Version,
};
use crate::secret::Fingerprint;

impl Rotation {
    /// Returns the record of a key that was not rotated yet.
    pub fn new(provider: ProviderId) -> Self {
        Self {
            provider,
            number: 0,
            current: None,
            next: None,
            old: Vec::new(),
            unknown: None,
            deleted_at: None,
            rewritten_at: None,
            asked_at: None,
            command: None,
            stuck: None,
            times: Times::default(),
        }
    }

    /// Returns `true` if this key of the provider is on record.
    pub fn knows(&self, id: &ProviderKeyId) -> bool {
        let current = self.current.as_ref().map(|key| &key.id);
        let next = self.next.as_ref().and_then(NextKey::id);
        let old = self.old.iter().map(|old| &old.key.id);
        current
            .into_iter()
            .chain(next)
            .chain(old)
            .any(|known| known == id)
    }

    /// A person asks for a rotation. The same wish twice is one.
    #[must_use]
    pub fn asked(&self, command: RotateCommand) -> Self {
        if self.asked_at == Some(command.at) {
            return self.clone();
        }
        // What is under way was begun before it, also by a clock that was set back since.
        let under_way = self.next.is_some();
        let times = if under_way {
            self.times.clone()
        } else {
            self.before_first()
        };
        let after = times
            .started_at
            .map(|begun| begun + TimeDelta::milliseconds(1));
        Self {
            command: Some(RotateCommand {
                at: after.map_or(command.at, |after| after.max(command.at)),
                ..command
            }),
            asked_at: Some(command.at),
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
            doubtful,
            ..
        }) = next.next.take()
        {
            next.rewritten_at = doubtful.then_some(now);
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

    /// The next key was deleted: its value was lost, or it does not work.
    #[must_use]
    pub fn discarded(&self, now: DateTime<Utc>) -> Self {
        Self {
            deleted_at: Some(now),
            ..self.without_next()
        }
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

    /// Returns what stays of the times if another rotation is asked for: before the first one the old keys that have
    /// come to their end, as the configuration may name one of them as the live key still.
    fn before_first(&self) -> Times {
        let ended = match self.number {
            0 => self.times.ended.clone(),
            _ => Vec::new(),
        };
        Times {
            ended,
            ..Times::default()
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

    /// What a person has asked for is done, or cannot be.
    #[must_use]
    pub fn without_command(&self) -> Self {
        Self {
            command: None,
            ..self.clone()
        }
    }

    /// Returns `true` if the keys that are live until the next rotation is over are known to others.
    fn is_compromised(&self) -> bool {
        let is_open = self.times.verified_at.is_none();
        is_open && self.command.is_some_and(|command| command.compromised)
    }

    fn retire_current(&mut self, compromised: bool, even_if_broken: bool, now: DateTime<Utc>) {
        if let Some(key) = self.current.take() {
            self.old
                .push(draining(key, compromised, even_if_broken, now));
        }
    }
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
