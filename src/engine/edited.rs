//! The keys with updates in Flashback that are to be evaluated.

use std::collections::HashSet;

use parking_lot::Mutex;

use crate::model::KeyId;

/// The keys with updates that are to be evaluated. The updates themselves are in the state, so that the next
/// process marks the keys again after a crash.
#[derive(Debug, Default)]
pub struct Edited(Mutex<HashSet<KeyId>>);

impl Edited {
    /// Marks some keys.
    pub fn mark(&self, keys: impl IntoIterator<Item = KeyId>) {
        self.0.lock().extend(keys);
    }

    /// Returns `true` if a key was marked, and takes the mark away.
    pub fn take(&self, key: &KeyId) -> bool {
        self.0.lock().remove(key)
    }
}
