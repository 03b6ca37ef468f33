//! The keys that have updates in Flashback to look into.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::model::KeyId;

/// The keys that have updates to look into, as far as this process knows. The state has the updates
/// themselves: a mark that is lost with the process is set again by the next one.
#[derive(Debug, Default)]
pub struct Edited(Mutex<HashSet<KeyId>>);

impl Edited {
    /// Marks some keys.
    pub fn mark(&self, keys: impl IntoIterator<Item = KeyId>) {
        self.lock().extend(keys);
    }

    /// Returns whether a key was marked, and takes the mark away.
    pub fn take(&self, key: &KeyId) -> bool {
        self.lock().remove(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<KeyId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
