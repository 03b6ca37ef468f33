//! What people see of a key's rotations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::due::due_at;
use crate::model::{
    KeyConfig, KeyId, NextKey, OldKey, ProviderId, ProviderKeyId, Record, Revoke, RotateCommand,
    RotateConfig, Stuck, Times,
};
use crate::rotation::{Stage, stage};
use crate::telemetry::metrics::RotationStanding;

/// The rotations of a key, as `status` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationReport {
    /// The provider.
    pub provider: ProviderId,
    /// The stage.
    pub stage: Stage,
    /// The time at which the next rotation is due; `None` if only a person asks for one.
    pub due_at: Option<DateTime<Utc>>,
    /// What is waited for, or why it does not get on; `None` if nothing is under way.
    pub waiting: Option<String>,
    /// Why it does not get on, if that is no usual wait.
    #[serde(default)]
    pub stuck: Option<Stuck>,
    /// The rotation that a person has asked for and that is not over.
    #[serde(default)]
    pub asked: Option<RotateCommand>,
    /// The provider's id of the live key, if it is known.
    pub current: Option<ProviderKeyId>,
    /// The provider's id of the key that is to be the next one.
    pub next: Option<ProviderKeyId>,
    /// The keys that are to be revoked.
    pub old: Vec<OldKeyReport>,
    /// The times of the last rotation.
    pub times: Times,
}

/// Returns what metrics show of a key's rotation; `None` if it is not rotated by this program.
pub fn standing(key: &KeyId, config: &KeyConfig, record: &Record) -> Option<RotationStanding> {
    let rotate = config.rotate.as_deref()?;
    let rotation = record.rotation.as_deref();
    let old = rotation.map_or(&[][..], |rotation| &rotation.old);
    let working = old.iter().filter(|old| old.disabled_at.is_none());
    let ends = working.map(|old| match old.compromised {
        true => old.since,
        false => old.since + rotate.overlap,
    });
    Some(RotationStanding {
        stage: rotation.map_or(Stage::Idle, stage).as_str(),
        due_at: due_at(key, rotate, record),
        overlap_ends_at: ends.min(),
    })
}

/// A key that is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKeyReport {
    /// The provider's id.
    pub id: ProviderKeyId,
    /// The time at which its successor was live and verified everywhere.
    pub since: DateTime<Utc>,
    /// The time at which it was disabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// `true` if it is to be revoked at once, whoever uses it.
    #[serde(default)]
    pub compromised: bool,
    /// The earliest time at which it is revoked: disabled, or deleted where it cannot be disabled. `None` if it is
    /// disabled, or is left to people.
    #[serde(default)]
    pub revoke_after: Option<DateTime<Utc>>,
    /// The earliest time at which it is deleted, if it is disabled.
    #[serde(default)]
    pub delete_after: Option<DateTime<Utc>>,
    /// Why it cannot be revoked, if that is no usual wait.
    #[serde(default)]
    pub stuck: Option<Stuck>,
}

impl OldKeyReport {
    /// Returns the report on an old key.
    pub fn of(old: &OldKey, rotate: &RotateConfig) -> Self {
        let is_left = rotate.revoke == Revoke::None;
        let revoke_after = match (old.compromised, is_left) {
            (true, _) => Some(old.since),
            (false, true) => None,
            (false, false) => Some(old.since + rotate.overlap),
        };
        let delete_after = old.disabled_at.map(|at| at + rotate.cool_off);
        Self {
            id: old.key.id.clone(),
            since: old.since,
            disabled_at: old.disabled_at,
            compromised: old.compromised,
            revoke_after: revoke_after.filter(|_| old.disabled_at.is_none()),
            delete_after: delete_after.filter(|_| !is_left),
            stuck: old.stuck.clone(),
        }
    }
}

impl RotationReport {
    /// Returns the report on a key; `None` if it is not rotated by this program.
    pub fn of(key: &KeyId, config: &KeyConfig, record: &Record) -> Option<Self> {
        let rotate = config.rotate.as_deref()?;
        let rotation = record.rotation.as_deref();
        let stuck = rotation.and_then(|rotation| rotation.stuck().max_by_key(|stuck| stuck.tries));
        let waiting = stuck.map(|stuck| stuck.why.as_str());
        let waiting = waiting.or(record.look.rotation.as_deref());
        let old = rotation.map_or(&[][..], |rotation| &rotation.old);
        let current = rotation.and_then(|rotation| rotation.current.as_ref());
        let next = rotation.and_then(|rotation| rotation.next.as_ref());
        Some(Self {
            provider: rotate.provider.clone(),
            stage: rotation.map_or(Stage::Idle, stage),
            due_at: due_at(key, rotate, record),
            waiting: waiting.map(str::to_owned),
            stuck: stuck.cloned(),
            asked: rotation.and_then(|rotation| rotation.command),
            current: current.map(|key| key.id.clone()),
            next: next.and_then(NextKey::id).cloned(),
            old: old
                .iter()
                .map(|old| OldKeyReport::of(old, rotate))
                .collect(),
            times: rotation
                .map(|rotation| rotation.times.clone())
                .unwrap_or_default(),
        })
    }

    /// Returns why a person should see to it; `None` as long as it may get on by itself.
    pub fn trouble(&self) -> Option<&str> {
        let stuck = self.stuck.as_ref().filter(|stuck| stuck.is_lasting());
        stuck.map(|stuck| stuck.why.as_str())
    }
}
