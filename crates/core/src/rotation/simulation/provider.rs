//! The provider: keys, lists that lag, and what it tells of their use.

use super::*;
use crate::model::{IssuedKey, LastUse};

/// A key at the provider.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct IssuedHere {
    pub(super) id: ProviderKeyId,
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) by: Maker,
    pub(super) created_at: DateTime<Utc>,
    pub(super) active: bool,
    /// The time since which it is not active.
    pub(super) disabled_at: Option<DateTime<Utc>>,
    pub(super) used_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// It was there at first.
    First,
    Rotator,
    Other,
}

/// How truly the provider tells when a key was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    Truth,
    /// In the list already.
    Listed,
    Future,
    Never,
    Stale,
}

impl Simulation {
    /// Makes a key, and returns its value.
    pub(super) fn issue(&mut self, name: &str, by: Maker) -> Value {
        self.made += 1;
        self.values += 1;
        self.issued.insert(self.values);
        self.keys.push(IssuedHere {
            id: ProviderKeyId::new(format!("id-{}", self.made)),
            name: name.to_owned(),
            value: self.values,
            by,
            created_at: self.now,
            active: true,
            disabled_at: None,
            used_at: None,
        });
        self.show();
        self.values
    }

    /// Gives a slot another value.
    pub(super) fn regenerate(
        &mut self,
        id: &ProviderKeyId,
        name: &str,
        by: Maker,
    ) -> Option<Value> {
        self.values += 1;
        self.issued.insert(self.values);
        let (value, now) = (self.values, self.now);
        let key = self.keys.iter_mut().find(|key| key.id == *id)?;
        *key = IssuedHere {
            id: id.clone(),
            name: name.to_owned(),
            value,
            by,
            created_at: now,
            active: true,
            disabled_at: None,
            used_at: None,
        };
        self.show();
        Some(value)
    }

    pub(super) fn delete(&mut self, id: &ProviderKeyId) {
        if self.setting.abilities.slots {
            // Whose slot it is does not change by that.
            let by = self.keys.iter().find(|key| key.id == *id).map(|key| key.by);
            self.regenerate(id, "nobody's", by.unwrap_or(Maker::First));
        } else {
            self.keys.retain(|key| key.id != *id);
            self.show();
        }
    }

    /// Returns `false` if there is no such key.
    pub(super) fn set_active(&mut self, id: &ProviderKeyId, active: bool) -> bool {
        let Some(key) = self.keys.iter_mut().find(|key| key.id == *id) else {
            return false;
        };
        key.active = active;
        let since = key.disabled_at.unwrap_or(self.now);
        key.disabled_at = (!active).then_some(since);
        self.show();
        true
    }

    fn show(&mut self) {
        self.shown.push((self.now, self.keys.clone()));
    }

    pub(super) fn key_of(&self, value: Value) -> Option<&IssuedHere> {
        self.keys.iter().find(|key| key.value == value)
    }

    /// Returns `true` if a value works. A fresh one does not yet.
    pub(super) fn works(&self, value: Value) -> bool {
        let fresh = self.now - TimeDelta::seconds(4);
        self.key_of(value)
            .is_some_and(|key| key.active && key.created_at <= fresh)
    }

    /// Returns the keys that there were so many seconds ago.
    pub(super) fn shown_before(&self, lag: i64) -> &[IssuedHere] {
        let at = self.now - TimeDelta::seconds(lag);
        let shown = self.shown.iter().rev().find(|(since, _)| *since <= at);
        shown.map_or(&[], |(_, keys)| keys)
    }

    /// Returns the list as it was so many seconds ago.
    pub(super) fn list(&self, lag: i64) -> Vec<IssuedKey> {
        let in_list = self.setting.abilities.last_use && self.setting.telling == Telling::Listed;
        let issued = |key: &IssuedHere| IssuedKey {
            id: key.id.clone(),
            name: self.setting.abilities.names.then(|| key.name.clone()),
            created_at: Some(key.created_at),
            active: key.active,
            last_use: match in_list {
                true => self.last_use(&key.id),
                false => LastUse::Unknown,
            },
            redacted: None,
        };
        self.shown_before(lag).iter().map(issued).collect()
    }

    pub(super) fn last_use(&self, id: &ProviderKeyId) -> LastUse {
        let used = self
            .keys
            .iter()
            .find(|key| key.id == *id)
            .and_then(|key| key.used_at);
        let told = used.map_or(LastUse::Never, LastUse::At);
        match self.setting.telling {
            Telling::Truth | Telling::Listed => told,
            Telling::Future => LastUse::At(self.now + TimeDelta::days(1)),
            Telling::Never => LastUse::Never,
            Telling::Stale => used.map_or(LastUse::Never, |used| {
                LastUse::At(used - TimeDelta::hours(2))
            }),
        }
    }

    pub(super) fn use_key(&mut self, value: Value) {
        let now = self.now;
        if let Some(key) = self
            .keys
            .iter_mut()
            .find(|key| key.value == value && key.active)
        {
            key.used_at = Some(now);
        }
    }

    /// Everybody uses what Flashback has.
    pub(super) fn traffic(&mut self) {
        for value in self
            .readers
            .iter()
            .map(|reader| reader.live)
            .collect::<Vec<_>>()
        {
            self.use_key(value);
        }
    }
}
