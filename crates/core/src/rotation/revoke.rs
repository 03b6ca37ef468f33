//! Whether an old key is revoked now: every reason not to comes first.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pace::{is_ready, stuck};
use super::situation::Situation;
use super::step::{Change, Leaving, Question, Rest, Step};
use crate::model::{IssuedKey, LastUse, OldKey, ProviderKeyId, Revoke, is_ahead};

/// The shortest time after which the wait for an old key that is live again begins anew.
const LEAST_PAUSE: Duration = Duration::from_secs(15);

/// Takes the old keys further, the oldest first.
pub(super) fn revoke(s: &Situation<'_>, rest: &mut Rest) -> Option<Step> {
    s.rotation.old.iter().find_map(|old| one(s, old, rest))
}

fn one(s: &Situation<'_>, old: &OldKey, rest: &mut Rest) -> Option<Step> {
    let id = &old.key.id;
    let is_done = !old.compromised || old.disabled_since().is_some();
    let is_left = s.rotate.revoke == Revoke::None && is_done;
    // A list may show as active what was disabled a moment ago: it stays known here until it does not any more.
    let shown_at = old.disabled_since().map(|at| at + s.doubt);
    if let Some(shown_at) = shown_at.filter(|at| is_left && s.now < *at) {
        rest.wait(
            shown_at,
            format!("the old key {id} was disabled a moment ago"),
        );
        return None;
    }
    // A slot is free to be taken once its key is not on record, so that has to wait.
    if is_left && !s.abilities.slots {
        return Some(leave(s, id, Leaving::Configured));
    }
    if let Some(known) = old.stuck.as_ref()
        && !is_ready(Some(known), s.now)
    {
        rest.wait(known.next_at, known.why.as_str());
        return None;
    }
    if is_ahead(old.since, s.now) || old.disabled_at.is_some_and(|at| is_ahead(at, s.now)) {
        let next = s.rotation.restarted(id, s.now);
        return Some(Step::Save(Box::new(next), Change::Restarted));
    }
    if is_blocked(s, old, rest) {
        return None;
    }
    if is_left {
        return Some(leave(s, id, Leaving::Configured));
    }
    let Some(list) = s.list else {
        return ask_for_list(s, old, rest);
    };
    let Some(listed) = s.listed(id) else {
        // A list may not show a new key for a while.
        let over = old.since + s.doubt;
        if s.now < over {
            rest.wait(over, format!("the provider does not list the old key {id}"));
            return None;
        }
        let next = s.rotation.without(id, None, s.now);
        return Some(Step::Save(Box::new(next), Change::Gone(id.clone())));
    };
    if let Some(why) = would_be_none(s, old, list) {
        return Some(stuck(s, Some(id), &why));
    }
    match old.disabled_since() {
        Some(at) => of_disabled(s, old, listed, at, rest),
        None => of_active(s, old, listed, rest),
    }
}

/// Returns `true` if the wait for an old key began while its value was not live any more, and it is again. It begins anew
/// as long as it is, though not with each check.
pub(super) fn is_live_again(s: &Situation<'_>, old: &OldKey) -> bool {
    let is_live = s.proof.somewhere.contains(&old.key.fingerprint);
    let is_draining = old.disabled_at.is_none() && !old.compromised;
    let pause = (s.rotate.overlap / 8).max(LEAST_PAUSE);
    is_live && is_draining && s.now >= old.since + pause
}

/// Asks for the list, unless the provider has not answered a moment ago and there is time.
fn ask_for_list(s: &Situation<'_>, old: &OldKey, rest: &mut Rest) -> Option<Step> {
    match &s.rotation.stuck {
        Some(stuck) if !old.compromised && !is_ready(Some(stuck), s.now) => {
            rest.wait(stuck.next_at, stuck.why.as_str());
            None
        }
        _ => Some(Step::Ask(Question::List)),
    }
}

/// Returns `true` if it is too early, or if the value of an old key is needed.
fn is_blocked(s: &Situation<'_>, old: &OldKey, rest: &mut Rest) -> bool {
    let id = &old.key.id;
    let is_forced = old.compromised && old.even_if_broken;
    if !is_forced && s.proof.somewhere.contains(&old.key.fingerprint) {
        let why = format!("the value of the old key {id} is live, or is to be");
        match old.disabling {
            Some(at) if s.now < s.settled_at(at) => rest.wait(s.settled_at(at), why),
            _ => rest.blocked(why),
        }
        return true;
    }
    if !is_forced && s.proof.everywhere.is_none() {
        rest.blocked(match &s.proof.behind {
            Some(key) => format!(
                "the old key {id} is not revoked until the newest version is live and verified in `{key}`"
            ),
            None => format!("the old key {id} is not revoked until its successor is verified"),
        });
        return true;
    }
    let until = match old.disabled_since() {
        Some(at) => at + s.rotate.cool_off,
        None if old.compromised => old.since,
        None => old.since + s.rotate.overlap,
    };
    if s.now < until {
        let what = match old.disabled_since() {
            Some(_) => format!("the old key {id} is deleted when it has cooled off"),
            None => format!("the old key {id} is revoked when the overlap is over"),
        };
        rest.wait(until, what);
        return true;
    }
    false
}

/// Returns the reason if nothing that works would be left without an old key.
fn would_be_none(s: &Situation<'_>, old: &OldKey, list: &[IssuedKey]) -> Option<String> {
    let id = &old.key.id;
    // A list may show as active what was disabled here a moment ago.
    let disabled = s
        .rotation
        .old
        .iter()
        .filter(|old| old.disabled_at.is_some());
    let disabled: Vec<_> = disabled.map(|old| &old.key.id).collect();
    let is_active = |key: &&IssuedKey| key.active && key.id != *id && !disabled.contains(&&key.id);
    let current = s.rotation.current.as_ref().filter(|current| {
        let value = s.proof.value();
        value.is_none_or(|value| value == current.fingerprint)
    });
    match current {
        Some(current) if current.id == *id => Some(format!(
            "the key {id} is both live and old: nothing is done to it"
        )),
        Some(current)
            if !list
                .iter()
                .filter(is_active)
                .any(|key| key.id == current.id) =>
        {
            Some(format!(
                "the provider does not list the live key {} as active, so the old key {id} is not revoked",
                current.id
            ))
        }
        // A list may be behind, and show as active what was deleted a moment ago.
        None if !old.even_if_broken && s.rotation.deleted_at.is_some_and(|at| s.is_fresh(at)) => {
            Some(format!(
                "another key was deleted a moment ago, so the old key {id} is not revoked yet"
            ))
        }
        None if !list.iter().any(|key| is_active(&key)) => Some(format!(
            "the old key {id} is the only active one, so it is not revoked"
        )),
        _ => None,
    }
}

fn of_active(s: &Situation<'_>, old: &OldKey, listed: &IssuedKey, rest: &mut Rest) -> Option<Step> {
    let id = &old.key.id;
    if !listed.active {
        let next = s.rotation.disabled(id, s.now);
        return Some(Step::Save(Box::new(next), Change::Disabled(id.clone())));
    }
    if !old.compromised {
        if s.may_ask_use(listed) {
            return Some(Step::Ask(Question::LastUse(id.clone())));
        }
        if let LastUse::At(used) = s.used(listed) {
            // A use that lies ahead, by the provider's clock, is one of now.
            let idle_at = used.min(s.now) + s.rotate.idle;
            if s.now < idle_at {
                rest.wait(idle_at, format!("the old key {id} was used a moment ago"));
                return None;
            }
        }
    }
    if let Some(step) = is_newest(s, old, rest) {
        return step;
    }
    if !s.abilities.disables || s.rotate.revoke == Revoke::Delete {
        return Some(Step::Delete(id.clone()));
    }
    Some(match old.disabling.is_some_and(|at| s.is_fresh(at)) {
        true => Step::Disable(id.clone()),
        false => {
            let next = s.rotation.disabling(id, s.now);
            Step::Save(Box::new(next), Change::Begun)
        }
    })
}

fn of_disabled(
    s: &Situation<'_>,
    old: &OldKey,
    listed: &IssuedKey,
    at: DateTime<Utc>,
    rest: &mut Rest,
) -> Option<Step> {
    let id = &old.key.id;
    if !listed.active {
        return match is_newest(s, old, rest) {
            Some(step) => step,
            None => Some(Step::Delete(id.clone())),
        };
    }
    // A list may be behind for a while.
    let over = at + s.doubt;
    if s.now < over {
        rest.wait(over, format!("the old key {id} was disabled a moment ago"));
        return None;
    }
    Some(leave(s, id, Leaving::EnabledAgain))
}

/// Asks whether the newest version has the value of an old key, which the keys that read it are about to take then, and
/// waits if it has; `None` if it has not.
fn is_newest(s: &Situation<'_>, old: &OldKey, rest: &mut Rest) -> Option<Option<Step>> {
    if old.compromised && old.even_if_broken {
        return None;
    }
    let Some(newest) = s.newest else {
        return Some(Some(Step::Ask(Question::Newest)));
    };
    if newest.fingerprint != Some(old.key.fingerprint) {
        return None;
    }
    let id = &old.key.id;
    rest.blocked(format!(
        "the newest version has the value of the old key {id}"
    ));
    Some(None)
}

fn leave(s: &Situation<'_>, id: &ProviderKeyId, why: Leaving) -> Step {
    let next = s.rotation.without(id, Some(why), s.now);
    Step::Save(Box::new(next), Change::Left(id.clone(), why))
}
