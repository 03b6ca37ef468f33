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
//!                            │ yes, unfinished, resync due, or forced
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

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Action, AiLlmId, Live, Missing, Observation, Record, Settings, Version};
use crate::secret::Fingerprint;

mod transition;

#[cfg(test)]
mod table;
#[cfg(test)]
mod world;

/// All that is known when a decision is asked for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What the configuration in Flashback should look like.
    pub settings: &'a Settings,
    /// What is remembered.
    pub record: &'a Record,
    /// What the store was seen to hold.
    pub observation: &'a Observation,
    /// What was read from it in this pass.
    pub reading: Option<&'a Read>,
    /// What Flashback's list said in this pass.
    pub remote: &'a Remote,
    /// How a push of this pass was turned down.
    pub rejection: Option<&'a Rejection>,
    /// Somebody said `--force`, and no push of this pass has ended yet.
    pub force: bool,
    /// The intervals that matter.
    pub rules: Rules,
    /// The time.
    pub now: DateTime<Utc>,
}

/// The intervals a decision goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Push again after this long, changed or not.
    pub resync: Duration,
    /// Try a refused write again after this long.
    pub refused: Duration,
}

/// What a read of the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value, known by its digest.
    Value {
        /// The version it belongs to, which may be newer than the one observed.
        version: Version,
        /// Its keyed digest.
        fingerprint: Fingerprint,
    },
    /// Something that cannot be a key.
    Malformed {
        /// The version it belongs to.
        version: Version,
        /// For people; never a value.
        error: String,
    },
    /// It went away.
    Missing(Missing),
}

/// What Flashback's list says about the key's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// It was not asked, or its answer is out of date.
    Unasked,
    /// No configuration of that name.
    Absent,
    /// This one.
    Found(AiLlmId),
    /// More than one, which the API's own rule forbids.
    Doubled(Vec<AiLlmId>),
    /// The list was refused, or there is none.
    Unlistable(String),
}

/// How Flashback turned a push down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 404: there is no configuration of this id.
    Gone(AiLlmId),
    /// 400, 403 and the like.
    Refused {
        /// What was tried.
        action: Action,
        /// Flashback's words, scrubbed.
        error: String,
    },
}

impl Remote {
    /// What is left of the list's answer after a push was turned down. A creation that is refused
    /// for the first time may have met a configuration that came up since, and an id that is gone
    /// makes the answer old: both ask again, once.
    pub fn after(self, latest: &Rejection, earlier: Option<&Rejection>) -> Self {
        let create = |rejection: &Rejection| {
            matches!(
                rejection,
                Rejection::Refused {
                    action: Action::Create,
                    ..
                }
            )
        };
        match (&self, latest) {
            (_, Rejection::Gone(_)) => Self::Unasked,
            (Self::Absent, latest) if create(latest) && !earlier.is_some_and(create) => {
                Self::Unasked
            }
            _ => self,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the value of this version.
    Read(Version),
    /// Ask Flashback for the configurations of the workspace.
    List,
    /// Write the value that was read.
    Push {
        /// `Create`, `Update` or `Adopt`.
        action: Action,
        /// Where to; `None` for `Create`.
        id: Option<AiLlmId>,
        /// Why.
        reason: Reason,
    },
    /// Remember that the live value now goes by this version. No push.
    Note(Version),
    /// Remember that Flashback refused this version with these settings.
    Refuse {
        /// What was refused.
        version: Version,
        /// Flashback's words.
        error: String,
    },
    /// Nothing more in this pass.
    Rest(Rest),
}

/// Why a pass ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Flashback holds what the store holds.
    InSync,
    /// The store has nothing to push.
    Missing(Missing),
    /// What the store holds cannot be a key.
    Malformed(String),
    /// The version is held.
    Held(String),
    /// Flashback refused it; it is tried again at that time, or when something changes.
    Refused {
        /// Flashback's words.
        error: String,
        /// When.
        until: DateTime<Utc>,
    },
    /// Flashback contradicts itself; for people to put right.
    Contradiction(String),
}

/// Why something is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It never was.
    First,
    /// The store holds another value.
    Rotated,
    /// Name, type or endpoint were changed in the configuration.
    SettingsChanged,
    /// An earlier push has no known outcome.
    Unfinished,
    /// `resync` is due.
    Resync,
    /// Somebody asked for it.
    Forced,
}

impl Reason {
    /// The word that logs carry.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::First => "first push",
            Self::Rotated => "rotated",
            Self::SettingsChanged => "settings changed",
            Self::Unfinished => "unfinished push",
            Self::Resync => "resync",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the list says about a key: the configuration of its name, or, where a creation under an
/// earlier name has no known outcome, the one of that name.
pub fn find(settings: &Settings, record: &Record, listed: &[(&AiLlmId, &Settings)]) -> Remote {
    let here = |wanted: &Settings| -> Vec<AiLlmId> {
        let same = |found: &Settings| {
            found.name == wanted.name && found.workspace_id == settings.workspace_id
        };
        listed
            .iter()
            .filter(|(_, found)| same(found))
            .map(|(id, _)| (*id).clone())
            .collect()
    };
    let mut found = here(settings);
    if found.is_empty()
        && let Some(intent) = &record.intent
        && intent.action == Action::Create
    {
        found = here(&intent.settings);
    }
    match found.len() {
        0 => Remote::Absent,
        1 => Remote::Found(found.remove(0)),
        _ => Remote::Doubled(found),
    }
}

/// The next step for one key.
pub fn decide(facts: &Facts<'_>) -> Step {
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
    if due.is_none() && live.is_some_and(|live| live.version == *version) {
        return Step::Rest(Rest::InSync);
    }
    let fingerprint = match facts.reading {
        None => return Step::Read(version.clone()),
        Some(Read::Malformed { error, .. }) => {
            return Step::Rest(Rest::Malformed(error.clone()));
        }
        Some(Read::Value { fingerprint, .. }) => fingerprint,
        Some(Read::Missing(why)) => return Step::Rest(Rest::Missing(*why)),
    };
    if due.is_none() && live.is_some_and(|live| live.fingerprint == *fingerprint) {
        return Step::Note(version.clone());
    }
    let reason = due.unwrap_or_else(|| what_changed(facts, fingerprint));
    push(facts, version, reason)
}

/// What keeps this version from being pushed, whatever else is the case.
fn stands_in_the_way(facts: &Facts<'_>, version: &Version) -> Option<Rest> {
    if facts.force {
        return None;
    }
    if let Some(held) = &facts.record.held
        && held.version == *version
    {
        return Some(Rest::Held(held.reason.clone()));
    }
    let refusal = facts.record.refusal.as_ref()?;
    let until = refusal.at + facts.rules.refused;
    // A clock that was set back must not turn a quarter of an hour into a year.
    let waiting = facts.now < until && facts.now >= refusal.at - Duration::from_secs(60);
    let same = refusal.version == *version && refusal.settings == *facts.settings;
    (same && waiting).then(|| Rest::Refused {
        error: refusal.error.clone(),
        until,
    })
}

/// Why an unchanged key would be pushed all the same.
fn push_is_due(facts: &Facts<'_>) -> Option<Reason> {
    if facts.force {
        Some(Reason::Forced)
    } else if facts.record.intent.is_some() {
        Some(Reason::Unfinished)
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

fn what_changed(facts: &Facts<'_>, fingerprint: &Fingerprint) -> Reason {
    match &facts.record.live {
        None => Reason::First,
        Some(live) if live.fingerprint == *fingerprint => Reason::SettingsChanged,
        Some(_) => Reason::Rotated,
    }
}

/// Where to push, and whether Flashback has turned it down already.
fn push(facts: &Facts<'_>, version: &Version, reason: Reason) -> Step {
    if let Some(id) = known_id(facts) {
        return match facts.rejection {
            Some(Rejection::Refused { error, .. }) => refuse(version, error.clone()),
            Some(Rejection::Gone(_)) | None => Step::Push {
                action: Action::Update,
                id: Some(id.clone()),
                reason,
            },
        };
    }
    match (facts.remote, facts.rejection) {
        (Remote::Unasked, _) => Step::List,
        (Remote::Doubled(ids), _) => Step::Rest(Rest::Contradiction(doubled(facts, ids))),
        (Remote::Found(id), Some(Rejection::Gone(gone))) if id == gone => {
            Step::Rest(Rest::Contradiction(format!(
                "Flashback lists the configuration {id} and answers 404 to a write to it"
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
        },
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
        },
    }
}

/// The id on record, unless the key was moved to another workspace: a configuration cannot move.
fn known_id<'a>(facts: &Facts<'a>) -> Option<&'a AiLlmId> {
    let record = facts.record;
    let written = record.live.as_ref().map(|live| &live.settings);
    let home = written.or(record.intent.as_ref().map(|intent| &intent.settings))?;
    record
        .ai_llm_id
        .as_ref()
        .filter(|_| home.workspace_id == facts.settings.workspace_id)
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
        "Flashback has more than one configuration named `{}` in workspace `{}` ({ids}): delete \
         all but one",
        facts.settings.name, facts.settings.workspace_id
    )
}
