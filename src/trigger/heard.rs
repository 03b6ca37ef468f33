//! What a trigger hears.

use chrono::{DateTime, Utc};

use crate::model::Version;

/// A change that a trigger has heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The path of the secret, as a key's `path` may spell it: a source may have several names for one secret.
    pub paths: Vec<String>,
    /// The version that the secret has now, where it is told.
    pub version: Option<Version>,
    /// The time of the change according to the source.
    pub at: Option<DateTime<Utc>>,
    /// What to send along with the read, so that it is not answered from an older state of the source
    /// (`X-Vault-Index`).
    pub index: Option<String>,
    /// `true` if each replica hears of it by itself, so that it need not be handed on.
    pub everywhere: bool,
}

impl Heard {
    /// Returns a change of the secret at `path` of which nothing else is known.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            paths: vec![path.into()],
            version: None,
            at: None,
            index: None,
            everywhere: false,
        }
    }
}
