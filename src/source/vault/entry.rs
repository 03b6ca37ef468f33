//! A version of a secret in KV 2, as the server gives it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::kv2::responses::SecretVersionMetadata;

use crate::document::Document;
use crate::model::{Missing, Version};
use crate::source::contract::SourceError;
use crate::words;

/// The envelope of every answer. Its other fields are not read.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub data: Option<T>,
}

/// A version in KV 2. `data` is null where it is deleted or destroyed.
#[derive(Deserialize)]
pub(super) struct VersionedData {
    data: Option<Map<String, Value>>,
    metadata: SecretVersionMetadata,
}

/// A version in KV 2 whose data is wiped from memory when it is dropped.
pub(super) struct Entry {
    pub document: Option<Document>,
    pub metadata: SecretVersionMetadata,
}

impl From<VersionedData> for Entry {
    fn from(version: VersionedData) -> Self {
        Self {
            document: version.data.map(Document::from_fields),
            metadata: version.metadata,
        }
    }
}

impl Entry {
    pub fn version(&self) -> Result<Version, SourceError> {
        version(self.metadata.version, &self.metadata.created_time)
    }

    pub fn created_at(&self) -> Result<DateTime<Utc>, SourceError> {
        time(&self.metadata.created_time)
    }

    /// Returns the data, or why there is none.
    pub fn data(self) -> Result<Document, Missing> {
        let missing = match self.metadata.destroyed {
            true => Missing::Destroyed,
            false => Missing::Deleted,
        };
        self.document.ok_or(missing)
    }
}

/// The result of requesting one version.
pub(super) enum Found {
    /// The version, with or without its data.
    Version(Entry),
    /// No such version or no such secret, which give the same answer.
    Nothing(Missing),
}

/// Returns the version with this number. Its time of creation distinguishes it and must be valid.
pub fn version(number: u64, created: &str) -> Result<Version, SourceError> {
    time(created).map(|_| Version::numbered(number, created))
}

/// Parses a time. Its length is limited, because a fraction of a second may have any number of digits.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, SourceError> {
    if let Some(length) = words::too_long(text) {
        return Err(incomplete(&format!("a time in it has {length} characters")));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| incomplete("a time in it is not RFC 3339"))
}

/// Returns the error for an answer that is not of KV.
pub(super) fn incomplete(what: &str) -> SourceError {
    SourceError::Protocol {
        what: format!("the answer is not KV's: {what}"),
        status: "malformed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_too_long_to_keep_is_refused_by_its_length() {
        let created = format!("2026-01-01T00:00:00.{}Z", "1".repeat(70_000));
        let error = version(1, &created).expect_err("refused").to_string();
        assert!(error.contains("70021"), "{error}");
        assert!(error.len() < 200, "{error}");
    }
}
