//! What was done, and what came of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AiLlmId, KeyId, SourceId, Version};

/// An action in Flashback, in the words of `plan` and `sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `POST /ai/llm`.
    Create,
    /// `PUT /ai/llm/{id}` on the configuration on record.
    Update,
    /// `PUT` on an existing configuration with the key's name.
    Adopt,
    /// `DELETE /ai/llm/{id}`: what discovery created for a secret that is gone.
    Delete,
    /// A key was made at its provider.
    Mint,
    /// A key that was made was written into its source.
    Store,
    /// An old key was disabled at its provider.
    Disable,
    /// A disabled key was enabled again.
    Enable,
    /// A key was deleted at its provider.
    Revoke,
    /// No action: Flashback is up to date.
    None,
    /// No action: the version is held.
    Hold,
    /// No action: an error prevented the decision or the action.
    Error,
}

impl Action {
    /// Returns the word used in JSON, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Delete => "delete",
            Self::Mint => "mint",
            Self::Store => "store",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Revoke => "revoke",
            Self::None => "none",
            Self::Hold => "hold",
            Self::Error => "error",
        }
    }
}

/// One row of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The time at which the action ended.
    pub at: DateTime<Utc>,
    /// The key.
    pub key: KeyId,
    /// The key's source.
    pub source: SourceId,
    /// The key's name in Flashback at the time.
    pub name: String,
    /// The configuration or stored key that was written.
    pub ai_llm_id: Option<AiLlmId>,
    /// The version that was live before.
    pub previous_version: Option<Version>,
    /// The version that was written.
    pub version: Version,
    /// The action.
    pub action: Action,
    /// The outcome.
    pub outcome: Outcome,
    /// The time from the first request to the answer.
    pub elapsed: Duration,
    /// The check that confirmed that the key works, if any did.
    pub verified_by: Option<String>,
    /// The reason for the action.
    pub reason: String,
    /// The error, if it failed; never a secret value.
    pub error: Option<String>,
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Flashback accepted it.
    Succeeded,
    /// Flashback did not accept it.
    Failed,
}

impl Outcome {
    /// Returns the word used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
