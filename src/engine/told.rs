//! What events have told about keys that were not checked since.

use std::collections::HashMap;
use std::fmt;

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

/// Something that waits for the end of a check. It is dropped then.
pub trait Waits: fmt::Debug + Send {
    /// Says that there will be no check here: another process has the key.
    fn give_back(self: Box<Self>);
}

/// Those that wait for a key's next check.
pub type Waiting = Vec<Box<dyn Waits>>;

/// What events have told, until the key's next check takes it. The latest word about a key replaces the one before.
#[derive(Debug, Default)]
pub struct Tellings(Mutex<HashMap<KeyId, (Told, Waiting)>>);

impl Tellings {
    /// Keeps what was told about a key for its next check. `waits` is dropped when that has ended.
    pub fn tell(&self, key: &KeyId, told: Told, waits: Option<Box<dyn Waits>>) {
        let mut tellings = self.0.lock();
        let (latest, waiting) = tellings.entry(key.clone()).or_default();
        *latest = told;
        waiting.extend(waits);
    }

    /// Forgets what was told about a key that another process has.
    pub fn forget(&self, key: &KeyId) {
        let forgotten = self.0.lock().remove(key);
        let waiting = forgotten.into_iter().flat_map(|(_, waiting)| waiting);
        waiting.for_each(Waits::give_back);
    }

    /// Takes what was told about a key, and those that wait for the check that takes it.
    pub(super) fn take(&self, key: &KeyId) -> Option<(Told, Waiting)> {
        self.0.lock().remove(key)
    }
}
