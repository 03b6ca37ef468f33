//! The keys of a fake.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, Utc};

/// A key that a fake has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeKey {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `false` if it is disabled.
    pub active: bool,
    /// The time at which it was made, in whole seconds.
    pub created_at: DateTime<Utc>,
    /// The time at which it was last used, in whole seconds.
    pub last_used: Option<DateTime<Utc>>,
}

impl FakeKey {
    /// Returns its value with the middle left out: so many characters of its beginning, `mask`, and its last four.
    pub fn masked(&self, head: usize, mask: &str) -> String {
        let tail = self.value.len() - 4;
        format!("{}{mask}{}", &self.value[..head], &self.value[tail..])
    }
}

/// The keys of a fake.
#[derive(Debug, Default)]
pub struct Keys {
    /// The most keys there may be.
    pub limit: Option<usize>,
    /// The ids of keys that lists do not show.
    pub hidden: BTreeSet<String>,
    made: u64,
    there: Vec<FakeKey>,
    lag: usize,
    /// What lists show, and how often still.
    stale: Option<(Vec<FakeKey>, usize)>,
}

impl Keys {
    /// Returns every key, in the order in which they were made.
    pub fn all(&self) -> &[FakeKey] {
        &self.there
    }

    /// Returns the keys as a list shows them, which may lag behind. Each call is one answer.
    pub fn listed(&mut self) -> Vec<FakeKey> {
        let mut listed = match &mut self.stale {
            Some((old, left)) if *left > 0 => {
                *left -= 1;
                old.clone()
            }
            _ => self.there.clone(),
        };
        listed.retain(|key| !self.hidden.contains(&key.id));
        listed
    }

    /// Returns `true` if there may be no more.
    pub fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.there.len() >= limit)
    }

    /// Makes a key of a random value that begins so.
    pub fn mint(&mut self, name: &str, prefix: &str) -> FakeKey {
        let [one, other]: [u128; 2] = rand::random();
        self.add(name, &format!("{prefix}canary{one:032x}{other:032x}"))
    }

    /// Makes a key of this value.
    pub fn add(&mut self, name: &str, value: &str) -> FakeKey {
        self.changes();
        self.made += 1;
        let key = FakeKey {
            id: format!("key_{:04}", self.made),
            name: name.to_owned(),
            value: value.to_owned(),
            active: true,
            created_at: Utc::now().trunc_subsecs(0),
            last_used: None,
        };
        self.there.push(key.clone());
        key
    }

    /// Returns a key.
    pub fn get(&self, id: &str) -> Option<&FakeKey> {
        self.there.iter().find(|key| key.id == id)
    }

    /// Changes a key, and returns what it is then; `None` if there is none.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut FakeKey)) -> Option<FakeKey> {
        self.changes();
        let key = self.there.iter_mut().find(|key| key.id == id)?;
        change(key);
        Some(key.clone())
    }

    /// Removes a key for good. Returns `false` if there was none.
    pub fn remove(&mut self, id: &str) -> bool {
        self.changes();
        let before = self.there.len();
        self.there.retain(|key| key.id != id);
        self.there.len() < before
    }

    /// Uses a key. Returns `false` if a caller with this value is not served.
    pub fn used(&mut self, value: &str, at: DateTime<Utc>) -> bool {
        let mut keys = self.there.iter_mut();
        let found = keys.find(|key| key.active && key.value == value);
        let is_served = found.is_some();
        if let Some(key) = found {
            key.last_used = Some(at.trunc_subsecs(0));
        }
        is_served
    }

    /// Has each change be hidden from so many lists after it.
    pub fn lag(&mut self, answers: usize) {
        self.lag = answers;
    }

    fn changes(&mut self) {
        if self.lag > 0 {
            self.stale = Some((self.there.clone(), self.lag));
        }
    }
}
