//! The stores where keys are rotated.
//!
//! A source only answers two questions: which version is there now ([`Source::look`], cheap, and
//! exposing nothing where the store allows it), and what is in it ([`Source::read`]). It decides
//! nothing and knows nothing of Flashback.

pub mod aws;
pub mod file;
pub mod vault;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::document::{Document, Malformed};
use crate::lane::Failure;
use crate::model::{Missing, Observation, SourceId, Version};
use crate::retry::Class;

/// A store of rotated keys.
#[async_trait]
pub trait Source: Send + Sync {
    /// The name of its table in the configuration.
    fn id(&self) -> &SourceId;

    /// Which version `path` holds now.
    ///
    /// # Errors
    /// [`SourceError`]. A secret that is not there is no error but [`Observation::Missing`].
    async fn look(&self, path: &str) -> Result<Observation, SourceError>;

    /// What `path` holds in `version`, or in a newer one where the store has no versions to ask
    /// for: the answer says which it is.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError>;

    /// Signs in, for `check --connect`: a line that says as whom or how.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn connect(&self) -> Result<String, SourceError>;
}

/// What a read found.
#[derive(Debug)]
pub enum Reading {
    /// A value.
    Present {
        /// The version it belongs to.
        version: Version,
        /// When the store says it was written.
        written_at: Option<DateTime<Utc>>,
        /// The secret.
        document: Document,
    },
    /// It went away between the look and the read.
    Missing(Missing),
}

/// A store that did not give what it was asked for. Never holds a value: each adapter turns its
/// client library's errors into these and drops what they carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No usable answer: no connection, a time-out, a 5xx, a sealed Vault, a throttled caller.
    #[error("{what}")]
    Unavailable {
        /// For people.
        what: String,
        /// For metrics: an HTTP status or a word.
        status: String,
        /// How long it asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// The rotator's own credentials were refused or could not be had.
    #[error("cannot sign in: {what}")]
    SignIn {
        /// For people.
        what: String,
        /// For metrics.
        status: String,
    },
    /// A policy refuses this path to this caller.
    #[error("access denied: {what}")]
    Denied {
        /// For people: what was asked, and which permission it needs.
        what: String,
        /// For metrics.
        status: String,
    },
    /// The store's answer is not its API's.
    #[error("unexpected answer: {what}")]
    Protocol {
        /// For people.
        what: String,
        /// For metrics.
        status: String,
    },
    /// The store holds something that cannot be a key.
    #[error("{0}")]
    Malformed(Malformed),
    /// The configuration names something the store cannot have (a path that leaves a directory).
    #[error("{what}")]
    Invalid {
        /// For people.
        what: String,
    },
    /// The source is away; the call was not made.
    #[error("the source is held back after a failure")]
    HeldBack {
        /// When to come back.
        retry_in: Duration,
    },
}

impl Failure for SourceError {
    fn class(&self) -> Class {
        match self {
            Self::Unavailable { retry_after, .. } => Class::Outage {
                retry_after: *retry_after,
            },
            Self::SignIn { .. } => Class::Outage { retry_after: None },
            Self::HeldBack { retry_in } => Class::Outage {
                retry_after: Some(*retry_in),
            },
            Self::Protocol { .. } => Class::Transient { retry_after: None },
            Self::Denied { .. } | Self::Malformed(_) | Self::Invalid { .. } => Class::Refused,
        }
    }

    fn status(&self) -> String {
        match self {
            Self::Unavailable { status, .. }
            | Self::SignIn { status, .. }
            | Self::Denied { status, .. }
            | Self::Protocol { status, .. } => status.clone(),
            Self::Malformed(_) => "malformed".to_owned(),
            Self::Invalid { .. } => "invalid".to_owned(),
            Self::HeldBack { .. } => "held_back".to_owned(),
        }
    }

    fn timed_out(after: Duration) -> Self {
        Self::Unavailable {
            what: format!("no answer within {}", humantime::format_duration(after)),
            status: "timeout".to_owned(),
            retry_after: None,
        }
    }

    fn held_back(retry_in: Duration) -> Self {
        Self::HeldBack { retry_in }
    }
}
