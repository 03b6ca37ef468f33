//! All that is known when a step of a rotation is decided.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::proof::Proof;
use crate::model::{
    Abilities, IssuedKey, LastUse, ProviderKeyId, RotateCommand, RotateConfig, Rotation, Version,
};
use crate::secret::Fingerprint;

/// All that is known when a step is decided. What a question of this pass has brought to light is `Some`, until a step
/// has an effect at the provider or in the source.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The time. No answer below is older.
    pub now: DateTime<Utc>,
    /// How the key is rotated.
    pub rotate: &'a RotateConfig,
    /// What its provider can do.
    pub abilities: Abilities,
    /// The record.
    pub rotation: &'a Rotation,
    /// What is live.
    pub proof: &'a Proof,
    /// The version that the source had at the last check.
    pub seen: Option<&'a Version>,
    /// A version that is held, because it does not work or a person wants it so.
    pub held: Option<&'a Version>,
    /// The time at which the next rotation is due; `None` if only a person asks for one.
    pub due_at: Option<DateTime<Utc>>,
    /// The time after which a call whose answer was lost has had its effect, or never will, counted from what was saved
    /// before it; and after which the provider's list shows it.
    pub doubt: Duration,
    /// `true` if the value of the key that is `Minted` is in memory, and not that of another one.
    pub has_value: bool,
    /// The name of the next key that is made.
    pub name: &'a str,
    /// The provider's keys.
    pub list: Option<&'a [IssuedKey]>,
    /// The provider's key that has the live value, if it was asked for and there is one.
    pub found: Option<Option<&'a ProviderKeyId>>,
    /// What the source has now.
    pub newest: Option<&'a Newest>,
    /// The last use of each key that was asked for.
    pub last_uses: &'a [(ProviderKeyId, LastUse)],
}

/// What a source has now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// The newest version; `None` if there is none.
    pub version: Option<Version>,
    /// The digest of the credentials in it, if it can be read as some.
    pub fingerprint: Option<Fingerprint>,
}

impl<'a> Situation<'a> {
    /// Returns the provider's key of this id, if it was listed.
    pub(super) fn listed(&self, id: &ProviderKeyId) -> Option<&'a IssuedKey> {
        self.list?.iter().find(|key| key.id == *id)
    }

    /// Returns the rotation that a person has asked for and that was not begun yet.
    pub(super) fn asked(&self) -> Option<&'a RotateCommand> {
        let begun = self.rotation.times.started_at;
        let command = self.rotation.command.as_ref()?;
        begun
            .is_none_or(|begun| begun < command.at)
            .then_some(command)
    }

    /// Returns what is known of the last use of a key: what was asked, or else what the list says.
    pub(super) fn used(&self, key: &IssuedKey) -> LastUse {
        let asked = self.last_uses.iter().find(|(id, _)| *id == key.id);
        asked.map_or(key.last_use, |(_, last_use)| *last_use)
    }

    /// Returns `true` if the last use of a key can be asked for and was not yet.
    pub(super) fn may_ask_use(&self, key: &IssuedKey) -> bool {
        let asked = self.last_uses.iter().any(|(id, _)| *id == key.id);
        self.abilities.last_use && !asked && key.last_use == LastUse::Unknown
    }

    /// Returns `true` if a call may be made that is on record as begun at `at`. Later the record has to say so anew.
    pub(super) fn is_fresh(&self, at: DateTime<Utc>) -> bool {
        self.now < at + self.doubt
    }

    /// Returns the time after which a call that is on record as begun at `at` has no effect any more.
    pub(super) fn settled_at(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        at + self.doubt * 2
    }

    /// Returns the listed key that the configuration names as the one that is live before the first rotation.
    pub(super) fn told(&self) -> Option<&'a ProviderKeyId> {
        let is_first = self.rotation.number == 0 && self.rotation.current.is_none();
        let told = self.rotate.adopt.as_ref().filter(|_| is_first);
        // What was an old key once is not the live one, though the configuration names it still.
        let is_over = |told: &ProviderKeyId| {
            let mut ended = self.rotation.times.ended.iter();
            self.rotation.knows(told) || ended.any(|ended| ended.id == *told)
        };
        told.filter(|told| !is_over(told) && self.listed(told).is_some())
    }
}
