//! The contract of a source: its operations, their results and their errors.
//!
//! A source reads and, if the configuration asks for it, acknowledges. It decides nothing. Every implementation of
//! [`Source`] keeps these rules:
//!
//! - [`observe`](Source::observe) is cheap, because it is made for each check, and its result carries no value.
//! - A [`Version`] is opaque and compared for equality only. As long as a value is unchanged, `observe` and
//!   [`read`](Source::read) give equal versions. Where the source numbers its versions, those of a secret that was
//!   deleted and made again differ from the earlier ones. A source without versions uses the keyed digest of the value.
//! - Every request for a secret goes through the [`Upstream`](crate::upstream::Upstream) that the source was built
//!   with, which applies the rate limit, the time-out and the circuit breaker. Building a source calls nothing.
//! - A future may be dropped at any await, by a time-out or a shutdown. The source must stay usable for the next call.
//! - A missing secret is a result and not an error.
//! - No error holds a value or an error of a client library. Text of a server is passed on through
//!   [`words::shown`](crate::words::shown) or a stricter filter, or replaced by text of the rotator's own.
//! - The variant of a [`SourceError`] decides what is done next: see there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::listing::{Listed, Scope};
use super::replacement::{Replacement, StoreOutcome};
use crate::document::{Document, Malformed};
use crate::model::{Missing, Observation, SourceId, Version};
use crate::redact;
use crate::retry::Class;
use crate::upstream::Failure;

/// A service or directory in which keys are rotated.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns its id, which is the name of its table in the configuration.
    fn id(&self) -> &SourceId;

    /// Returns the current version of the secret at `path`, without its value.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the version cannot be determined. A missing secret is not an error but
    /// [`Observation::Missing`].
    async fn observe(&self, path: &str) -> Result<Observation, SourceError>;

    /// Returns the current version like [`observe`](Self::observe), and never from an answer that was received before
    /// this call.
    ///
    /// # Errors
    /// Returns the errors of [`observe`](Self::observe).
    async fn observe_anew(&self, path: &str) -> Result<Observation, SourceError> {
        self.observe(path).await
    }

    /// Reads the secret at `path` in `version`, or in a newer one if the source has no versions to ask for. The result
    /// holds the version that was really read, which may therefore differ from `version`.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the value cannot be read or cannot hold a key. A secret that has gone missing since
    /// it was observed is not an error but [`Reading::Missing`].
    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError>;

    /// Reads the newest version of the secret at `path`, for a caller that has been told of a new one: if possible in
    /// the one call that tells the version, too. `index` is the state of the source that the answer must not be older
    /// than, as an event of this source gave it.
    ///
    /// # Errors
    /// Returns [`SourceError`] as [`observe`](Self::observe) and [`read`](Self::read) do.
    async fn read_newest(&self, path: &str, index: Option<&str>) -> Result<Reading, SourceError> {
        let _ = index;
        match self.observe(path).await? {
            Observation::Present { version, .. } => self.read(path, &version).await,
            Observation::Missing(why) => Ok(Reading::Missing(why)),
        }
    }

    /// Signs in, for `check --connect`, and returns a line that names the identity or the way of signing in.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the source cannot be reached or refuses the credentials.
    async fn connect(&self) -> Result<String, SourceError>;

    /// Reads the secret at `path` in exactly this version, which may be an earlier one. A source that does not
    /// implement this keeps no previous versions, and its keys cannot be rolled back.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the request fails. A version that is no longer available is not an error but
    /// [`Exact::Gone`].
    async fn read_exact(&self, path: &str, version: &Version) -> Result<Exact, SourceError> {
        let _ = (path, version);
        Ok(Exact::Gone(GoneVersion::NoVersions))
    }

    /// Returns the version before `version`, for a rollback without a previous version on record. If that one is gone,
    /// no earlier one is searched for, because it was removed on purpose.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the request fails. A version that is no longer available is not an error but
    /// [`Previous::Gone`].
    async fn previous(&self, path: &str, version: &Version) -> Result<Previous, SourceError> {
        let _ = (path, version);
        Ok(Previous::Gone(GoneVersion::NoVersions))
    }

    /// Returns the secrets in this part of the source, sorted by path.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the source cannot be listed, or not to the end: the result is never a part of the
    /// list. [`SourceError::Denied`] names the missing permission.
    async fn list(&self, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
        let _ = scope;
        Err(cannot_be_listed())
    }

    /// Returns what a list that says everything would say of the secret at `path`; `None` if it is missing and has no
    /// metadata either.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the request fails.
    async fn entry(&self, path: &str) -> Result<Option<Listed>, SourceError> {
        let _ = path;
        Err(cannot_be_listed())
    }

    /// Sets who is told of changes that the source sees while it observes other secrets. It replaces the one before.
    fn tell_changes(&self, to: Changes) {
        let _ = to;
    }

    /// Returns `path` with its surroundings in the source, such as the mount, for people.
    fn place(&self, path: &str) -> String {
        format!("`{}`", redact::shown(path))
    }

    /// Returns what to do about a missing secret: a clause for people that repeats no part of the path.
    async fn hint(&self, path: &str, why: Missing) -> Option<String> {
        let _ = (path, why);
        None
    }

    /// Writes new credentials into the secret at `path`, and nothing else: other fields, metadata, mode and owner stay as
    /// they are. Only if the newest version is the one that is expected still, as exactly as the source can tell.
    ///
    /// # Errors
    /// Returns [`SourceError`]. Unless that [is certain](SourceError::is_certain), the value may have been written, or
    /// may be yet; a repeated call with the same token writes it once.
    async fn store(
        &self,
        path: &str,
        replacement: &Replacement<'_>,
    ) -> Result<StoreOutcome, SourceError> {
        let _ = (path, replacement);
        Err(SourceError::Invalid {
            what: "this store cannot be written".to_owned(),
        })
    }

    /// Says whether the secret at `path` could be written, without writing it, for `check --connect`.
    ///
    /// # Errors
    /// Returns [`SourceError`]; [`SourceError::Denied`] names the missing permission.
    async fn may_store(&self, path: &str) -> Result<(), SourceError> {
        let _ = path;
        Ok(())
    }

    /// Returns `true` if the source can record which version is live and the configuration asks for it.
    fn acknowledges(&self) -> bool {
        false
    }

    /// Records in the source that this version has been live and verified since `at`. Only called if
    /// [`acknowledges`](Self::acknowledges) returns `true`. May be repeated: the last call counts.
    ///
    /// # Errors
    /// Returns [`SourceError`] if it could not be recorded; [`SourceError::Denied`] names the missing permission.
    async fn acknowledge(
        &self,
        path: &str,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<(), SourceError> {
        let _ = (path, version, at);
        Err(cannot_acknowledge())
    }

    /// Withdraws the acknowledgement, so that no version is recorded as live. May be repeated: it changes nothing if
    /// none is recorded.
    ///
    /// # Errors
    /// Returns [`SourceError`] if it could not be withdrawn; [`SourceError::Denied`] names the missing permission.
    async fn withdraw(&self, path: &str) -> Result<(), SourceError> {
        let _ = path;
        Err(cannot_acknowledge())
    }
}

/// Receives the path of a secret that has changed, and its new version. It must return at once.
pub type Changes = Arc<dyn Fn(&str, &Version) + Send + Sync>;

/// Returns why the secret at `path` is missing, for people.
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

fn cannot_be_listed() -> SourceError {
    SourceError::Invalid {
        what: "this store cannot be listed".to_owned(),
    }
}

fn cannot_acknowledge() -> SourceError {
    SourceError::Invalid {
        what: "this store has no place to say which version is live".to_owned(),
    }
}

/// The result of reading a secret.
#[derive(Debug)]
pub enum Reading {
    /// The value.
    Present {
        /// The version it belongs to.
        version: Version,
        /// The time at which it was written, according to the source.
        written_at: Option<DateTime<Utc>>,
        /// The value.
        document: Document,
    },
    /// The secret went missing after it was observed.
    Missing(Missing),
}

/// The result of reading one version.
#[derive(Debug)]
pub enum Exact {
    /// The value.
    Present {
        /// The value.
        document: Document,
        /// The time at which it was written, according to the source.
        written_at: Option<DateTime<Utc>>,
    },
    /// It is no longer available.
    Gone(GoneVersion),
}

/// The version before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Previous {
    /// A version that can be read.
    Version(Version),
    /// A version that cannot be read, or none at all.
    Gone(GoneVersion),
}

/// The reason why an earlier version cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneVersion {
    /// It was deleted, and may be undeleted.
    Deleted,
    /// It was destroyed.
    Destroyed,
    /// The source dropped it to make room for newer versions.
    Pruned,
    /// The source has no such version.
    NoSuchVersion,
    /// The source keeps only the latest version.
    NoVersions,
}

impl GoneVersion {
    /// Returns a clause for people.
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

/// An error of a source. It never holds a value: each adapter converts the errors of its client library and drops
/// what they carry.
///
/// The variant decides what is done. After [`Unavailable`](Self::Unavailable), [`SignIn`](Self::SignIn) and
/// [`CircuitOpen`](Self::CircuitOpen) all calls to the source wait, since it cannot answer any. After
/// [`Protocol`](Self::Protocol) this call is retried. [`Denied`](Self::Denied), [`Malformed`](Self::Malformed) and
/// [`Invalid`](Self::Invalid) are not retried before the next check, because only a person can put them right.
///
/// `status` becomes a label of metrics, so it is an HTTP status or one of a few fixed words, never text of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no usable answer: no connection, a timeout, a 5xx status, a sealed Vault, a throttled caller.
    #[error("{what}")]
    Unavailable {
        /// The reason, for people.
        what: String,
        /// The status for metrics: an HTTP status or a word.
        status: String,
        /// The time that it asked callers to wait.
        retry_after: Option<Duration>,
    },
    /// The rotator's own credentials were refused, or could not be read.
    #[error("cannot sign in: {what}")]
    SignIn {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// A policy denies access to this path.
    #[error("access denied: {what}")]
    Denied {
        /// The request and the permission that it needs, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// The answer does not follow the API of the source.
    #[error("unexpected answer: {what}")]
    Protocol {
        /// The reason, for people.
        what: String,
        /// The status for metrics.
        status: String,
    },
    /// The secret cannot hold a key.
    #[error("{0}")]
    Malformed(Malformed),
    /// The configuration names something that the source cannot have, such as a path that leaves the directory.
    #[error("{what}")]
    Invalid {
        /// The reason, for people.
        what: String,
    },
    /// The circuit of the source is open, so the call was not made.
    #[error("{cause}")]
    CircuitOpen {
        /// The error of the last call that was made.
        cause: String,
        /// The time until the next call is allowed.
        retry_in: Duration,
    },
}

impl SourceError {
    /// Returns `true` if a write with this error has certainly changed nothing.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::Protocol { .. })
    }
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
