//! What is written back into a source.

use crate::document::FieldMap;
use crate::model::Version;
use crate::secret::Credentials;

/// New credentials for a secret.
#[derive(Debug)]
pub struct Replacement<'a> {
    /// The newest version that the secret must have; `None` if there must be no such secret, or none with a value.
    pub expected: Option<&'a Version>,
    /// The fields that hold the credentials. Without names, they are the only field, or the whole text.
    pub fields: &'a FieldMap,
    /// The new credentials.
    pub credentials: &'a Credentials,
    /// A UUID by which a repeated write is known.
    pub token: &'a str,
}

/// The result of writing a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It was written, as this version.
    Stored(Version),
    /// The newest version is not the one that was expected, so nothing was written.
    Conflict,
}
