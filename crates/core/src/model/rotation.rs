//! How a key is rotated, and the record of its rotations.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Check, ProviderId, ProviderKeyId, Version};
use crate::secret::Fingerprint;

/// `[keys.….rotate]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RotateConfig {
    /// The provider that makes and revokes its keys.
    pub provider: ProviderId,
    /// The times at which it is rotated, counted from the creation of the live version; `None` if only a person asks
    /// for it.
    pub every: Option<Check>,
    /// The time for which an old key lives on after the new one is live and verified in every key that reads it.
    pub overlap: Duration,
    /// The time for which a provider must have seen no use of an old key before it is revoked.
    pub idle: Duration,
    /// The way in which an old key is revoked.
    pub revoke: Revoke,
    /// The time between disabling a key and deleting it.
    pub cool_off: Duration,
    /// The provider's key that is live already and may be revoked after the next rotation.
    pub adopt: Option<ProviderKeyId>,
}

/// The way in which an old key is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoke {
    /// It is disabled, and deleted after the cool-off; deleted where the provider cannot disable keys.
    Disable,
    /// It is deleted.
    Delete,
    /// It is left to a person.
    None,
}

/// The record of a key's rotations: what was made at its provider, and what is to become of it.
///
/// It is a part of the key's [`Record`](super::Record), saved with it, and saved before each step that has an effect
/// at the provider or in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The provider that has the keys below.
    pub provider: ProviderId,
    /// The number of the last key that was given a name.
    pub number: u64,
    /// The provider's key whose value is live and verified, if it is known and was made or adopted here.
    pub current: Option<OwnKey>,
    /// The key that is to follow it.
    pub next: Option<NextKey>,
    /// The keys that are to be revoked, the oldest first.
    pub old: Vec<OldKey>,
    /// The live value whose key at the provider was looked for in vain.
    pub unknown: Option<Fingerprint>,
    /// The time at which a key was last deleted here. An earlier call about it, whose answer was lost, may have its
    /// effect after that, on whatever has its slot then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<DateTime<Utc>>,
    /// The time at which the source had a new key after more writes than one. An earlier one, whose answer was lost, may
    /// come after that, and in a source that does not compare replace whatever is there then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten_at: Option<DateTime<Utc>>,
    /// The time of the last wish that was taken down, by which the same one is known if it comes again: a request that a
    /// crash has cut off is carried out anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<DateTime<Utc>>,
    /// The rotation that a person has asked for and that is not over.
    pub command: Option<RotateCommand>,
    /// The reason why the next key is not made or does not become live, if there is one beside waiting.
    pub stuck: Option<Stuck>,
    /// The times of the last rotation.
    pub times: Times,
}

/// A provider's key that may be revoked by this program, because it was made or adopted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnKey {
    /// Its id.
    pub id: ProviderKeyId,
    /// The digest of its value.
    pub fingerprint: Fingerprint,
    /// `true` if it was made here, `false` if it was adopted.
    pub minted: bool,
}

/// A key that is to be the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum NextKey {
    /// It is being made; whether the provider has done so is not known.
    Minting {
        /// Its name.
        name: String,
        /// The slot that it takes, if the provider has slots.
        slot: Option<ProviderKeyId>,
        /// The keys that there were before.
        before: Vec<ProviderKeyId>,
        /// The version that the source had before; `None` if it had none.
        expected: Option<Version>,
        /// The time at which it was begun.
        at: DateTime<Utc>,
    },
    /// It was made, and is being stored; whether the source has it is not known. Its value is in memory alone.
    Minted {
        /// Its id.
        id: ProviderKeyId,
        /// The digest of its value.
        fingerprint: Fingerprint,
        /// The version that the source had before; `None` if it had none.
        expected: Option<Version>,
        /// A random UUID by which the source knows a repeated write.
        token: String,
        /// `true` if storing it has failed, so that a write may be on its way.
        #[serde(default)]
        doubtful: bool,
        /// The time at which it was made, or at which storing it was tried again.
        at: DateTime<Utc>,
    },
    /// The source has it in this version, which is delivered and verified as any other.
    Stored {
        /// Its id.
        id: ProviderKeyId,
        /// The digest of its value.
        fingerprint: Fingerprint,
        /// The version of the source that has its value.
        version: Version,
        /// The version that the source had before.
        expected: Option<Version>,
        /// The time at which it was stored.
        at: DateTime<Utc>,
    },
}

impl NextKey {
    /// Returns the time at which its stage was begun.
    pub fn at(&self) -> DateTime<Utc> {
        match self {
            Self::Minting { at, .. } | Self::Minted { at, .. } | Self::Stored { at, .. } => *at,
        }
    }

    /// Returns its id, once that is known.
    pub fn id(&self) -> Option<&ProviderKeyId> {
        match self {
            Self::Minting { .. } => None,
            Self::Minted { id, .. } | Self::Stored { id, .. } => Some(id),
        }
    }
}

/// A key that is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKey {
    /// The key.
    pub key: OwnKey,
    /// The time at which its successor was first seen live and verified everywhere.
    pub since: DateTime<Utc>,
    /// The time at which it was disabled, or may have been.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The time at which disabling it was begun, as long as it is not known whether the provider has done so, or may
    /// do so yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabling: Option<DateTime<Utc>>,
    /// `true` if it is to be revoked at once, whoever uses it.
    pub compromised: bool,
    /// `true` if it is to be revoked even if its successor does not work.
    pub even_if_broken: bool,
    /// The reason why it cannot be revoked, if there is one beside waiting.
    pub stuck: Option<Stuck>,
}

impl OldKey {
    /// Returns the time since which it is known to be disabled.
    pub fn disabled_since(&self) -> Option<DateTime<Utc>> {
        self.disabled_at.filter(|_| self.disabling.is_none())
    }
}

/// A rotation that a person has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateCommand {
    /// The old key is known to others: it is revoked as soon as the new one is live and verified.
    pub compromised: bool,
    /// The old key is revoked even if the new one does not work.
    pub even_if_broken: bool,
    /// The time at which it was asked for.
    pub at: DateTime<Utc>,
}

/// The reason why a rotation does not get on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The reason, for people; never a value.
    pub why: String,
    /// The time since which it is stuck for this reason.
    pub since: DateTime<Utc>,
    /// The number of tries so far.
    pub tries: u32,
    /// The time of the next try.
    pub next_at: DateTime<Utc>,
}

impl Stuck {
    /// The number of tries after which a reason is one for people: those before take some seconds.
    const LASTING: u32 = 4;

    /// Returns `true` if it will hardly get on by itself: it was tried some times.
    pub fn is_lasting(&self) -> bool {
        self.tries >= Self::LASTING
    }
}

/// An old key that is not kept track of any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedKey {
    /// Its id.
    pub id: ProviderKeyId,
    /// What became of it.
    pub fate: Fate,
    /// `true` if it was revoked at once, because others knew it.
    pub compromised: bool,
    /// The time at which it was disabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The time at which it was deleted or left.
    pub at: DateTime<Utc>,
}

/// What became of an old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was deleted, here or by others.
    Deleted,
    /// It is left as it is, to people.
    Left,
}

/// The times of a rotation, and what it was about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// What a person has asked for, if the rotation is, or was, its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<RotateCommand>,
    /// The provider's key that was live before, if it was made or adopted here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ProviderKeyId>,
    /// The old keys that have come to their end since it was begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedKey>,
    /// The time at which it was begun.
    pub started_at: Option<DateTime<Utc>>,
    /// The time at which the provider had made the key.
    pub minted_at: Option<DateTime<Utc>>,
    /// The time at which the source had it.
    pub stored_at: Option<DateTime<Utc>>,
    /// The time at which Flashback had accepted it.
    pub live_at: Option<DateTime<Utc>>,
    /// The time at which it was live and verified in every key that reads the secret.
    pub verified_at: Option<DateTime<Utc>>,
    /// The time at which the old key was disabled, or deleted where it cannot be disabled.
    pub revoked_at: Option<DateTime<Utc>>,
}
