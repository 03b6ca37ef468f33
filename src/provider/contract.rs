//! The contract of a provider: its operations, their results and their errors.
//!
//! A provider makes and revokes keys when it is told to. It decides nothing. Every implementation of [`Provider`] keeps
//! these rules:
//!
//! - It calls the provider's administrative API with the credential of its table, which is fetched for each call and
//!   wiped after it.
//! - Every call goes through the [`Upstream`](crate::upstream::Upstream) that it was built with. Building calls nothing.
//! - [`disable`](Provider::disable), [`enable`](Provider::enable) and [`delete`](Provider::delete) may be repeated: a key
//!   that is so already, and for `delete` one that there is no more, is a success.
//! - A list is whole or an error, never a part.
//! - A future may be dropped at any await. The provider must stay usable for the next call.
//! - No error holds a value or an error of a client library. Text of a server is passed on through
//!   [`words::shown`](crate::words::shown).

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::credential::CredentialError;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::retry::Class;
use crate::secret::Credentials;
use crate::upstream::Failure;

/// The administrative API of a provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns what it can do.
    fn abilities(&self) -> Abilities;

    /// Returns every key that there is: also disabled ones, and those of others.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the list is not to be had, or not to its end.
    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError>;

    /// Makes a key with this name. A provider with slots makes it in `slot`, whose key is dead then.
    ///
    /// # Errors
    /// Returns [`ProviderError`]. Unless that [is certain](ProviderError::is_certain), the key may have been made.
    async fn mint(&self, name: &str, slot: Option<&ProviderKeyId>)
    -> Result<Minted, ProviderError>;

    /// Returns when a key was last used.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the provider does not answer.
    async fn last_use(&self, key: &ProviderKeyId) -> Result<LastUse, ProviderError>;

    /// Disables a key, so that it can be enabled again.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the key may still be active.
    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError>;

    /// Enables a disabled key.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the key may still be disabled.
    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError>;

    /// Deletes a key for good.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the key may still be there.
    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError>;

    /// Returns which of `keys` has this value; `None` if that cannot be told for certain. By default, what the list
    /// shows of the values tells it.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if it has to be asked for and there is no answer.
    async fn find(
        &self,
        keys: &[IssuedKey],
        value: &Credentials,
    ) -> Result<Option<ProviderKeyId>, ProviderError> {
        Ok(by_redacted(keys, value))
    }

    /// Makes the cheapest call that shows whether the credential is accepted, for `check --connect`, and returns a
    /// line about it for people: "3 keys in the project proj_abc".
    ///
    /// # Errors
    /// Returns [`ProviderError`] if the provider cannot be used.
    async fn connect(&self) -> Result<String, ProviderError>;
}

/// Returns the one key whose redacted value can be this one; `None` if there is none, or more than one.
pub fn by_redacted(keys: &[IssuedKey], value: &Credentials) -> Option<ProviderKeyId> {
    let may_be = |key: &&IssuedKey| {
        let redacted = key.redacted.as_ref();
        redacted.is_some_and(|redacted| value.secret.may_be(redacted))
    };
    let mut found = keys.iter().filter(may_be);
    match (found.next(), found.next()) {
        (Some(key), None) => Some(key.id.clone()),
        _ => None,
    }
}

/// A key that a provider has made.
#[derive(Debug)]
pub struct Minted {
    /// Its id.
    pub id: ProviderKeyId,
    /// Its value, which is shown this once.
    pub credentials: Credentials,
    /// The time at which it was made, according to the provider.
    pub created_at: Option<DateTime<Utc>>,
}

/// An error of a provider. It never holds a value.
///
/// `status` becomes a label of metrics, so it is an HTTP status or one of a few fixed words, never text of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// There is no usable answer: no connection, a timeout, a 5xx status, too many calls.
    #[error("{what}")]
    Unavailable {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
        /// The time that it asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// The credential was not accepted, or could not be read.
    #[error("the provider's credential is not accepted: {what}")]
    SignIn {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// The credential does not have the permission.
    #[error("access denied: {what}")]
    Denied {
        /// The call and the permission that it needs, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// There are as many keys as the provider allows.
    #[error("{what}")]
    LimitReached {
        /// The limit, for people.
        what: String,
    },
    /// The call was refused for what it asks.
    #[error("{what}")]
    Refused {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// The answer does not follow the provider's API.
    #[error("unexpected answer: {what}")]
    Protocol {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// The circuit of the provider is open, so the call was not made.
    #[error("{cause}")]
    CircuitOpen {
        /// The error of the last call that was made.
        cause: String,
        /// The time until the next call is allowed.
        retry_in: Duration,
    },
}

impl ProviderError {
    /// Creates the error of an operation that the provider does not have.
    pub fn unsupported(what: &str) -> Self {
        Self::Refused {
            what: what.to_owned(),
            status: "unsupported".to_owned(),
        }
    }

    /// Returns `true` if the call has certainly changed nothing.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::SignIn { .. }
            | Self::Denied { .. }
            | Self::LimitReached { .. }
            | Self::Refused { .. }
            | Self::CircuitOpen { .. } => true,
            // Too many calls, or nothing was sent.
            Self::Unavailable { status, .. } => {
                matches!(status.as_str(), "429" | "connect" | "setup")
            }
            Self::Protocol { .. } => false,
        }
    }
}

impl From<CredentialError> for ProviderError {
    fn from(error: CredentialError) -> Self {
        Self::SignIn {
            what: error.to_string(),
            status: "credential".to_owned(),
        }
    }
}

impl Failure for ProviderError {
    fn class(&self) -> Class {
        match self {
            Self::Unavailable { retry_after, .. } => Class::Outage {
                retry_after: *retry_after,
            },
            Self::SignIn { .. } => Class::Outage { retry_after: None },
            Self::CircuitOpen { retry_in, .. } => Class::Outage {
                retry_after: Some(*retry_in),
            },
            Self::Protocol { .. } => Class::Transient { retry_after: None },
            Self::Denied { .. } | Self::LimitReached { .. } | Self::Refused { .. } => {
                Class::Refused
            }
        }
    }

    fn status(&self) -> String {
        match self {
            Self::Unavailable { status, .. }
            | Self::SignIn { status, .. }
            | Self::Denied { status, .. }
            | Self::Refused { status, .. }
            | Self::Protocol { status, .. } => status.clone(),
            Self::LimitReached { .. } => "limit".to_owned(),
            Self::CircuitOpen { .. } => "held_back".to_owned(),
        }
    }

    fn timed_out(after: Duration) -> Self {
        Self::Unavailable {
            what: format!("no answer within {}", humantime::format_duration(after)),
            status: "timeout".to_owned(),
            retry_after: None,
        }
    }

    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        Self::CircuitOpen {
            cause: cause.to_owned(),
            retry_in,
        }
    }
}
