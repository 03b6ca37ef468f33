//! The stage of a rotation, for people and metrics.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{NextKey, Rotation};

/// The stage of a key's rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing is under way.
    Idle,
    /// A person has asked for a rotation that was not begun yet.
    Due,
    /// A key is being made.
    Minting,
    /// A key that was made is being stored.
    Storing,
    /// A key that was stored is being delivered and verified.
    Delivering,
    /// The new key is live, and an old one waits for its end.
    Draining,
    /// An old key is disabled, and waits to be deleted.
    Disabled,
    /// Something keeps the rotation from getting on.
    Stuck,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 8] = [
        Self::Idle,
        Self::Due,
        Self::Minting,
        Self::Storing,
        Self::Delivering,
        Self::Draining,
        Self::Disabled,
        Self::Stuck,
    ];

    /// Returns its name in documents and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Due => "due",
            Self::Minting => "minting",
            Self::Storing => "storing",
            Self::Delivering => "delivering",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Stuck => "stuck",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the stage that a record is in.
pub fn stage(rotation: &Rotation) -> Stage {
    let is_stuck = rotation.stuck.is_some() || rotation.old.iter().any(|old| old.stuck.is_some());
    let is_draining = rotation.old.iter().any(|old| old.disabled_at.is_none());
    match &rotation.next {
        _ if is_stuck => Stage::Stuck,
        Some(NextKey::Minting { .. }) => Stage::Minting,
        Some(NextKey::Minted { .. }) => Stage::Storing,
        Some(NextKey::Stored { .. }) => Stage::Delivering,
        None if is_draining => Stage::Draining,
        None if !rotation.old.is_empty() => Stage::Disabled,
        None if rotation.command.is_some() => Stage::Due,
        None => Stage::Idle,
    }
}
