//! The next step: what is live now, what is to be live next, what is to be revoked.

use chrono::{DateTime, Utc};

use super::begin::begin;
use super::pace::{is_ready, look_again, stuck};
use super::recover::{recover_mint, recover_store};
use super::revoke::{is_live_again, revoke};
use super::situation::Situation;
use super::step::{Change, Question, Rest, Step};
use crate::model::{NextKey, OldKey, Stuck, is_ahead};
use crate::secret::Fingerprint;

/// Returns the next step of a rotation.
pub fn decide(s: &Situation<'_>) -> Step {
    let mut rest = Rest::default();
    upkeep(s, &mut rest)
        .or_else(|| next(s, &mut rest))
        .or_else(|| revoke(s, &mut rest))
        .or_else(|| done(s))
        .or_else(|| unstick(s, &rest))
        .unwrap_or(Step::Rest(rest))
}

/// Forgets a reason that has not come up again when it was time for the next try, or for which nothing waits any more.
fn unstick(s: &Situation<'_>, rest: &Rest) -> Option<Step> {
    let until = match rest.waiting {
        Some(_) => s.now,
        None => DateTime::<Utc>::MAX_UTC,
    };
    let is_over = |stuck: Option<&Stuck>| stuck.is_some() && is_ready(stuck, until);
    let of_old = s.rotation.old.iter().any(|old| is_over(old.stuck.as_ref()));
    (of_old || is_over(s.rotation.stuck.as_ref())).then(|| {
        let next = s.rotation.recovered(until);
        Step::Save(Box::new(next), Change::Recovered)
    })
}

/// Brings the record in step with what is live.
fn upkeep(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    if let Some(old) = s.rotation.old.iter().find(|old| is_to_be_enabled(s, old)) {
        return Some(enable(s, old));
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
    adopt(s, *value, rest)
}

/// Returns `true` for an old key that is wanted again and is disabled, or may have been since it was enabled.
fn is_to_be_enabled(s: &Situation<'_>, old: &OldKey) -> bool {
    let is_wanted = s.proof.somewhere.contains(&old.key.fingerprint) && !old.compromised;
    let may_be_late = old.disabling.is_some_and(|at| s.now >= s.settled_at(at));
    let may_be_disabled = old.disabled_at.is_some() || may_be_late;
    is_wanted && may_be_disabled && s.abilities.disables && is_ready(old.stuck.as_ref(), s.now)
}

/// Enables an old key again. Where that has failed, the list is asked whether there is anything to be enabled.
fn enable(s: &Situation<'_>, old: &OldKey) -> Step {
    let id = &old.key.id;
    let has_failed = old.stuck.is_some();
    if has_failed && s.list.is_none() && is_ready(s.rotation.stuck.as_ref(), s.now) {
        return Step::Ask(Question::List);
    }
    if has_failed && s.list.is_some() && s.listed(id).is_none() {
        let why = format!(
            "the value of the old key {id} is live, and the provider does not list it any more"
        );
        return stuck(s, Some(id), &why);
    }
    Step::Enable(id.clone())
}

/// Looks for the provider's key behind a live value that was not stored by a rotation.
fn adopt(s: &Situation<'_>, value: Fingerprint, rest: &mut Rest) -> Option<Step> {
    if let Some(stuck) = s.rotation.stuck.as_ref()
        && !is_ready(Some(stuck), s.now)
    {
        rest.wait(stuck.next_at, stuck.why.as_str());
        return None;
    }
    if let Some(at) = s.rotation.deleted_at
        && s.is_fresh(at)
        && !is_ahead(at, s.now)
    {
        let why = "it is not known yet whose the live value is: a list may show what was deleted a moment ago";
        rest.wait(at + s.doubt, why);
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
    // Another hand has put an old key back, or another one in its place.
    let is_taken_back = s.rotation.next.is_none()
        && s.rotation.times.verified_at.is_none()
        && s.rotation.current.is_some()
        && s.asked().is_none()
        && !s.rotation.old.iter().any(is_alive);
    let change = match is_over || is_forced {
        true => Change::Done,
        false if is_taken_back => Change::Refused(
            "the key that was made for it has not stayed, because another version went live: `rotate` makes another one"
                .to_owned(),
        ),
        false => return None,
    };
    Some(Step::Save(Box::new(s.rotation.without_command()), change))
}
