//! The changes that the rotator makes to a key in Flashback, and at its provider.

use chrono::{DateTime, Utc};

use super::{AiLlmId, KeyId, SourceId, Version, WorkspaceId};

/// Something that was done to a key, for receivers of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of change.
    pub kind: ChangeKind,
    /// The time at which it was done.
    pub at: DateTime<Utc>,
    /// The key.
    pub key: KeyId,
    /// The key's source.
    pub source: SourceId,
    /// The key's name in Flashback.
    pub name: String,
    /// The key's workspace.
    pub workspace_id: WorkspaceId,
    /// The configuration or stored key that holds it in Flashback.
    pub ai_llm_id: Option<AiLlmId>,
    /// The version that is live now.
    pub version: Option<Version>,
    /// The version that was live before.
    pub previous_version: Option<Version>,
    /// The reason, if there is one; never a value.
    pub reason: Option<String>,
}

/// The kinds of [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A new value is live.
    Rotated,
    /// The previous version is live again.
    RolledBack,
    /// A change by another user was undone.
    DriftRepaired,
    /// An old key was disabled or deleted at its provider.
    OldKeyRevoked,
}
