//! The notes of checks that are not written yet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::model::{CheckNote, KeyId};

/// The notes of checks that are not written yet, at most one for each key. Clones share the notes.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<HashMap<KeyId, CheckNote>>>);

impl Notes {
    /// Leaves a note. Returns whether it is the first one since they were taken out.
    pub(super) fn leave(&self, key: &KeyId, note: CheckNote) -> bool {
        let mut notes = self.lock();
        let first = notes.is_empty();
        notes.insert(key.clone(), note);
        first
    }

    /// Takes out the note of one key.
    pub(super) fn take(&self, key: &KeyId) -> Option<CheckNote> {
        self.lock().remove(key)
    }

    /// Takes out all notes.
    pub(super) fn take_all(&self) -> HashMap<KeyId, CheckNote> {
        std::mem::take(&mut *self.lock())
    }

    /// Puts back notes that could not be written. One that was left since stays.
    pub(super) fn put_back(&self, notes: HashMap<KeyId, CheckNote>) {
        let mut current = self.lock();
        for (key, note) in notes {
            current.entry(key).or_insert(note);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, CheckNote>> {
        self.0.lock()
    }
}
