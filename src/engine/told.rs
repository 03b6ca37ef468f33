//! What events have told about keys that were not checked since.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::model::{KeyId, Version};

/// What an event has told about the secret of a key. It decides nothing: it says what is worth reading at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The version that the secret has.
    pub version: Option<Version>,
    /// The time of the change by the source's clock.
    pub at: Option<DateTime<Utc>>,
    /// What to send along with the read, so that the source does not answer from an older state.
    pub index: Option<String>,
}

/// What events have told, until the key's next check takes it. The latest word about a key replaces the one before.
#[derive(Debug, Default)]
pub struct Tellings(Mutex<HashMap<KeyId, Told>>);

impl Tellings {
    /// Keeps what was told about a key for its next check.
    pub fn tell(&self, key: &KeyId, told: Told) {
        self.0.lock().insert(key.clone(), told);
    }

    /// Takes what was told about a key.
    pub(super) fn take(&self, key: &KeyId) -> Option<Told> {
        self.0.lock().remove(key)
    }
}
