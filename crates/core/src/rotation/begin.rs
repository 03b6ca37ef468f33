//! Whether a key is made now.

use chrono::TimeDelta;

use super::pace::{is_ready, stuck};
use super::situation::Situation;
use super::step::{Change, Question, Rest, Step};
use crate::model::{IssuedKey, NextKey, ProviderKeyId, is_ahead};

/// Begins a rotation that is due or asked for.
pub(super) fn begin(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    let asked = s.asked();
    if asked.is_none() && !is_due(s, rest) {
        return None;
    }
    if !s.abilities.mints {
        return match asked {
            Some(_) => {
                let why = "this provider makes keys in its console alone: make one there and write it into the source; the old one is revoked then".to_owned();
                let next = s.rotation.without_command();
                Some(Step::Save(Box::new(next), Change::Refused(why)))
            }
            None => {
                rest.blocked("a rotation is due: make a key in the provider's console and write it into the source");
                None
            }
        };
    }
    if let Some(known) = s.rotation.stuck.as_ref()
        && !is_ready(Some(known), s.now)
    {
        rest.wait(known.next_at, known.why.as_str());
        return None;
    }
    let Some(list) = s.list else {
        return Some(Step::Ask(Question::List));
    };
    if let (Some(told), Some(value)) = (s.told(), s.proof.value()) {
        let next = s.rotation.adopted(Some(told.clone()), value, s.now);
        let change = Change::Adopted(Some(told.clone()));
        return Some(Step::Save(Box::new(next), change));
    }
    let slot = match s.abilities.slots {
        true => match slot(s, list, rest) {
            Ok(slot) => Some(slot),
            Err(step) => return step,
        },
        false => None,
    };
    if let (Some(limit), None) = (s.abilities.limit, &slot)
        && list.len() >= limit
    {
        return make_room(s, limit, rest);
    }
    mint(s, list, slot, rest)
}

/// Makes a key, unless something is to be delivered first.
fn mint(
    s: &Situation<'_>,
    list: &[IssuedKey],
    slot: Option<ProviderKeyId>,
    rest: &mut Rest,
) -> Option<Step> {
    // It would replace the one that is made now.
    if let Some(at) = s.rotation.rewritten_at
        && s.now < s.settled_at(at)
        && !is_ahead(at, s.now)
    {
        let why = "a write to the source whose answer was lost may come yet";
        rest.wait(s.settled_at(at), why);
        return None;
    }
    let Some(newest) = s.newest else {
        return Some(Step::Ask(Question::Newest));
    };
    // It would be replaced before anybody had it, and its key be nobody's. One that cannot be read is never delivered.
    if newest.fingerprint.is_some() && newest.version.as_ref() != s.seen {
        let soon = s.now + TimeDelta::seconds(1);
        rest.wait(
            soon,
            "another version was written meanwhile, and is delivered first",
        );
        return None;
    }
    Some(Step::Mint(NextKey::Minting {
        name: s.name.to_owned(),
        slot,
        before: list.iter().map(|key| key.id.clone()).collect(),
        expected: newest.version.clone(),
        at: s.now,
    }))
}

/// Returns `true` if the time has come and nothing else is under way.
fn is_due(s: &Situation<'_>, rest: &mut Rest) -> bool {
    let Some(due_at) = s.due_at else {
        return false;
    };
    if s.now < due_at {
        rest.until = Some(rest.until.map_or(due_at, |until| until.min(due_at)));
        return false;
    }
    if s.rotation.command.is_some() {
        rest.blocked("a rotation is due, and waits for the end of the one that was asked for");
        return false;
    }
    let is_settled = s
        .proof
        .everywhere
        .as_ref()
        .is_some_and(|(version, _)| s.seen == Some(version));
    if !is_settled {
        rest.blocked(match &s.proof.behind {
            Some(key) => {
                format!("a rotation is due, and the newest version is not verified in `{key}` yet")
            }
            None => "a rotation is due, and the newest version is not verified yet".to_owned(),
        });
    }
    is_settled
}

/// Returns the slot that a new key can take: one whose key is not live.
fn slot(
    s: &Situation<'_>,
    list: &[IssuedKey],
    rest: &mut Rest,
) -> Result<ProviderKeyId, Option<Step>> {
    let Some(current) = &s.rotation.current else {
        let why = "it is not known which of the provider's slots is live: say so by `adopt`";
        return Err(Some(stuck(s, None, why)));
    };
    // Making a key revokes the one whose slot it takes.
    let is_forced = s.asked().is_some_and(|command| command.even_if_broken);
    let is_settled =
        s.proof.everywhere.as_ref().is_some_and(|(version, value)| {
            *value == current.fingerprint && s.seen == Some(version)
        });
    if !is_settled && !is_forced {
        rest.blocked(match &s.proof.behind {
            Some(key) => format!("no slot is free until `{key}` has the newest version"),
            None => "no slot is free until the newest version is verified".to_owned(),
        });
        return Err(None);
    }
    if let Some(at) = s.rotation.deleted_at
        && s.is_fresh(at)
        && !is_ahead(at, s.now)
    {
        let why = "a call about the slot whose answer was lost may have its effect yet";
        rest.wait(at + s.doubt, why);
        return Err(None);
    }
    let is_draining = |id: &ProviderKeyId| s.rotation.old.iter().any(|old| old.key.id == *id);
    let mut others = list.iter().filter(|key| key.id != current.id);
    match others.find(|key| !is_draining(&key.id)) {
        Some(key) => Ok(key.id.clone()),
        None => {
            rest.blocked("a rotation is due, and the other slot's key is not revoked yet");
            Err(None)
        }
    }
}

/// Makes room for a new key where the provider has as many as it allows.
fn make_room(s: &Situation<'_>, limit: usize, rest: &mut Rest) -> Option<Step> {
    let is_urgent = s.asked().is_some_and(|command| command.compromised);
    let mut disabled = s.rotation.old.iter().filter(|old| {
        let is_dead = s.listed(&old.key.id).is_some_and(|key| !key.active);
        let is_known = old.disabled_since().is_some() && is_ready(old.stuck.as_ref(), s.now);
        is_dead && is_known && !s.proof.somewhere.contains(&old.key.fingerprint)
    });
    if let Some(old) = disabled
        .next()
        .filter(|_| is_urgent && s.proof.everywhere.is_some())
    {
        let Some(newest) = s.newest else {
            return Some(Step::Ask(Question::Newest));
        };
        if newest.fingerprint != Some(old.key.fingerprint) {
            return Some(Step::Delete(old.key.id.clone()));
        }
    }
    if !s.rotation.old.is_empty() {
        rest.blocked(format!(
            "a rotation is due, and waits for an old key to be deleted: the provider allows {limit} keys"
        ));
        return None;
    }
    let why = format!(
        "the provider allows {limit} keys, and has as many: delete one that nobody uses, or name the one that is live by `adopt`"
    );
    Some(stuck(s, None, &why))
}
