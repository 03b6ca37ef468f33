//! The decision: what to do next for one key, given all that is known of it.
//!
//! [`decide`] is a pure function. It is asked again after each step, with what the step has
//! brought to light, until it says [`Step::Rest`]. It has no clock of its own, does no I/O, logs
//! nothing and draws no random numbers, so every situation can be laid before it in a test.
//!
//! ```text
//!                      ┌────────────┐
//!   look ────────────▶ │ observed?  │── nothing to push ─────────────────▶ Rest(Missing)
//!                      └─────┬──────┘
//!                            │ a version
//!                      ┌─────▼──────┐   held, or refused not long ago ──▶ Rest(Held, Refused)
//!                      │ changed?   │── no, and nothing unfinished ─────▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ yes, unfinished, repair or resync due, or forced
//!                      ┌─────▼──────┐   gone, or no usable value ───────▶ Rest(Missing, Malformed)
//!                      │    Read    │── the live value again ───▶ Note ─▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ another value
//!                      ┌─────▼──────┐ yes                     404: the id is forgotten
//!                      │ id known?  │────────▶ Push(update) ──────────────┐
//!                      └─────┬──────┘                │ 400, 403           │
//!                            │ no  ◀─────────────────┼────────────────────┘
//!                      ┌─────▼──────┐ one of that name                 │
//!                      │    List    │────────▶ Push(adopt) ──▶ Refuse ─▶ Rest(Refused)
//!                      └─────┬──────┘            ▲    ▲
//!                            │ none, or the list │    │ 400, 403, and the list has it not
//!                            ▼ is refused        │    │
//!                       Push(create) ────────────┴────┘
//!                                    refused: list once more
//! ```
//!
//! A push that succeeds leaves a record for which the answer is `Rest(InSync)`. A push whose
//! outcome is not known leaves an intent, and an intent alone is reason enough to push again, to
//! the configuration on record or, with none on record, to the one the list shows: that is how a
//! crash or a lost answer ends in one configuration and not two.
//!
//! A key on which somebody may have written who had lost it already is marked for repair: what should
//! be live is written once more, as at a resync, and the record of that push takes the mark back.
//!
//! Where nothing is to be pushed, `drift` asks whether Flashback still has what was written.

mod acknowledge;
mod drift;
mod facts;
mod transition;
mod trial;
mod verdict;

#[cfg(test)]
mod case;
#[cfg(test)]
mod drift_table;
#[cfg(test)]
mod repair_table;
#[cfg(test)]
mod table;
#[cfg(test)]
mod trial_record;
#[cfg(test)]
mod trial_table;
#[cfg(test)]
mod world;

use std::time::Duration;

pub use self::acknowledge::{Owed, may_be_owed, owed, stands_apart};
pub use self::drift::{Compared, Drift, compare};
pub use self::facts::{
    Facts, HoldReason, ListAge, Older, Read, Reason, Rejection, Remote, Rest, Rules, Stand, Step,
    What,
};
pub use self::transition::Pushed;

use crate::model::{
    Action, AiLlmId, Listed, Live, Observation, Order, Record, Settings, Stage, Stored, Target,
    Version,
};
use crate::secret::Fingerprint;

/// What the list says about a key: the entry of its name or id, or, where a creation under an earlier
/// name has no known outcome, the one of that name.
pub fn find(settings: &Settings, record: &Record, listed: &[&Listed]) -> Remote {
    let here = |wanted: &Settings| -> Vec<&Listed> {
        let same = |found: &Listed| match &wanted.target {
            Target::StoredKey { id: Some(id) } => found.id == *id,
            Target::StoredKey { id: None } | Target::Configuration => {
                found.appearance.name == wanted.name
            }
        };
        let listed = listed.iter().copied();
        listed.filter(|found| same(found)).collect()
    };
    let mut found = here(settings);
    if found.is_empty()
        && let Some(intent) = &record.intent
        && intent.action == Action::Create
    {
        found = here(&intent.settings);
    }
    match &found[..] {
        [] => Remote::Absent,
        [one] => match &one.appearance.stored_key {
            Some(stored_key) if settings.target.is_configuration() => Remote::Shared {
                id: one.id.clone(),
                stored_key: stored_key.clone(),
            },
            _ => Remote::Found(one.id.clone()),
        },
        more => Remote::Doubled(more.iter().map(|one| one.id.clone()).collect()),
    }
}

/// The next step for one key.
pub fn decide(facts: &Facts<'_>) -> Step {
    if facts.order == Order::RollBack
        && let Some(step) = trial::back_by_hand(facts)
    {
        return step;
    }
    match newest(facts) {
        Step::Rest(rest) => trial::settle(facts, rest),
        step => step,
    }
}

/// What the store's newest version asks for, as if no other had ever been live.
fn newest(facts: &Facts<'_>) -> Step {
    let version = match (facts.observation, facts.reading) {
        (Observation::Missing(why), _) | (_, Some(Read::Missing(why))) => {
            return Step::Rest(Rest::Missing(*why));
        }
        (_, Some(Read::Value { version, .. } | Read::Malformed { version, .. }))
        | (Observation::Present { version, .. }, None) => version,
    };
    if let Some(rest) = stands_in_the_way(facts, version) {
        return Step::Rest(rest);
    }
    let due = push_is_due(facts);
    let live = facts
        .record
        .live
        .as_ref()
        .filter(|live| live.settings == *facts.settings);
    let current = |live: &Live| live.version == *version && live.origin == *facts.origin;
    if due.is_none() && live.is_some_and(current) {
        return Step::Rest(Rest::InSync);
    }
    if matches!(due, Some(Reason::Resync | Reason::Repair))
        && let Some(step) = drift::before_resync(facts)
    {
        return step;
    }
    let fingerprint = match facts.reading {
        None => return Step::Read(version.clone()),
        Some(Read::Malformed { error, .. }) => {
            return Step::Rest(Rest::Malformed(error.clone()));
        }
        Some(Read::Value { fingerprint, .. }) => fingerprint,
        Some(Read::Missing(why)) => return Step::Rest(Rest::Missing(*why)),
    };
    let same = live.is_some_and(|live| live.fingerprint == *fingerprint);
    if due.is_none() && same {
        return Step::Note(version.clone());
    }
    let value = Stored {
        version: version.clone(),
        fingerprint: *fingerprint,
        origin: facts.origin.clone(),
    };
    let written = same && facts.record.intent.is_none();
    if let Some(step) = trial::ask_first(facts, &value, written) {
        return step;
    }
    let reason = match !same && trial::goes_back_in(facts, &value) {
        true => Reason::BestGuess,
        // Another value is more than a repair.
        false => due
            .filter(|due| same || *due != Reason::Repair)
            .unwrap_or_else(|| what_changed(facts, fingerprint)),
    };
    push(facts, version, reason, What::Newest)
}

/// What keeps this version from being pushed, whatever else is the case.
fn stands_in_the_way(facts: &Facts<'_>, version: &Version) -> Option<Rest> {
    if facts.order == Order::Force {
        return None;
    }
    if let Some(held) = &facts.record.held
        && held.is(version, facts.origin)
        && !is_to_be_written_again(facts, version)
    {
        return Some(Rest::Held(held.reason.clone()));
    }
    if let Some(trial) = &facts.record.trial
        && trial.stage == Stage::Back
        && trial.subject.is(version, facts.origin)
    {
        let why = trial.reason.clone().unwrap_or_default();
        return Some(Rest::Held(why));
    }
    let refusal = facts.record.refusal.as_ref()?;
    let until = refusal.at + facts.rules.refused;
    // A clock that was set back must not turn a quarter of an hour into a year.
    let waiting = facts.now < until && facts.now >= refusal.at - Duration::from_secs(60);
    let same = refusal.version == *version
        && refusal.origin == *facts.origin
        && refusal.settings == *facts.settings;
    (same && waiting).then(|| Rest::Refused {
        error: refusal.error.clone(),
        until,
    })
}

/// Whether this version is what Flashback holds, and the configuration wants it with other
/// settings, which may be what was wrong, or somebody has changed those in Flashback, or may have
/// written to it.
fn is_to_be_written_again(facts: &Facts<'_>, version: &Version) -> bool {
    let live = facts.record.live.as_ref();
    live.is_some_and(|live| {
        let otherwise =
            live.settings != *facts.settings || drift::due(facts).is_some() || repair_is_due(facts);
        live.stored().is(version, facts.origin) && otherwise
    })
}

/// Why an unchanged key would be pushed all the same.
fn push_is_due(facts: &Facts<'_>) -> Option<Reason> {
    if facts.order == Order::Force {
        Some(Reason::Forced)
    } else if let Some(intent) = &facts.record.intent {
        Some(Reason::of(intent))
    } else if let Some(drifted) = drift::due(facts) {
        Some(drifted)
    } else if repair_is_due(facts) {
        Some(Reason::Repair)
    } else {
        let resync_due = |live: &Live| facts.now >= live.pushed_at + facts.rules.resync;
        facts
            .record
            .live
            .as_ref()
            .is_some_and(resync_due)
            .then_some(Reason::Resync)
    }
}

/// Whether what should be live is to be written once more, whatever is known of it.
fn repair_is_due(facts: &Facts<'_>) -> bool {
    facts.record.repair.is_some_and(|repair| repair.is_due())
}

fn what_changed(facts: &Facts<'_>, fingerprint: &Fingerprint) -> Reason {
    match &facts.record.live {
        None => Reason::First,
        Some(live) if live.fingerprint == *fingerprint => Reason::SettingsChanged,
        Some(_) => Reason::Rotated,
    }
}

/// Where to push, and whether Flashback has turned it down already.
fn push(facts: &Facts<'_>, version: &Version, reason: Reason, what: What) -> Step {
    if let Some(id) = known_id(facts) {
        return match (facts.rejection, facts.compared) {
            (Some(Rejection::Refused { error, .. }), _) => refuse(version, error.clone()),
            // What somebody has attached to a stored key is theirs, and not to be written to.
            (_, None) => Step::Compare(ListAge::Seconds),
            (_, Some(compared)) if compared.age == ListAge::Minutes => {
                Step::Compare(ListAge::Seconds)
            }
            (_, Some(compared)) => match &compared.drift {
                Drift::Shared(stored_key) => refuse(version, shared(id, stored_key)),
                _ => Step::Push {
                    action: Action::Update,
                    id: Some(id.clone()),
                    reason,
                    what,
                },
            },
        };
    }
    match (facts.remote, facts.rejection) {
        (Remote::Unasked, _) => Step::List,
        (Remote::Doubled(ids), _) => Step::Rest(Rest::Contradiction(doubled(facts, ids))),
        (Remote::Shared { id, stored_key }, _) => refuse(version, shared(id, stored_key)),
        (Remote::Found(id), Some(Rejection::Gone(gone))) if id == gone => {
            Step::Rest(Rest::Contradiction(format!(
                "Flashback lists the {} {id} and answers 404 to a write to it",
                noun(facts)
            )))
        }
        (
            Remote::Found(_),
            Some(Rejection::Refused {
                action: Action::Adopt,
                error,
            }),
        ) => refuse(version, error.clone()),
        (Remote::Found(id), _) => Step::Push {
            action: Action::Adopt,
            id: Some(id.clone()),
            reason,
            what,
        },
        (Remote::Absent | Remote::Unlistable(_), _)
            if !facts.settings.target.is_configuration() =>
        {
            without_stored_key(facts, version, reason, what)
        }
        (Remote::Unlistable(list), _) if let Some(earlier) = unsettled_name(facts) => {
            Step::Rest(Rest::Contradiction(format!(
                "whether `{earlier}` was created before the key was renamed to `{}` is not known, \
                 because the list failed: {list}. Let this account list workspace `{}`, or give \
                 the key its former `name` again",
                facts.settings.name, facts.settings.workspace_id
            )))
        }
        (Remote::Absent, Some(Rejection::Refused { error, .. })) => refuse(version, error.clone()),
        (Remote::Unlistable(list), Some(Rejection::Refused { error, .. })) => refuse(
            version,
            format!(
                "{error}. If `{}` exists already in workspace `{}`, it cannot be found to be \
                 adopted, because the list failed: {list}. Let this account list that workspace, \
                 or give the key another `name`",
                facts.settings.name, facts.settings.workspace_id
            ),
        ),
        (Remote::Absent | Remote::Unlistable(_), _) => Step::Push {
            action: Action::Create,
            id: None,
            reason,
            what,
        },
    }
}

/// A stored key is made only where that is asked for, and never where it may be there already: its
/// description is not unique to the API.
fn without_stored_key(facts: &Facts<'_>, version: &Version, reason: Reason, what: What) -> Step {
    let Settings {
        workspace_id, name, ..
    } = facts.settings;
    let contradiction = |why: String| Step::Rest(Rest::Contradiction(why));
    match (facts.remote, facts.rejection, &facts.settings.target) {
        (Remote::Unlistable(list), ..) => contradiction(format!(
            "whether workspace `{workspace_id}` has the stored key is not known, because the list \
             failed: {list}. Let this account list its stored keys"
        )),
        (_, Some(Rejection::Refused { error, .. }), _) => refuse(version, error.clone()),
        (_, _, Target::StoredKey { id: Some(id) }) => contradiction(format!(
            "workspace `{workspace_id}` has no stored key of the id `{id}`: correct `api_key_id`"
        )),
        _ if !facts.may_create => contradiction(format!(
            "workspace `{workspace_id}` has no stored key with the description `{name}`: make it, or \
             write `create = true` to have it made"
        )),
        _ => Step::Push {
            action: Action::Create,
            id: None,
            reason,
            what,
        },
    }
}

fn noun(facts: &Facts<'_>) -> &'static str {
    facts.settings.target.kind().noun()
}

fn shared(id: &AiLlmId, stored_key: &AiLlmId) -> String {
    format!(
        "the configuration {id} takes its credentials from the stored key {stored_key}, which others \
         may share, so nothing is written into it: detach the stored key in Flashback, or rotate that \
         itself with `target = \"stored-key\"` and `api_key_id = \"{stored_key}\"`"
    )
}

/// The id on record, unless the key was moved to another workspace or target: a configuration cannot
/// move.
fn known_id<'a>(facts: &Facts<'a>) -> Option<&'a AiLlmId> {
    let record = facts.record;
    let written = record.live.as_ref().map(|live| &live.settings);
    let home = written.or(record.intent.as_ref().map(|intent| &intent.settings))?;
    record.ai_llm_id.as_ref().filter(|_| {
        home.workspace_id == facts.settings.workspace_id && home.target == facts.settings.target
    })
}

/// The name of an unfinished creation, where it is no longer the key's name. Creating another
/// before that one is found could make two.
fn unsettled_name<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    let intent = facts.record.intent.as_ref()?;
    let renamed = intent.action == Action::Create
        && intent.settings.workspace_id == facts.settings.workspace_id
        && intent.settings.name != facts.settings.name;
    renamed.then_some(intent.settings.name.as_str())
}

fn refuse(version: &Version, error: String) -> Step {
    Step::Refuse {
        version: version.clone(),
        error,
    }
}

fn doubled(facts: &Facts<'_>, ids: &[AiLlmId]) -> String {
    let ids = ids
        .iter()
        .map(AiLlmId::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "Flashback has more than one {} named `{}` in workspace `{}` ({ids}): delete all but one",
        noun(facts),
        facts.settings.name,
        facts.settings.workspace_id
    )
}
