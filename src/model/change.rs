//! What happened to a key in Flashback.

use chrono::{DateTime, Utc};

use super::{AiLlmId, KeyId, SourceId, Version, WorkspaceId};

/// Something that was done to a key in Flashback, for those who want to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was done.
    pub kind: ChangeKind,
    /// When.
    pub at: DateTime<Utc>,
    /// To which key.
    pub key: KeyId,
    /// Its source.
    pub source: SourceId,
    /// Its name in Flashback.
    pub name: String,
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// What holds it in Flashback.
    pub ai_llm_id: Option<AiLlmId>,
    /// The version that is live now.
    pub version: Option<Version>,
    /// The version that was live before.
    pub previous_version: Option<Version>,
    /// Why, where there is more to say; never a value.
    pub reason: Option<String>,
}

/// The kinds of [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Another value is live.
    Rotated,
    /// The previous version is back.
    RolledBack,
    /// What somebody else had changed was put right.
    DriftRepaired,
}
