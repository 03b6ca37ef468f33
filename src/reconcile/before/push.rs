//! The choice of where a value is written: to the id on record, to the list's entry of the key's name, or to
//! something new; and what stands in the way of that.

use super::super::Drift;
use super::{Facts, ListAge, Reason, Rejection, Remote, Rest, Step, What};
use crate::model::{Action, AiLlmId, Settings, Target, Version};

/// Decides where to push, and whether Flashback has refused that already.
pub(super) fn push(facts: &Facts<'_>, version: &Version, reason: Reason, what: What) -> Step {
    if let Some(id) = known_id(facts) {
        return match (facts.rejection, facts.compared) {
            (Some(Rejection::Refused { error, .. }), _) => refuse(version, error.clone()),
            // A configuration that somebody has attached to a stored key is theirs, and not to be written to.
            (_, None) => Step::Compare(age_before(facts)),
            (_, Some(compared)) if compared.age > age_before(facts) => {
                Step::Compare(age_before(facts))
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

/// How old a list may be before a write. What somebody has just changed may be that it was attached to a
/// stored key.
fn age_before(facts: &Facts<'_>) -> ListAge {
    match facts.record.edits.changed_by {
        Some(_) => ListAge::Zero,
        None => ListAge::Seconds,
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
pub(super) fn known_id<'a>(facts: &Facts<'a>) -> Option<&'a AiLlmId> {
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
