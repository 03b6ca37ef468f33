//! The basic types of the program: plain data, without I/O, clocks or secrets.
//!
//! No type here holds a secret value. A value is identified by its [`Version`] in the source and by its
//! [`Fingerprint`], a keyed digest.

mod change;
mod check;
mod clock;
mod command;
mod daemon;
mod discovered;
mod edits;
mod history;
mod ids;
mod key;
mod lease;
mod notified;
mod provider;
mod record;
mod rotation;
mod service;
mod stored;
mod target;
pub mod timeline;
mod verification;
mod verify;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::change::{Change, ChangeKind};
pub use self::check::{Check, CronLine};
pub use self::clock::{is_ahead, is_over};
pub use self::command::KeyCommand;
pub use self::daemon::{
    BEAT, ConfigurationReport, DaemonReport, Daemons, KnownDaemon, LastReport, Rejected,
};
pub use self::discovered::{Discovered, DiscoveredSecret, RuleReport};
pub use self::edits::{Edit, Edits};
pub use self::history::{Action, HistoryRow, Outcome};
pub use self::ids::{
    AiLlmId, KeyId, ProviderId, ProviderKeyId, ReceiverId, RuleId, SourceId, WorkspaceId,
};
pub use self::key::KeyConfig;
pub use self::lease::{FencingToken, LATE_WRITE, LONGEST_LEASE, Lease, Repair, ReplicaId};
pub use self::notified::Notified;
pub use self::provider::{Abilities, IssuedKey, LastUse};
pub use self::record::{
    Acknowledged, CheckNote, Held, Intent, Live, Problem, ProblemKind, Record, Refusal, Shown,
};
pub use self::rotation::{
    EndedKey, Fate, NextKey, OldKey, OwnKey, Revoke, RotateCommand, RotateConfig, Rotation, Stuck,
    Times,
};
pub use self::service::{EventsHealth, Outage, ServiceHealth, ServiceStatus};
pub use self::stored::Stored;
pub use self::target::{Appearance, Listed, Target, TargetKind};
pub use self::timeline::{Mark, Timeline};
pub use self::verification::{Asked, Stage, Verdict, Verification, Verifier};
pub use self::verify::VerifyConfig;

use crate::document::FieldMap;
use crate::secret::Fingerprint;

/// The provider kinds Flashback's API knows (`AiType` in its schema).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AiType {
    /// OpenAI.
    Openai,
    /// Google Gemini.
    Google,
    /// Anthropic.
    Anthropic,
    /// Amazon Bedrock. Its credentials are a pair: access key id and secret access key.
    Aws,
    /// Any other provider with an OpenAI-compatible API.
    Other,
}

impl AiType {
    /// Every provider.
    pub const ALL: [Self; 5] = [
        Self::Openai,
        Self::Google,
        Self::Anthropic,
        Self::Aws,
        Self::Other,
    ];

    /// Returns the name as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI",
            Self::Google => "GOOGLE",
            Self::Anthropic => "ANTHROPIC",
            Self::Aws => "AWS",
            Self::Other => "OTHER",
        }
    }
}

/// The version of a secret in its source.
///
/// Versions are opaque and compared for equality only: a source can be rolled back or re-created, so they
/// have no order. The part after an `@` tells apart two versions with the same number (KV 2 numbers start
/// again at 1 after a metadata delete) and is not shown to people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(Arc<str>);

impl Version {
    /// Returns a version that the source itself identifies, such as AWS's version id.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }

    /// Returns a numbered version. `created` tells it apart from an earlier version with the same number.
    pub fn numbered(number: u64, created: &str) -> Self {
        Self::new(format!("{number}@{created}"))
    }

    /// Returns the version for a source without versions: the keyed digest of the value.
    pub fn of_fingerprint(fingerprint: &Fingerprint) -> Self {
        Self::new(format!(
            "fp-{}@{}",
            fingerprint.short(),
            fingerprint.to_hex()
        ))
    }

    /// Returns the whole text, as kept in the state.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part before the `@`, which is shown to people.
    pub fn label(&self) -> &str {
        self.0.split('@').next().unwrap_or(&self.0)
    }

    /// Returns the time at which a [numbered](Self::numbered) version was created.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.number()?;
        let (_, created) = self.0.split_once('@')?;
        let created = DateTime::parse_from_rfc3339(created).ok()?;
        Some(created.to_utc())
    }

    /// Returns `true` if this is the digest of a value, from a source without versions.
    pub fn is_fingerprint(&self) -> bool {
        self.label().starts_with("fp-")
    }

    /// Returns the number of a [numbered](Self::numbered) version.
    pub fn number(&self) -> Option<u64> {
        self.label().parse().ok()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", &*self.0)
    }
}

/// The result of asking a source for a key's version. It never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// There is a version that can be read.
    Present {
        /// The version.
        version: Version,
        /// The time at which it was written, according to the source; `propagation_seconds` starts there.
        written_at: Option<DateTime<Utc>>,
    },
    /// There is nothing that could be pushed. The live key stays as it is.
    Missing(Missing),
}

/// The reason why a source has nothing to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// There is no secret at the path.
    NotFound,
    /// The latest version was deleted (it may be undeleted).
    Deleted,
    /// The latest version was destroyed.
    Destroyed,
    /// The secret exists but has no value yet, in the middle of a rotation.
    NoValueYet,
}

impl Missing {
    /// Returns the reason as a clause for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotFound => "the store has no secret at this path",
            Self::Deleted => "the latest version is deleted in the store",
            Self::Destroyed => "the latest version is destroyed in the store",
            Self::NoValueYet => "the store holds no value yet",
        }
    }
}

/// The place a key's value is read from. Versions can be compared only if their origins are equal; the same
/// version of another origin may be another value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The source.
    pub source: SourceId,
    /// The path in the source.
    pub path: String,
    /// The fields that hold the credentials.
    pub fields: FieldMap,
}

/// The desired settings of a key's configuration in Flashback, without its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// The workspace. A configuration cannot move to another one.
    pub workspace_id: WorkspaceId,
    /// The name, unique in the workspace. For a stored key it is the description, or the key's id if the
    /// stored key is configured by its own id.
    pub name: String,
    /// The provider.
    pub ai_type: AiType,
    /// The provider's base URL.
    pub endpoint: String,
    /// The configuration or stored key that holds the credentials.
    #[serde(default, skip_serializing_if = "Target::is_configuration")]
    pub target: Target,
}
