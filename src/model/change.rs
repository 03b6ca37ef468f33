//! Changes to a key in Flashback.

use chrono::{DateTime, Utc};

use super::{AiLlmId, KeyId, SourceId, Version, WorkspaceId};

/// A change that the rotator made to a key in Flashback, for notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The time at which it was made.
    pub at: DateTime<Utc>,
    /// The key.
    pub key: KeyId,
    /// The key's source.
    pub source: SourceId,
    /// The key's name in Flashback.
    pub name: String,
    /// The key's workspace.
    pub workspace_id: WorkspaceId,
    /// The id of the configuration or stored key that holds the credentials in Flashback.
    pub ai_llm_id: Option<AiLlmId>,
    /// The version that is live now.
    pub version: Option<Version>,
    /// The version that was live before.
    pub previous_version: Option<Version>,
    /// The reason, if there is more to say; never a secret value.
    pub reason: Option<String>,
}

/// The kinds of [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Another value is live.
    Rotated,
    /// The previous version is back.
    RolledBack,
    /// A change that others had made was undone.
    DriftRepaired,
}
