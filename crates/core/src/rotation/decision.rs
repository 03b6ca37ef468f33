//! The next step: what is live now, what is to be live next, what is to be revoked.

use chrono::{DateTime, TimeDelta, Utc};

use super::begin::begin;
use super::revoke::{is_live_again, revoke};
use super::situation::Situation;
use super::step::{Change, Question, Rest, Step};
use super::transition::is_due_again;
use crate::model::{IssuedKey, LastUse, NextKey, OldKey, ProviderKeyId, Stuck, is_ahead};
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
    if let Some(old) = s.rotation.old.iter().find(|old| is_to_be_enabled(s, old)) {
        return Some(Step::Enable(old.key.id.clone()));
    }
    if let Some(old) = s.rotation.old.iter().find(|old| is_live_again(s, old)) {
        let next = s.rotation.restarted(&old.key.id, s.now);
        return Some(Step::Save(Box::new(next), Change::Restarted));
    }
    let (version, value) = s.proof.everywhere.as_ref()?;
    match &s.rotation.next {
        // It was stored, and the answer lost.
        Some(NextKey::Minted { fingerprint, .. }) if fingerprint == value => {
            let next = s.rotation.stored(version.clone(), s.now);
            return Some(Step::Save(Box::new(next), Change::Stored));
        }
        Some(NextKey::Stored { fingerprint, .. }) if fingerprint == value => {
            let next = s.rotation.verified(s.proof.live_at, s.now);
            return Some(Step::Save(Box::new(next), Change::Verified));
        }
        _ => {}
    }
    let current = s.rotation.current.as_ref();
    if current.is_some_and(|key| key.fingerprint == *value) || s.rotation.unknown == Some(*value) {
        return superseded(s);
    }
    let mut old = s.rotation.old.iter();
    if let Some(old) = old.find(|old| old.key.fingerprint == *value) {
        // One that is dead, or may be yet, or is to die whatever is live, does not come back.
        if old.disabled_at.is_some() || old.disabling.is_some() || old.compromised {
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

/// Returns `true` for an old key that is wanted again and is disabled, or may have been since it was enabled.
fn is_to_be_enabled(s: &Situation<'_>, old: &OldKey) -> bool {
    let is_wanted = s.proof.somewhere.contains(&old.key.fingerprint) && !old.compromised;
    let may_be_late = old.disabling.is_some_and(|at| s.now >= s.settled_at(at));
    let may_be_disabled = old.disabled_at.is_some() || may_be_late;
    is_wanted && may_be_disabled && s.abilities.disables && is_ready(old.stuck.as_ref(), s.now)
}

/// Looks for the provider's key behind a live value that was not stored by a rotation.
fn adopt(s: &Situation<'_>, value: Fingerprint) -> Option<Step> {
    if !is_ready(s.rotation.stuck.as_ref(), s.now) {
        return None;
    }
    if s.list.is_none() {
        return Some(Step::Ask(Question::List));
    }
    let Some(found) = s.found else {
        return Some(Step::Ask(Question::Find));
    };
    let found = found.or_else(|| s.told()).cloned();
    let next = s.rotation.adopted(found.clone(), value, s.now);
    Some(Step::Save(Box::new(next), Change::Adopted(found)))
}

/// Notices that another value than the next key's has become live everywhere since that was stored.
fn superseded(s: &Situation<'_>) -> Option<Step> {
    let (version, value) = s.proof.everywhere.as_ref()?;
    match &s.rotation.next {
        Some(NextKey::Stored {
            id,
            fingerprint,
            at,
            ..
        }) if s.seen == Some(version)
            && value != fingerprint
            && !s.proof.somewhere.contains(fingerprint)
            // What was seen before it was stored is no news, unless it stays so.
            && s.now >= *at + s.doubt =>
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
        Some(next) if is_ahead(next.at(), s.now) => {
            let next = s.rotation.redated(s.now);
            Some(Step::Save(Box::new(next), Change::Restarted))
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
    let is_it = |key: &&IssuedKey| {
        let is_new = !before.contains(&key.id) && !s.rotation.knows(&key.id);
        is_new
            && match s.abilities.names {
                true => key.name.as_ref() == Some(name),
                false => key
                    .created_at
                    .is_none_or(|made| made >= *at - SKEW && made <= over + SKEW),
            }
    };
    let candidates: Vec<_> = list.iter().filter(is_it).collect();
    // A name says enough.
    let tells = |key: &&&IssuedKey| !s.abilities.names && s.may_ask_use(key);
    if let Some(key) = candidates.iter().find(tells) {
        return Some(Step::Ask(Question::LastUse(key.id.clone())));
    }
    // What was used is not the key whose value nobody has seen.
    let is_used = |key: &IssuedKey| match s.used(key) {
        LastUse::At(used) => !s.abilities.names && !is_ahead(used, s.now),
        LastUse::Never | LastUse::Unknown => false,
    };
    let is_doubtful = |key: &IssuedKey| !s.abilities.names && matches!(s.used(key), LastUse::At(_));
    let mut unused = candidates.iter().filter(|key| !is_used(key));
    match (unused.next(), unused.next()) {
        (Some(_), Some(_)) => Some(stuck(
            s,
            None,
            "the answer of the provider was lost, and more than one key was made at the time: delete the one that nobody uses",
        )),
        // Without a name, another hand's new key is told from it by its use, and has some time to be used.
        (Some(key), None) if s.now >= over && is_doubtful(key) => {
            let why = format!(
                "the answer of the provider was lost, and it cannot be told whether the key {} is used: delete it if nobody uses it",
                key.id
            );
            Some(stuck(s, None, &why))
        }
        (Some(key), None) if s.abilities.names || s.now >= over => {
            Some(Step::Discard(key.id.clone()))
        }
        (None, _) if s.now >= over => not_made(),
        _ => {
            let until = look_again(*at, s.now).min(over);
            rest.wait(until, "the answer of the provider was lost");
            None
        }
    }
}

/// Stores the value that was made, or finds out whether the source has it.
fn recover_store(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Minted {
        id,
        fingerprint,
        expected,
        doubtful,
        at,
        ..
    }) = &s.rotation.next
    else {
        return None;
    };
    let store = || match s.is_fresh(*at) {
        true => Step::Store,
        false => Step::Save(Box::new(s.rotation.redated(s.now)), Change::Begun),
    };
    // A write may have come, or be under way, unless the only one was refused.
    let may_be_stored = !s.has_value || *doubtful;
    let Some(newest) = s.newest else {
        return Some(match may_be_stored {
            true => Step::Ask(Question::Newest),
            false => store(),
        });
    };
    if let (Some(version), true) = (&newest.version, newest.fingerprint == Some(*fingerprint)) {
        let next = s.rotation.stored(version.clone(), s.now);
        return Some(Step::Save(Box::new(next), Change::Stored));
    }
    let is_unchanged = newest.version == *expected;
    if !may_be_stored {
        return Some(match is_unchanged {
            true => stuck(
                s,
                None,
                "the source refuses the new key because of another version, and shows none",
            ),
            false => Step::Discard(id.clone()),
        });
    }
    if s.has_value && is_unchanged {
        return Some(store());
    }
    let settled_at = s.settled_at(*at);
    if s.now < settled_at {
        let why = "it is not known yet whether the new key was stored";
        rest.wait(settled_at, why);
        return None;
    }
    if is_unchanged && !s.proof.somewhere.contains(fingerprint) {
        return Some(Step::Discard(id.clone()));
    }
    // Somebody may have read it in between.
    let next = s.rotation.superseded(s.now);
    Some(Step::Save(Box::new(next), Change::Superseded(id.clone())))
}

/// Waits until what was stored is live and verified everywhere.
fn deliver(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Stored {
        id, version, at, ..
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
    // Another one is made only if a person asks for it: what is wrong may not be the key.
    if s.asked().is_some() {
        let next = s.rotation.superseded(s.now);
        return Some(Step::Save(Box::new(next), Change::Superseded(id.clone())));
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
    Some(stuck(
        s,
        None,
        "the new key does not work or is held, so the old one stays; `sync --force` tries it again, `rotate` makes another one",
    ))
}

/// Ends what a person has asked for when all of it is done.
fn done(s: &Situation<'_>) -> Option<Step> {
    let command = s.rotation.command?;
    let is_alive = |old: &OldKey| old.compromised && old.disabled_since().is_none();
    let is_over = s.rotation.next.is_none()
        && s.rotation.times.verified_at.is_some()
        && s.asked().is_none()
        && !s.rotation.old.iter().any(is_alive);
    let is_forced = command.even_if_broken
        && s.asked().is_none()
        && s.rotation.current.is_none()
        && s.rotation.times.revoked_at.is_some()
        && !s.rotation.old.iter().any(is_alive);
    (is_over || is_forced).then(|| Step::Save(Box::new(s.rotation.without_command()), Change::Done))
}

/// Returns `true` unless something that has failed is to wait for its next try.
pub(super) fn is_ready(stuck: Option<&Stuck>, now: DateTime<Utc>) -> bool {
    stuck.is_none_or(|stuck| is_due_again(stuck, now))
}
