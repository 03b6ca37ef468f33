//! Flashback, into which keys are written.
//!
//! [`Flashback`] has the operations that the engine needs. The client writes exactly what the API's contract says, and
//! reads tolerantly: docs/flashback.md has a table of what each answer means.

mod account;
mod answer;
pub mod client;
mod exchange;
mod listing;
mod pace;
mod reader;
mod reason;
mod refresh_file;
mod second_factor;
mod session;
mod sign_in;
mod stranger;
mod updates;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use account::Account;
pub use answer::Validation;
pub use flashback_rotator_core::totp;
pub use flashback_rotator_sandbox as sandbox;
pub use updates::Update;

use crate::model::{AiLlmId, Listed, Settings, TargetKind, Verdict, WorkspaceId};
use crate::retry::Class;
use crate::secret::Credentials;
use crate::upstream::Failure;

/// The contents of one of Flashback's lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The entries of the workspace that could be read.
    pub entries: Vec<Listed>,
    /// The positions of the entries that could not be read, from 1.
    pub unreadable: Vec<usize>,
}

/// The operations the rotator needs.
#[async_trait]
pub trait Flashback: Send + Sync {
    /// Lists what the account can see of a kind in one workspace: `GET /ai/llm?workspaceId=…` or
    /// `GET /apikeys?workspaceId=…`.
    ///
    /// # Errors
    /// Returns [`FlashbackError`].
    async fn list(
        &self,
        workspace: &WorkspaceId,
        kind: TargetKind,
    ) -> Result<Listing, FlashbackError>;

    /// Creates a configuration or stored key: `POST /ai/llm` or `POST /apikeys`. If the answer has no id, finds it by
    /// its name.
    ///
    /// # Errors
    /// Returns [`FlashbackError`]. After one that [may have written](FlashbackError::may_have_written),
    /// the configuration may exist.
    async fn create(
        &self,
        settings: &Settings,
        credentials: &Credentials,
    ) -> Result<AiLlmId, FlashbackError>;

    /// Writes every field of a configuration (`PUT /ai/llm/{id}`), or the credentials of a stored key
    /// (`PUT /apikeys/{uuid}`).
    ///
    /// # Errors
    /// Returns [`FlashbackError`].
    async fn update(
        &self,
        id: &AiLlmId,
        settings: &Settings,
        credentials: &Credentials,
    ) -> Result<(), FlashbackError>;

    /// Deletes a configuration for good (`DELETE /ai/llm/{id}`), or a stored key (`DELETE /apikeys/{uuid}`).
    ///
    /// # Errors
    /// Returns [`FlashbackError`]; [`FlashbackError::Refused`] also while a repository uses it.
    async fn delete(&self, id: &AiLlmId, kind: TargetKind) -> Result<(), FlashbackError>;

    /// Has Flashback try the credentials of a configuration at the provider: `POST /ai/llm/{id}/validate`.
    ///
    /// # Errors
    /// Returns [`FlashbackError`]; [`FlashbackError::NotFound`] also where there is no such endpoint.
    async fn validate(&self, id: &AiLlmId) -> Result<Validation, FlashbackError>;

    /// Returns the account that is signed in: `GET /user/profile`. If Flashback has no such endpoint, nothing is known
    /// of the account.
    ///
    /// # Errors
    /// Returns [`FlashbackError`].
    async fn account(&self) -> Result<Account, FlashbackError>;

    /// Returns the updates of configurations and stored keys in a workspace that the account can see, since a time or
    /// in the last 24 hours: `POST /systemevent`.
    ///
    /// # Errors
    /// Returns [`FlashbackError`].
    async fn updates(
        &self,
        workspace: &WorkspaceId,
        since: Option<DateTime<Utc>>,
    ) -> Result<Vec<Update>, FlashbackError>;

    /// Returns the error that a call would end with at once, if it would: Flashback is away, has asked callers to wait,
    /// or cannot be signed in to.
    fn circuit_open(&self) -> Option<FlashbackError>;

    /// Signs in and asks for the list, for `check --connect` and `/readyz`, and returns a line that
    /// says how it signed in. What answers must be Flashback: with the list, or with a refusal in
    /// the API's JSON.
    ///
    /// # Errors
    /// Returns [`FlashbackError`].
    async fn sign_in(&self) -> Result<String, FlashbackError>;
}

/// A call that failed. It never holds a credential, and of Flashback's reason only the part that may be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlashbackError {
    /// No usable answer: no connection, a time-out, 429, 502 to 504.
    #[error("{what}")]
    Unavailable {
        /// The reason, for people.
        what: String,
        /// The status for metrics: an HTTP status or a word.
        status: String,
        /// The time that it has asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// This call failed and may work when repeated: 408, 425, 500, a connection lost before the answer,
    /// `{"success": false}` in a 200, an answer that is not the contract's. Also any 3xx or 4xx that is
    /// not in the API's words: something in front of Flashback has answered, and it says nothing
    /// about the key, the id or the account.
    #[error("{what}")]
    Faulty {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
        /// The time that it has asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// The rotator cannot sign in, or Flashback refuses the token that a sign-in gave.
    #[error("cannot sign in to Flashback: {what}")]
    SignIn {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
        /// The time for which no further sign-in is tried, if there were too many.
        retry_after: Option<Duration>,
    },
    /// 404: there is no such configuration, or no such endpoint.
    #[error("Flashback does not know it (404): {what}")]
    NotFound {
        /// The reason, for people.
        what: String,
    },
    /// 400, 403 and any other 4xx: a retry fails again until a person changes something.
    #[error("Flashback refused it ({status}): {what}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Flashback's message, for people.
        what: String,
    },
    /// No request can be made from the configured or stored values; the call was not made.
    #[error("the request to Flashback cannot be built: {what}")]
    Unsendable {
        /// The reason, for people.
        what: String,
    },
    /// Flashback is away; the call was not made.
    #[error("{cause}")]
    CircuitOpen {
        /// The error of the last call that was made.
        cause: String,
        /// The time at which to come back.
        retry_in: Duration,
    },
}

impl FlashbackError {
    /// Returns the verdict of a validation that ended in this error. A refusal in the API's words is about the key
    /// (400, 422), or about the account (403) or the platform (404), which cannot tell then; anything
    /// else is about the moment.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Refused {
                status: 400 | 422,
                what,
            } => Verdict::Rejected(what.clone()),
            Self::Refused { status: 403, .. } | Self::NotFound { .. } => {
                Verdict::Unsupported(self.to_string())
            }
            _ => Verdict::Inconclusive(self.to_string()),
        }
    }

    /// Returns `true` if a write that ended in this error may have been carried out.
    pub fn may_have_written(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Faulty { .. })
    }
}

impl Failure for FlashbackError {
    fn class(&self) -> Class {
        match self {
            Self::Unavailable { retry_after, .. } | Self::SignIn { retry_after, .. } => {
                Class::Outage {
                    retry_after: *retry_after,
                }
            }
            Self::Faulty { retry_after, .. } => Class::Transient {
                retry_after: *retry_after,
            },
            Self::CircuitOpen { retry_in, .. } => Class::Outage {
                retry_after: Some(*retry_in),
            },
            Self::NotFound { .. } | Self::Refused { .. } | Self::Unsendable { .. } => {
                Class::Refused
            }
        }
    }

    fn status(&self) -> String {
        match self {
            Self::Unavailable { status, .. }
            | Self::Faulty { status, .. }
            | Self::SignIn { status, .. } => status.clone(),
            Self::NotFound { .. } => "404".to_owned(),
            Self::Refused { status, .. } => status.to_string(),
            Self::Unsendable { .. } => "unsendable".to_owned(),
            Self::CircuitOpen { .. } => "held_back".to_owned(),
        }
    }

    /// Returns `false` for a 401, because only the sign-in that follows it shows if the outage is over.
    fn ends_outage(&self) -> bool {
        !matches!(self, Self::Refused { status: 401, .. })
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
