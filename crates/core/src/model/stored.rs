//! Which value a source keeps.

use serde::{Deserialize, Serialize};

use super::{Origin, Version};
use crate::secret::Fingerprint;

/// A value, by its digest and by where a source keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The version.
    pub version: Version,
    /// The keyed digest of the credentials.
    pub fingerprint: Fingerprint,
    /// The source, path and fields that they are read from.
    pub origin: Origin,
}

impl Stored {
    /// Returns `true` if it is this version of that origin.
    pub fn is(&self, version: &Version, origin: &Origin) -> bool {
        self.version == *version && self.origin == *origin
    }
}
