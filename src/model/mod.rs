//! The nouns everything else speaks of: plain data, without I/O, clocks or secrets.
//!
//! Nothing here holds a secret value. What identifies one is its [`Version`] in the store and
//! its [`Fingerprint`](crate::secret::Fingerprint), a keyed digest.

mod change;
mod clock;
mod daemon;
mod edits;
mod lease;
mod notified;
mod record;
mod service;
mod target;
pub mod timeline;
mod verification;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::change::{Change, ChangeKind};
pub use self::clock::{is_ahead, is_over};
pub use self::daemon::{
    BEAT, ConfigurationReport, DaemonReport, Daemons, KnownDaemon, LastReport, Rejected,
};
pub use self::edits::{Edit, Edits};
pub use self::lease::{FencingToken, Lease, Repair, ReplicaId};
pub use self::notified::Notified;
pub use self::record::{
    CheckNote, Held, Intent, Live, Problem, ProblemKind, Record, Refusal, Shown, Stored, Told,
};
pub use self::service::{Outage, ServiceHealth, ServiceStatus};
pub use self::target::{Appearance, Listed, Target, TargetKind};
pub use self::timeline::{Mark, Timeline};
pub use self::verification::{Asked, Stage, Verdict, Verification, Verifier};

use crate::document::FieldMap;
use crate::secret::Fingerprint;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; the configuration has checked its form.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(Arc::from(text.as_ref()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

id! {
    /// The name of a `[keys.…]` table: what commands, logs and metrics call a key.
    KeyId
}
id! {
    /// The name of a `[sources.…]` table.
    SourceId
}
id! {
    /// The name of a `[notify.…]` table.
    ReceiverId
}
id! {
    /// The id Flashback gave what holds the credentials: an AI LLM configuration (`aiLlmId` in its
    /// API), or a stored key (`apiKeyId`).
    AiLlmId
}
id! {
    /// A Flashback workspace.
    WorkspaceId
}

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
    /// Amazon Bedrock: the credentials are a pair, access key id and secret access key.
    Aws,
    /// Anything else that speaks OpenAI's protocol.
    Other,
}

impl AiType {
    /// The name as the API spells it.
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

/// Which generation of a secret a store holds.
///
/// Opaque and compared for equality only: a store can be rolled back or re-created, so a version
/// has no order. What stands behind an `@` makes two versions of the same number differ (KV 2
/// numbers start again at 1 after a metadata delete) and is not shown to people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(Arc<str>);

impl Version {
    /// A version the store itself identifies, such as AWS's version id.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }

    /// A numbered version, told apart from an earlier life of the same number by `created`.
    pub fn numbered(number: u64, created: &str) -> Self {
        Self::new(format!("{number}@{created}"))
    }

    /// The version of a store that has none: the keyed digest of what it holds.
    pub fn of_fingerprint(fingerprint: &Fingerprint) -> Self {
        Self::new(format!(
            "fp-{}@{}",
            fingerprint.short(),
            fingerprint.to_hex()
        ))
    }

    /// The whole text, as the state store keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What people see: the part before the `@`.
    pub fn label(&self) -> &str {
        self.0.split('@').next().unwrap_or(&self.0)
    }

    /// The time a [numbered](Self::numbered) version was created.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.number()?;
        let (_, created) = self.0.split_once('@')?;
        let created = DateTime::parse_from_rfc3339(created).ok()?;
        Some(created.to_utc())
    }

    /// Whether this is the digest of what is stored, in a source that has no versions.
    pub fn is_fingerprint(&self) -> bool {
        self.label().starts_with("fp-")
    }

    /// The number of a [numbered](Self::numbered) version.
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

/// What a look at a store found. Never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A version that can be read.
    Present {
        /// Which one.
        version: Version,
        /// When the store says it was written; `propagation_seconds` starts there.
        written_at: Option<DateTime<Utc>>,
    },
    /// Nothing that could be pushed. The live key stays as it is.
    Missing(Missing),
}

/// Why a store has nothing to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// No secret at that path.
    NotFound,
    /// The latest version was deleted (it may be undeleted).
    Deleted,
    /// The latest version was destroyed.
    Destroyed,
    /// The secret exists but holds no value yet: the middle of a rotation.
    NoValueYet,
}

impl Missing {
    /// A clause for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotFound => "the store has no secret at this path",
            Self::Deleted => "the latest version is deleted in the store",
            Self::Destroyed => "the latest version is destroyed in the store",
            Self::NoValueYet => "the store holds no value yet",
        }
    }
}

/// Where a key's value is taken from. Versions of one origin can be compared; a version of another
/// says nothing, even if it is called the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The source.
    pub source: SourceId,
    /// Where in the source.
    pub path: String,
    /// Which fields are the credentials.
    pub fields: FieldMap,
}

/// What a key's configuration in Flashback should look like, besides its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// Where it lives. A configuration cannot move between workspaces.
    pub workspace_id: WorkspaceId,
    /// Unique in the workspace. Of a stored key it is the description, or the key's id where that one
    /// is known by its own id.
    pub name: String,
    /// The provider.
    pub ai_type: AiType,
    /// The provider's base URL.
    pub endpoint: String,
    /// The configuration or stored key that holds the credentials.
    #[serde(default, skip_serializing_if = "Target::is_configuration")]
    pub target: Target,
}

/// What is done to Flashback, in the words of `plan` and `sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `POST /ai/llm`.
    Create,
    /// `PUT /ai/llm/{id}` on the configuration on record.
    Update,
    /// `PUT` on one that was there under the key's name.
    Adopt,
    /// Nothing: it is in step.
    None,
    /// Nothing: the version is held.
    Hold,
    /// Nothing could be decided or done.
    Error,
}

impl Action {
    /// The word used in JSON, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::None => "none",
            Self::Hold => "hold",
            Self::Error => "error",
        }
    }
}

/// What somebody wants done, beyond what is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyCommand {
    /// Nothing.
    #[default]
    None,
    /// Push, changed, refused and held or not.
    Force,
    /// Put the previous version back and hold the newest.
    RollBack,
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The key.
    pub key: KeyId,
    /// The store it comes from.
    pub source: SourceId,
    /// Flashback's name for it at the time.
    pub name: String,
    /// The configuration written.
    pub ai_llm_id: Option<AiLlmId>,
    /// What was live before.
    pub previous_version: Option<Version>,
    /// What was written.
    pub version: Version,
    /// How.
    pub action: Action,
    /// Whether it worked.
    pub outcome: Outcome,
    /// From the first request to the answer.
    pub elapsed: Duration,
    /// What confirmed that the key works, where anything did.
    pub verified_by: Option<String>,
    /// Why it was done.
    pub reason: String,
    /// What went wrong; never a value.
    pub error: Option<String>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Flashback has it.
    Succeeded,
    /// Flashback has it not.
    Failed,
}

impl Outcome {
    /// The word used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
