//! The place in Flashback where a value is written: the configuration or stored key on record, the one that the list
//! shows, or a new one.

use super::knowledge::{Drift, Knowledge, ListAge, Rejection, Remote};
use super::step::{Question, Rest, Step};
use crate::model::{Action, AiLlmId, Listed, Record, Settings, Target};

/// The place where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// `Create`, `Update` or `Adopt`.
    pub action: Action,
    /// The id that is written to; `None` for `Create`.
    pub id: Option<AiLlmId>,
}

/// The reason why a value is not written now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This step comes first, or ends the check.
    Step(Box<Step>),
    /// Flashback has refused the write, or is known to be no place for it, for this reason.
    Refused(String),
}

/// Returns the entry of the list that has the key's name or id. If there is none and a creation under an earlier name
/// has no known outcome, returns the entry of that name.
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

/// Returns the place where the key's value is written. `Err` is not a failure: it is the obstacle to a write now.
pub fn home(known: &Knowledge) -> Result<Home, Obstacle> {
    match known.known_id() {
        Some(id) => on_record(known, id),
        None => by_list(known),
    }
}

/// Returns the configuration or stored key on record. Nothing is written to a configuration that a user has attached
/// to a stored key; after a change by another user, a fresh list is compared to find that out.
fn on_record(known: &Knowledge, id: &AiLlmId) -> Result<Home, Obstacle> {
    if let Some(Rejection::Refused { error, .. }) = &known.rejection {
        return Err(Obstacle::Refused(error.clone()));
    }
    let age = match known.record.edits.changed_by {
        Some(_) => ListAge::Zero,
        None => ListAge::Seconds,
    };
    match &known.compared {
        Some(compared) if compared.age <= age => match &compared.drift {
            Drift::Shared(stored_key) => Err(shared(id, stored_key)),
            _ => Ok(Home {
                action: Action::Update,
                id: Some(id.clone()),
            }),
        },
        _ => Err(Obstacle::Step(Box::new(Step::Ask(Question::Compare(age))))),
    }
}

fn by_list(known: &Knowledge) -> Result<Home, Obstacle> {
    let noun = known.config.settings.target.kind().noun();
    match (&known.remote, &known.rejection) {
        (Remote::Unasked, _) => Err(Obstacle::Step(Box::new(Step::Ask(Question::List)))),
        (Remote::Doubled(ids), _) => {
            let Settings {
                name, workspace_id, ..
            } = &known.config.settings;
            let ids: Vec<&str> = ids.iter().map(AiLlmId::as_str).collect();
            let ids = ids.join(", ");
            Err(contradiction(format!(
                "Flashback has more than one {noun} named `{name}` in workspace `{workspace_id}` \
                 ({ids}): delete all but one"
            )))
        }
        (Remote::Shared { id, stored_key }, _) => Err(shared(id, stored_key)),
        (Remote::Found(id), Some(Rejection::Gone(gone))) if id == gone => Err(contradiction(
            format!("Flashback lists the {noun} {id} and answers 404 to a write to it"),
        )),
        (
            Remote::Found(_),
            Some(Rejection::Refused {
                action: Action::Adopt,
                error,
            }),
        ) => Err(Obstacle::Refused(error.clone())),
        (Remote::Found(id), _) => Ok(Home {
            action: Action::Adopt,
            id: Some(id.clone()),
        }),
        (Remote::Absent, _) => absent(known, None),
        (Remote::Unlistable(list), _) => absent(known, Some(list)),
    }
}

/// Returns the place for a key that the list does not show. `unlistable` is the error if there was no list.
fn absent(known: &Knowledge, unlistable: Option<&str>) -> Result<Home, Obstacle> {
    let settings = &known.config.settings;
    let obstacle = match &settings.target {
        Target::Configuration => no_configuration(known, unlistable),
        Target::StoredKey { id } => no_stored_key(known, id.as_ref(), unlistable),
    };
    obstacle.map_or(
        Ok(Home {
            action: Action::Create,
            id: None,
        }),
        Err,
    )
}

/// Returns the reason for not creating a configuration, if there is one.
fn no_configuration(known: &Knowledge, unlistable: Option<&str>) -> Option<Obstacle> {
    let Settings {
        name, workspace_id, ..
    } = &known.config.settings;
    if let (Some(list), Some(earlier)) = (unlistable, unsettled_name(known)) {
        return Some(contradiction(format!(
            "whether `{earlier}` was created before the key was renamed to `{name}` is not known, \
             because the list failed: {list}. Let this account list workspace `{workspace_id}`, or \
             give the key its former `name` again"
        )));
    }
    let Some(Rejection::Refused { error, .. }) = &known.rejection else {
        return None;
    };
    Some(Obstacle::Refused(match unlistable {
        None => error.clone(),
        Some(list) => format!(
            "{error}. If `{name}` exists already in workspace `{workspace_id}`, it cannot be found \
             to be adopted, because the list failed: {list}. Let this account list that workspace, \
             or give the key another `name`"
        ),
    }))
}

/// Returns the reason for not creating a stored key, if there is one. One is created only if the configuration says
/// so, and never if it may exist already, because the API does not keep descriptions unique.
fn no_stored_key(
    known: &Knowledge,
    id: Option<&AiLlmId>,
    unlistable: Option<&str>,
) -> Option<Obstacle> {
    let Settings {
        name, workspace_id, ..
    } = &known.config.settings;
    Some(match (unlistable, &known.rejection, id) {
        (Some(list), ..) => contradiction(format!(
            "whether workspace `{workspace_id}` has the stored key is not known, because the list \
             failed: {list}. Let this account list its stored keys"
        )),
        (_, Some(Rejection::Refused { error, .. }), _) => Obstacle::Refused(error.clone()),
        (_, _, Some(id)) => contradiction(format!(
            "workspace `{workspace_id}` has no stored key of the id `{id}`: correct `api_key_id`"
        )),
        _ if !known.config.may_create => contradiction(format!(
            "workspace `{workspace_id}` has no stored key with the description `{name}`: make it, or \
             write `create = true` to have it made"
        )),
        _ => return None,
    })
}

/// Returns the name of an unfinished creation, if the key has another name now. Creating another configuration before
/// that one is found could make two.
fn unsettled_name(known: &Knowledge) -> Option<&str> {
    let (intent, wanted) = (known.record.intent.as_ref()?, &known.config.settings);
    let renamed = intent.action == Action::Create
        && intent.settings.workspace_id == wanted.workspace_id
        && intent.settings.name != wanted.name;
    renamed.then_some(intent.settings.name.as_str())
}

fn contradiction(why: String) -> Obstacle {
    Obstacle::Step(Box::new(Step::Rest(Rest::Contradiction(why))))
}

fn shared(id: &AiLlmId, stored_key: &AiLlmId) -> Obstacle {
    Obstacle::Refused(format!(
        "the configuration {id} takes its credentials from the stored key {stored_key}, which others \
         may share, so nothing is written into it: detach the stored key in Flashback, or rotate that \
         itself with `target = \"stored-key\"` and `api_key_id = \"{stored_key}\"`"
    ))
}
