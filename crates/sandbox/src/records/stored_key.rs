//! Stored provider keys, which several configurations can share.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::MASK;
use super::digests::Digests;

/// The optional texts that describe a stored key.
pub const DETAILS: &[&str] = &[
    "endpoint",
    "region",
    "tenantId",
    "subscriptionId",
    "description",
];

/// The uses of each provider's keys, as bits: 1 storage, 2 AI, 4 cloud. A provider that is missing here
/// counts as suitable for every use, so that no filter hides its keys.
const CAPABILITIES: &[(&str, u64)] = &[
    ("OPENAI", 2),
    ("ANTHROPIC", 2),
    ("OTHER", 2),
    ("S3", 1),
    ("BLOB", 1),
    ("GCS", 1),
];

/// A stored key.
#[derive(Clone)]
pub struct StoredKey {
    pub workspace_id: String,
    pub provider: String,
    pub digests: Digests,
    /// The [`DETAILS`] that were sent, by name.
    pub details: BTreeMap<&'static str, String>,
    pub writes: u64,
    pub created_at: DateTime<Utc>,
}

impl StoredKey {
    /// Returns `true` if the key is suitable for every use in `asked`.
    pub fn is_capable_of(&self, asked: u64) -> bool {
        let known = CAPABILITIES.iter().find(|(name, _)| *name == self.provider);
        known.is_none_or(|(_, bits)| bits & asked == asked)
    }

    /// Returns the key as the API lists it: without the secret, with the key masked, and only with details
    /// that were sent.
    pub fn listed(&self, id: &str, configurations: usize) -> Value {
        let details = self.details.iter();
        let mut listed: Map<String, Value> = details
            .map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())))
            .collect();
        for (name, value) in [
            ("id", json!(id)),
            ("key", json!(MASK)),
            ("provider", json!(self.provider)),
            (
                "createdAt",
                json!(self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            ),
            ("bucket_count", json!(0)),
            ("aillm_count", json!(configurations)),
        ] {
            listed.insert(name.to_owned(), value);
        }
        Value::Object(listed)
    }
}

/// A stored key, as the sandbox shows it to tests and on its control paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownKey {
    /// Its id.
    pub api_key_id: String,
    /// Its workspace.
    pub workspace_id: String,
    /// The provider.
    pub provider: String,
    /// The other fields as sent: `endpoint`, `region`, `tenantId`, `subscriptionId`, `description`.
    pub details: BTreeMap<&'static str, String>,
    /// The SHA-256 of its `key`.
    pub key_sha256: String,
    /// The SHA-256 of its `secret`.
    pub secret_sha256: String,
    /// The number of writes it has received, its creation included.
    pub writes: u64,
    /// The configurations that take their credentials from it.
    pub configurations: Vec<String>,
    /// The time at which it was created.
    pub created_at: DateTime<Utc>,
}

impl ShownKey {
    pub(super) fn new(api_key_id: String, it: &StoredKey, configurations: Vec<String>) -> Self {
        Self {
            api_key_id,
            workspace_id: it.workspace_id.clone(),
            provider: it.provider.clone(),
            details: it.details.clone(),
            key_sha256: it.digests.key.clone().unwrap_or_default(),
            secret_sha256: it.digests.secret.clone().unwrap_or_default(),
            writes: it.writes,
            configurations,
            created_at: it.created_at,
        }
    }

    /// Returns its description, if it has one.
    pub fn description(&self) -> Option<&str> {
        self.details.get("description").map(String::as_str)
    }
}
