//! The names of what is configured, and of what Flashback has.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                Arc::clone(&id.0)
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
    /// The name of a `[discover.…]` table.
    RuleId
}
id! {
    /// The name of a `[providers.…]` table.
    ProviderId
}
id! {
    /// The id that a provider gave one of its keys: an access key id, a hash, the name of a slot; never a value.
    ProviderKeyId
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
