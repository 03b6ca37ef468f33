//! What became of a call whose answer was lost, by the word of the provider and of the source.

use chrono::{DateTime, TimeDelta, Utc};

use super::pace::{look_again, stuck};
use super::situation::Situation;
use super::step::{Change, Question, Rest, Step};
use crate::model::{IssuedKey, LastUse, NextKey, ProviderKeyId, is_ahead};

/// How much earlier than the intent a key may seem to have been made, by the provider's clock.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Finds out what became of making a key whose answer was lost.
pub(super) fn recover_mint(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let Some(NextKey::Minting {
        name, before, at, ..
    }) = &s.rotation.next
    else {
        return None;
    };
    if s.abilities.slots {
        return recover_slot(s, *at, rest);
    }
    let over = *at + s.doubt;
    let Some(list) = s.list else {
        return Some(Step::Ask(Question::List));
    };
    let candidates: Vec<_> = list
        .iter()
        .filter(|key| may_be(s, key, name, before, *at))
        .collect();
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
        (None, _) if s.now >= over => not_made(s),
        _ => {
            let until = look_again(*at, s.now).min(over);
            rest.wait(until, "the answer of the provider was lost");
            None
        }
    }
}

/// Returns `true` if a key can be the one whose making was begun at `at`.
fn may_be(
    s: &Situation<'_>,
    key: &IssuedKey,
    name: &str,
    before: &[ProviderKeyId],
    at: DateTime<Utc>,
) -> bool {
    let is_new = !before.contains(&key.id) && !s.rotation.knows(&key.id);
    let in_time = |made| made >= at - SKEW && made <= at + s.doubt + SKEW;
    is_new
        && match s.abilities.names {
            true => key.name.as_deref() == Some(name),
            false => key.created_at.is_none_or(in_time),
        }
}

/// Waits until the slot that was being filled may be filled anew: its value is unknown, whatever has happened.
fn recover_slot(s: &Situation<'_>, at: DateTime<Utc>, rest: &mut Rest) -> Option<Step> {
    let over = at + s.doubt;
    if s.now >= over {
        return not_made(s);
    }
    rest.wait(over, "the answer of the provider was lost");
    None
}

fn not_made(s: &Situation<'_>) -> Option<Step> {
    let next = s.rotation.without_next();
    Some(Step::Save(Box::new(next), Change::NotMade))
}

/// Stores the value that was made, or finds out whether the source has it.
pub(super) fn recover_store(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
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
