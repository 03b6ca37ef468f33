//! Reports on keys for people and scripts: the rows of `status`, `plan` and `sync`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use super::state::State;

use super::done::Done;
use super::problem::BrokenOff;
use super::rotation_report::RotationReport;
use crate::config::KeyConfig;
use crate::humanize::duration;
use crate::model::{
    Action, KeyId, Problem, ProblemKind, Record, RuleId, SourceId, Stage, TargetKind, Verification,
    Verifier, Version,
};
use crate::reconcile::Reason;

/// A report on a key. `--json` prints its fields as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    /// The key.
    pub key: KeyId,
    /// Its source.
    pub source: SourceId,
    /// Its name in Flashback.
    pub name: String,
    /// The id, in Flashback, of its configuration or its stored key.
    pub ai_llm_id: Option<String>,
    /// `stored-key` if the key is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// The rule that has discovered it, if it is no table of the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<RuleId>,
    /// `status`: the version that is live in Flashback. `plan` and `sync`: the source's, or the one that is put back.
    pub version: Option<String>,
    /// The error, if there is one; never a secret value.
    pub error: Option<String>,
    /// `plan`, `sync`: the action that is to be taken, or was taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<Action>,
    /// `plan`, `sync`: the reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// `plan`: its rotations, if this program rotates it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotates: Option<RotationReport>,
    /// `status`: the key's state in detail.
    #[serde(flatten)]
    pub standing: Option<Standing>,
    /// The end of the work on the key. Only the process that did the work knows it.
    #[serde(skip)]
    pub ended: Ended,
}

/// The end of the work on a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// The work was done, or failed.
    #[default]
    Done,
    /// The work was done, and a previous version was put back.
    RolledBack,
    /// The work was broken off.
    BrokenOff(BrokenOff),
}

/// The state of a key in detail, as `status` shows it. Unknown values are `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Its workspace.
    pub workspace_id: String,
    /// The time at which Flashback got the live version.
    pub pushed_at: Option<DateTime<Utc>>,
    /// The verifier of the live version, if it is verified: `flashback` or `provider`.
    #[serde(default)]
    pub verified_by: Option<Verifier>,
    /// The source's version that is held or being rolled back.
    #[serde(default)]
    pub held_version: Option<String>,
    /// The reason for the hold.
    #[serde(default)]
    pub held_reason: Option<String>,
    /// The time since which the source has the live value, if that is known.
    #[serde(default)]
    pub version_created_at: Option<DateTime<Utc>>,
    /// A warning: something to be seen to, though nothing is wrong yet.
    #[serde(default)]
    pub warning: Option<String>,
    /// The time of the last check.
    pub checked_at: Option<DateTime<Utc>>,
    /// The time of the next check.
    pub next_check: Option<DateTime<Utc>>,
    /// Its rotations, if this program rotates it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotation: Option<RotationReport>,
}

/// Returns the state of a key by its record.
pub fn state(config: &KeyConfig, record: &Record) -> State {
    if !config.enabled {
        return State::Disabled;
    }
    if held(record).is_some() {
        return State::Held;
    }
    match &record.look.problem {
        Some(Problem {
            kind: ProblemKind::Missing,
            ..
        }) => return State::Missing,
        Some(Problem {
            kind: ProblemKind::Unlisted,
            ..
        })
        | None => {}
        Some(_) => return State::Failing,
    }
    let in_step = record.live.as_ref().is_some_and(|live| {
        record.seen.as_ref() == Some(&live.version)
            && live.settings == config.settings
            && live.origin == config.origin
    });
    if in_step && record.intent.is_none() {
        State::InSync
    } else {
        State::Pending
    }
}

/// Returns the source's version if it is held or being rolled back, and the reason.
fn held(record: &Record) -> Option<(&Version, &str)> {
    let seen = record.seen.as_ref()?;
    let held = record.held.as_ref().filter(|held| held.version == *seen);
    let turning = |verification: &&Verification| {
        verification.stage == Stage::Back && verification.subject.version == *seen
    };
    let turned = record.verification.as_ref().filter(turning);
    let turned = turned.map(|verification| verification.reason.as_deref().unwrap_or_default());
    let why = held.map(|held| held.reason.as_str()).or(turned)?;
    Some((seen, why))
}

/// Returns the warning about a live version that is older than the key's `max_age`.
pub fn too_old(config: &KeyConfig, record: &Record, now: DateTime<Utc>) -> Option<String> {
    let age = now - record.live.as_ref()?.created_at?;
    let max_age = config.max_age.filter(|_| config.enabled)?;
    let max_age = TimeDelta::from_std(max_age).ok()?;
    (age > max_age).then(|| {
        format!(
            "the live version is {} old, and max_age is {}: rotate it",
            duration(age),
            duration(max_age)
        )
    })
}

/// Returns who verified the live value; `None` while a verification or a write is under way.
pub fn verified_by(record: &Record) -> Option<Verifier> {
    let live = record.live.as_ref()?;
    let proven = record.verification.is_none() && record.intent.is_none();
    live.verified_by.filter(|_| proven)
}

/// Returns the document that `--json` prints: `{"keys": [report…]}`.
pub fn document(reports: &[KeyReport]) -> serde_json::Value {
    serde_json::json!({ "keys": reports })
}

impl KeyReport {
    /// Returns the state in a report of `status`.
    pub fn state(&self) -> State {
        let standing = self.standing.as_ref();
        standing.map_or(State::Pending, |standing| standing.state)
    }

    /// Returns the error or, if there is none, the warning.
    pub fn remark(&self) -> Option<&str> {
        let standing = self.standing.as_ref();
        let warning = standing.and_then(|standing| standing.warning.as_deref());
        self.error.as_deref().or(warning)
    }

    /// Returns the reports of `status`: one for each configured key, checked or not.
    pub fn of_records(keys: &BTreeMap<KeyId, Arc<KeyConfig>>, records: Vec<Record>) -> Vec<Self> {
        let records: HashMap<_, _> = records
            .into_iter()
            .map(|record| (record.key.clone(), record))
            .collect();
        let report = |(id, config): (&KeyId, &Arc<KeyConfig>)| match records.get(id) {
            Some(record) => Self::of_record(id, config, record),
            None => Self::of_record(id, config, &Record::new(id.clone())),
        };
        keys.iter().map(report).collect()
    }

    /// Returns the report on a key that is switched off.
    pub fn disabled(key: &KeyId, config: &KeyConfig) -> Self {
        let reason = Some("disabled".to_owned());
        let record = Record::new(key.clone());
        Self {
            action: Some(Action::None),
            reason,
            ..Self::new(key, config, &record)
        }
    }

    /// Returns the report on a key for which nothing could be done.
    pub fn failed(key: &KeyId, config: &KeyConfig, error: impl Into<String>) -> Self {
        let error = error.into();
        Self {
            action: Some(Action::Error),
            reason: Some(error.clone()),
            error: Some(error),
            ..Self::new(key, config, &Record::new(key.clone()))
        }
    }

    /// Returns the report on a key whose check was broken off before anything was found out.
    pub fn broken_off(key: &KeyId, config: &KeyConfig, why: BrokenOff) -> Self {
        Self::failed(key, config, why.to_string()).because(why)
    }

    /// Returns the report, marked as one on work that was broken off.
    #[must_use]
    pub fn because(self, why: BrokenOff) -> Self {
        let ended = Ended::BrokenOff(why);
        Self { ended, ..self }
    }

    /// Returns the report of `check --connect`: the version that the source has, or the error.
    pub fn of_check(
        key: &KeyId,
        config: &KeyConfig,
        version: Option<&Version>,
        error: Option<String>,
    ) -> Self {
        Self {
            version: version.map(|version| version.label().to_owned()),
            error,
            ..Self::new(key, config, &Record::new(key.clone()))
        }
    }

    fn new(key: &KeyId, config: &KeyConfig, record: &Record) -> Self {
        Self {
            key: key.clone(),
            source: config.origin.source.clone(),
            name: config.settings.name.clone(),
            ai_llm_id: record.ai_llm_id.as_ref().map(ToString::to_string),
            target: match config.settings.target.kind() {
                TargetKind::Configuration => None,
                TargetKind::StoredKey => Some("stored-key".to_owned()),
            },
            rule: config.rule.clone(),
            version: None,
            error: None,
            action: None,
            reason: None,
            rotates: None,
            standing: None,
            ended: Ended::Done,
        }
    }

    /// Returns the report of `plan` and `sync`.
    pub fn of_run(
        key: &KeyId,
        config: &KeyConfig,
        record: &Record,
        done: &Done,
        problem: Option<&Problem>,
    ) -> Self {
        let (action, reason) = match (problem, &done.push, &done.held) {
            (Some(problem), _, _) => (Action::Error, problem.error.clone()),
            (None, Some((action, reason)), _) => (*action, reason.to_string()),
            (None, None, Some(why)) => (Action::Hold, why.clone()),
            (None, None, None) if done.same_value => {
                (Action::None, "same value under a new version".to_owned())
            }
            (None, None, None) if done.unproven => {
                (Action::None, "not known to work yet".to_owned())
            }
            (None, None, None) => (Action::None, "unchanged".to_owned()),
        };
        let ended = match (problem, &done.push) {
            (None, Some((_, Reason::RolledBack))) => Ended::RolledBack,
            _ => Ended::Done,
        };
        Self {
            version: done
                .version
                .as_ref()
                .map(|version| version.label().to_owned()),
            error: problem.map(|problem| problem.error.clone()),
            action: Some(action),
            reason: Some(reason),
            ended,
            ..Self::new(key, config, record)
        }
    }

    /// Returns the report on several checks in a row. What an earlier one did stays in the report when a later one
    /// has nothing more to do, or only finds the version held that was rolled back.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        let idle = |report: &Self| matches!(report.action, None | Some(Action::None));
        let holds = self.action == Some(Action::Hold);
        match earlier {
            Some(earlier) if holds && earlier.ended == Ended::RolledBack => earlier,
            Some(earlier) if idle(&self) && !idle(&earlier) && earlier.error.is_none() => Self {
                action: earlier.action,
                reason: earlier.reason,
                ended: earlier.ended,
                ..self
            },
            _ => self,
        }
    }

    /// Returns the report of `status`.
    pub fn of_record(key: &KeyId, config: &KeyConfig, record: &Record) -> Self {
        let live = record.live.as_ref();
        let held = held(record);
        let state = state(config, record);
        let rotation = RotationReport::of(key, config, record);
        let trouble = rotation.as_ref().and_then(RotationReport::trouble);
        let trouble = trouble.map(|why| format!("its rotation does not get on: {why}"));
        Self {
            version: live.map(|live| Version::label(&live.version).to_owned()),
            error: record
                .look
                .problem
                .as_ref()
                .map(|problem| problem.error.clone())
                .or_else(|| held.map(|(_, why)| why.to_owned())),
            standing: Some(Standing {
                state,
                workspace_id: config.settings.workspace_id.to_string(),
                pushed_at: live.map(|live| live.pushed_at),
                verified_by: verified_by(record),
                held_version: held.map(|(version, _)| version.label().to_owned()),
                held_reason: held.map(|(_, why)| why.to_owned()),
                version_created_at: live.and_then(|live| live.created_at),
                warning: too_old(config, record, Utc::now()).or(trouble),
                checked_at: record.look.checked_at,
                next_check: record.look.next_at,
                rotation,
            }),
            ..Self::new(key, config, record)
        }
    }
}
