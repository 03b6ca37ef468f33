//! The configuration or stored key that holds a key's credentials, and its appearance in Flashback's lists.

use serde::{Deserialize, Serialize};

use super::AiLlmId;

/// The kind of thing in Flashback that holds a key's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An AI LLM configuration with credentials of its own.
    #[default]
    Configuration,
    /// A stored key (`/apikeys` in the API), from which configurations take their credentials.
    StoredKey {
        /// Its id; `None` if it is found by its description, which is then the name in the settings.
        id: Option<AiLlmId>,
    },
}

impl Target {
    /// Returns the kind, which is also the list of a workspace that shows it.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Configuration => TargetKind::Configuration,
            Self::StoredKey { .. } => TargetKind::StoredKey,
        }
    }

    /// Returns `true` if it is an AI LLM configuration.
    pub fn is_configuration(&self) -> bool {
        *self == Self::Configuration
    }
}

/// A kind of [`Target`]. Each workspace has a list of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// `GET /ai/llm`.
    Configuration,
    /// `GET /apikeys`.
    StoredKey,
}

impl TargetKind {
    /// Returns the noun for people.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::StoredKey => "stored key",
        }
    }
}

/// An entry of one of Flashback's lists. It holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: AiLlmId,
    /// Its appearance.
    pub appearance: Appearance,
}

/// The appearance of an entry in a list. Only the name is required: a field that is absent, `null` or not of the type
/// in the API's reference is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appearance {
    /// The name; for a stored key, the description.
    pub name: String,
    /// The provider, as text: the platform can add types that this program does not know.
    pub ai_type: Option<String>,
    /// The provider's base URL.
    pub endpoint: Option<String>,
    /// The stored key that the configuration takes its credentials from.
    pub stored_key: Option<AiLlmId>,
}
