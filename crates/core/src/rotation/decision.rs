//! The next step: what is live now, what is to be live next, what is to be revoked.

use chrono::{DateTime, TimeDelta, Utc};

use super::begin::begin;
use super::revoke::revoke;
use super::situation::Situation;
use super::step::{Change, Question, Rest, Step};
use crate::model::{IssuedKey, LastUse, NextKey, OldKey, ProviderKeyId, Stuck};
use crate::secret::Fingerprint;

/// How much earlier than the intent a key may seem to have been made, by the provider's clock.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The wait before a list is asked for again that does not show yet what became of a call, and the shortest one before
/// the keys that read the secret are looked at again.
const LOOK_AGAIN: TimeDelta = TimeDelta::milliseconds(200);

/// The longest of these waits.
const LONGEST_LOOK: TimeDelta = TimeDelta::seconds(15);

/// Returns the next step of a rotation.
pub fn decide(s: &Situation<'_>) -> Step {
    let mut rest = Rest::default();
    upkeep(s)
        .or_else(|| next(s, &mut rest))
        .or_else(|| revoke(s, &mut rest))
        .or_else(|| done(s))
        .or_else(|| unstick(s))
        .unwrap_or(Step::Rest(rest))
}

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

/// Forgets a reason that has not come up again when it was time for the next try.
fn unstick(s: &Situation<'_>) -> Option<Step> {
    let is_over = |stuck: Option<&Stuck>| stuck.is_some() && is_ready(stuck, s.now);
    let of_old = s.rotation.old.iter().any(|old| is_over(old.stuck.as_ref()));
    (of_old || is_over(s.rotation.stuck.as_ref())).then(|| {
        let next = s.rotation.recovered(s.now);
        Step::Save(Box::new(next), Change::Recovered)
    })
}

/// Brings the record in step with what is live.
fn upkeep(s: &Situation<'_>) -> Option<Step> {
    let wanted = |key: &&OldKey| {
        let is_wanted = s.proof.somewhere.contains(&key.key.fingerprint);
        key.disabled_at.is_some() && is_wanted && !key.compromised
    };
    let ready = |key: &&OldKey| is_ready(key.stuck.as_ref(), s.now);
    if let Some(old) = s.rotation.old.iter().filter(wanted).find(ready) {
        return Some(Step::Enable(old.key.id.clone()));
    }
    let (version, value) = s.proof.everywhere.as_ref()?;
    let current = s.rotation.current.as_ref();
    if current.is_some_and(|key| key.fingerprint == *value) || s.rotation.unknown == Some(*value) {
        return superseded(s);
    }
    if let Some(NextKey::Stored { fingerprint, .. }) = &s.rotation.next
        && fingerprint == value
    {
        let next = s.rotation.verified(s.proof.live_at, s.now);
        return Some(Step::Save(Box::new(next), Change::Verified));
    }
    let mut old = s.rotation.old.iter();
    if let Some(old) = old.find(|old| old.key.fingerprint == *value) {
        // One that is dead, or is to die whatever is live, does not come back.
        if old.disabled_at.is_some() || old.compromised {
            return None;
        }
        // What was live is held now: it is the newest of the source still.
        let newer = s.seen.filter(|seen| *seen != version).cloned();
        let next = s.rotation.reinstated(&old.key.id, newer, s.now);
        let change = Change::Reinstated(old.key.id.clone());
        return Some(Step::Save(Box::new(next), change));
    }
    adopt(s, *value)
}

/// Looks for the provider's key behind a live value that was not stored by a rotation.
fn adopt(s: &Situation<'_>, value: Fingerprint) -> Option<Step> {
    if !is_ready(s.rotation.stuck.as_ref(), s.now) {
        return None;
    }
    let Some(list) = s.list else {
        return Some(Step::Ask(Question::List));
    };
    let Some(found) = s.found else {
        return Some(Step::Ask(Question::Find));
    };
    let told = s.rotate.adopt.as_ref().filter(|told| {
        let is_first = s.rotation.number == 0 && s.rotation.current.is_none();
        is_first && !s.rotation.knows(told) && list.iter().any(|key| key.id == **told)
    });
    let found = found.or(told).cloned();
    let next = s.rotation.adopted(found.clone(), value, s.now);
    Some(Step::Save(Box::new(next), Change::Adopted(found)))
}

/// Notices that another version than the next key's has become live everywhere since that was stored.
fn superseded(s: &Situation<'_>) -> Option<Step> {
    let (version, _) = s.proof.everywhere.as_ref()?;
    match &s.rotation.next {
        Some(NextKey::Stored {
            id,
            fingerprint,
            version: stored,
            expected,
            at,
        }) if s.seen == Some(version)
            && version != stored
            && !s.proof.somewhere.contains(fingerprint)
            // What was seen before it was stored is no news, unless it stays so.
            && (expected.as_ref() != Some(version) || s.now >= *at + s.doubt) =>
        {
            let next = s.rotation.superseded(s.now);
            Some(Step::Save(Box::new(next), Change::Superseded(id.clone())))
        }
        _ => None,
    }
}

/// Takes the next key further, or begins one.
fn next(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    match &s.rotation.next {
        None => begin(s, rest),
        Some(_) if !is_ready(s.rotation.stuck.as_ref(), s.now) => {
            let stuck = s.rotation.stuck.as_ref()?;
            rest.wait(stuck.next_at, stuck.why.as_str());
            None
        }
        Some(NextKey::Minting { .. }) => recover_mint(s, rest),
        Some(NextKey::Minted { .. }) => recover_store(s, rest),
        Some(NextKey::Stored { .. }) => deliver(s, rest),
    }
}

/// Finds out what became of making a key whose answer was lost.
fn recover_mint(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Minting {
        name, before, at, ..
    }) = &s.rotation.next
    else {
        return None;
    };
    let over = *at + s.doubt;
    let not_made = || {
        let next = s.rotation.without_next();
        Some(Step::Save(Box::new(next), Change::NotMade))
    };
    if s.abilities.slots {
        // The slot's value is unknown, whatever happened: it is made again.
        if s.now >= over {
            return not_made();
        }
        rest.wait(over, "the answer of the provider was lost");
        return None;
    }
    let Some(list) = s.list else {
        return Some(Step::Ask(Question::List));
    };
    let is_it = |key: &&IssuedKey| match s.abilities.names {
        true => key.name.as_ref() == Some(name),
        false => {
            let is_new = !before.contains(&key.id) && !s.rotation.knows(&key.id);
            is_new && key.created_at.is_none_or(|made| made >= *at - SKEW)
        }
    };
    let candidates: Vec<_> = list.iter().filter(is_it).collect();
    if let Some(key) = candidates.iter().find(|key| s.may_ask_use(key)) {
        return Some(Step::Ask(Question::LastUse(key.id.clone())));
    }
    // What was used is not the key whose value nobody has seen.
    let unused = |key: &&&IssuedKey| !matches!(s.used(key), LastUse::At(_));
    let mut unused = candidates.iter().filter(unused);
    match (unused.next(), unused.next()) {
        (Some(_), Some(_)) if !s.abilities.names => Some(stuck(
            s,
            None,
            "the answer of the provider was lost, and more than one key was made at the time: delete the one that nobody uses",
        )),
        (Some(key), _) => Some(Step::Discard(key.id.clone())),
        (None, _) if s.now >= over => not_made(),
        (None, _) => {
            rest.wait(
                look_again(*at, s.now).min(over),
                "the answer of the provider was lost",
            );
            None
        }
    }
}

/// Stores the value that was made, or finds out whether the source has it.
fn recover_store(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Minted {
        id,
        fingerprint,
        at,
        ..
    }) = &s.rotation.next
    else {
        return None;
    };
    let Some(newest) = s.newest else {
        return Some(match s.has_value {
            true => Step::Store,
            false => Step::Ask(Question::Newest),
        });
    };
    if let (Some(version), true) = (&newest.version, newest.fingerprint == Some(*fingerprint)) {
        let next = s.rotation.stored(version.clone(), s.now);
        return Some(Step::Save(Box::new(next), Change::Stored));
    }
    if s.proof.somewhere.contains(fingerprint) {
        rest.blocked("the new key was stored, and replaced at once; its value is live");
        return None;
    }
    if s.has_value || s.now >= *at + s.doubt {
        return Some(Step::Discard(id.clone()));
    }
    rest.wait(
        *at + s.doubt,
        "the new key's value was lost before it was known to be stored",
    );
    None
}

/// Waits until what was stored is live and verified everywhere.
fn deliver(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Stored {
        id,
        fingerprint,
        version,
        at,
        ..
    }) = &s.rotation.next
    else {
        return None;
    };
    if s.held != Some(version) {
        let whom = s.proof.behind.as_ref();
        rest.wait(
            look_again(*at, s.now),
            match whom {
                Some(key) => format!("the new key is not live and verified in `{key}` yet"),
                None => "the new key is not live and verified yet".to_owned(),
            },
        );
        return None;
    }
    let command = s.rotation.command;
    if let Some(current) = &s.rotation.current
        && command.is_some_and(|command| command.compromised && command.even_if_broken)
    {
        let next = s.rotation.forced(s.now);
        return Some(Step::Save(
            Box::new(next),
            Change::Forced(current.id.clone()),
        ));
    }
    // Another one is made only if a person asks for it: what is wrong may not be the key.
    if s.asked().is_some() {
        return Some(match s.proof.somewhere.contains(fingerprint) {
            true => {
                let next = s.rotation.superseded(s.now);
                Step::Save(Box::new(next), Change::Superseded(id.clone()))
            }
            false => Step::Discard(id.clone()),
        });
    }
    Some(stuck(
        s,
        None,
        "the new key does not work or is held, so the old one stays; `sync --force` tries it again, `rotate` makes another one",
    ))
}

/// Ends what a person has asked for when all of it is done.
fn done(s: &Situation<'_>) -> Option<Step> {
    let command = s.rotation.command?;
    let is_alive = |old: &OldKey| old.compromised && old.disabled_at.is_none();
    let is_over = s.rotation.next.is_none()
        && s.rotation.times.verified_at.is_some()
        && s.asked().is_none()
        && !s.rotation.old.iter().any(is_alive);
    let is_forced = command.even_if_broken
        && s.asked().is_none()
        && s.rotation.times.revoked_at.is_some()
        && !s.rotation.old.iter().any(is_alive);
    (is_over || is_forced).then(|| Step::Save(Box::new(s.rotation.without_command()), Change::Done))
}

/// Returns `true` unless something that has failed is to wait for its next try.
pub(super) fn is_ready(stuck: Option<&Stuck>, now: DateTime<Utc>) -> bool {
    stuck.is_none_or(|stuck| stuck.next_at <= now)
}
