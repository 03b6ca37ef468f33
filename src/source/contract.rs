//! What a source of keys can do, and how it fails.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::document::{Document, Malformed};
use crate::model::{Missing, Observation, SourceId, Version};
use crate::redact;
use crate::retry::Class;
use crate::upstream::Failure;

/// A store of rotated keys.
#[async_trait]
pub trait Source: Send + Sync {
    /// The name of its table in the configuration.
    fn id(&self) -> &SourceId;

    /// Which version `path` holds now.
    ///
    /// # Errors
    /// [`SourceError`]. A secret that is not there is no error but [`Observation::Missing`].
    async fn observe(&self, path: &str) -> Result<Observation, SourceError>;

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

    /// What `path` holds in exactly this version, be it the latest or an older one.
    ///
    /// # Errors
    /// [`SourceError`]. A version that cannot be had any more is no error but [`Exact::Gone`].
    async fn read_exact(&self, path: &str, version: &Version) -> Result<Exact, SourceError> {
        let _ = (path, version);
        Ok(Exact::Gone(GoneVersion::NoVersions))
    }

    /// The version before `version`, for a rollback of which nothing is on record. No older one is
    /// looked for where that one is gone: whoever took it away meant to.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn previous(&self, path: &str, version: &Version) -> Result<Previous, SourceError> {
        let _ = (path, version);
        Ok(Previous::Gone(GoneVersion::NoVersions))
    }

    /// Names `path` with what surrounds it in the store, for people.
    fn place(&self, path: &str) -> String {
        format!("`{}`", redact::shown(path))
    }

    /// Says what to do, after the store has said that `path` has nothing to give; a clause for people that names
    /// no part of the path.
    async fn hint(&self, path: &str, why: Missing) -> Option<String> {
        let _ = (path, why);
        None
    }

    /// Whether the store is to be told which version is live, and can be.
    fn acknowledges(&self) -> bool {
        false
    }

    /// Tells the store that this version has been live and verified since `at`. Telling it again
    /// changes nothing. Only called where [`acknowledges`](Self::acknowledges).
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::Denied`] names the permission.
    async fn acknowledge(
        &self,
        path: &str,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<(), SourceError> {
        let _ = (path, version, at);
        Err(cannot_acknowledge())
    }

    /// Takes that back: no version is said to be live. Where nothing was told it changes nothing.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::Denied`] names the permission.
    async fn withdraw(&self, path: &str) -> Result<(), SourceError> {
        let _ = path;
        Err(cannot_acknowledge())
    }
}

/// Says why `source` has nothing to give at `path`, in words for people.
pub async fn why_missing(source: &dyn Source, path: &str, why: Missing) -> String {
    let said = why.describe();
    let place = match why {
        Missing::NotFound => format!(", {}", source.place(path)),
        Missing::Deleted | Missing::Destroyed | Missing::NoValueYet => String::new(),
    };
    match source.hint(path, why).await {
        Some(hint) => format!("{said}{place}: {hint}"),
        None => format!("{said}{place}"),
    }
}

fn cannot_acknowledge() -> SourceError {
    SourceError::Invalid {
        what: "this store has no place to say which version is live".to_owned(),
    }
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

/// What a read of one version found.
#[derive(Debug)]
pub enum Exact {
    /// Its value.
    Present {
        /// The secret.
        document: Document,
        /// When the store says it was written.
        written_at: Option<DateTime<Utc>>,
    },
    /// It cannot be had any more.
    Gone(GoneVersion),
}

/// What stands before a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous {
    /// Another one, which can be read.
    Version(Version),
    /// Nothing that could be read.
    Gone(GoneVersion),
}

/// Why an older version cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneVersion {
    /// It was deleted, and may be undeleted.
    Deleted,
    /// It was destroyed.
    Destroyed,
    /// The store keeps so many versions and no more.
    Pruned,
    /// The store knows no such version.
    NoSuchVersion,
    /// The store keeps none but the latest.
    NoVersions,
}

impl GoneVersion {
    /// A clause for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Deleted => "the version is deleted in the store",
            Self::Destroyed => "the version is destroyed in the store",
            Self::Pruned => "the store has dropped the version to make room for newer ones",
            Self::NoSuchVersion => "the store has no such version",
            Self::NoVersions => "the store keeps no version but the latest",
        }
    }
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
    #[error("{cause}")]
    CircuitOpen {
        /// What the last call found that was made.
        cause: String,
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
            Self::CircuitOpen { retry_in, .. } => Class::Outage {
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
