//! What people see of a key's rotations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::due::due_at;
use crate::model::{KeyConfig, KeyId, NextKey, ProviderId, ProviderKeyId, Record, Times};
use crate::rotation::{Stage, stage};

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
    /// The provider's id of the live key, if it is known.
    pub current: Option<ProviderKeyId>,
    /// The provider's id of the key that is to be the next one.
    pub next: Option<ProviderKeyId>,
    /// The keys that are to be revoked.
    pub old: Vec<OldKeyReport>,
    /// The times of the last rotation.
    pub times: Times,
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
}

impl RotationReport {
    /// Returns the report on a key; `None` if it is not rotated by this program.
    pub fn of(key: &KeyId, config: &KeyConfig, record: &Record) -> Option<Self> {
        let rotate = config.rotate.as_deref()?;
        let rotation = record.rotation.as_deref();
        let stuck = rotation.and_then(|rotation| rotation.reasons().next());
        let waiting = stuck.or(record.look.rotation.as_deref());
        let old = rotation.map_or(&[][..], |rotation| &rotation.old);
        Some(Self {
            provider: rotate.provider.clone(),
            stage: rotation.map_or(Stage::Idle, stage),
            due_at: due_at(key, rotate, record),
            waiting: waiting.map(str::to_owned),
            current: rotation
                .and_then(|rotation| rotation.current.as_ref())
                .map(|key| key.id.clone()),
            next: rotation
                .and_then(|rotation| rotation.next.as_ref())
                .and_then(NextKey::id)
                .cloned(),
            old: old
                .iter()
                .map(|old| OldKeyReport {
                    id: old.key.id.clone(),
                    since: old.since,
                    disabled_at: old.disabled_at,
                })
                .collect(),
            times: rotation
                .map(|rotation| rotation.times.clone())
                .unwrap_or_default(),
        })
    }
}
