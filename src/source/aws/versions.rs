//! Previous versions, and the staging label that marks the live one.
//!
//! AWS keeps a version for as long as it has a staging label. `AWSPREVIOUS` marks the version before the current one.
//! `FLASHBACK_LIVE` marks the live one, which AWS therefore keeps. A version without a label can be read until AWS
//! deletes it, at a time of its own choice. Each label is on at most one version.

use super::calls::{self, CURRENT, ID_LENGTH, holder, take};
use super::error::Answer;
use super::source::AwsSource;
use crate::model::{Missing, Version};
use crate::source::contract::{Exact, GoneVersion, Previous, Reading, SourceError};

const PREVIOUS: &str = "AWSPREVIOUS";
const LIVE: &str = "FLASHBACK_LIVE";

impl AwsSource {
    pub(super) async fn exactly(
        &self,
        path: &str,
        version: &Version,
    ) -> Result<Exact, SourceError> {
        if !ID_LENGTH.contains(&version.as_str().len()) {
            return Ok(Exact::Gone(GoneVersion::NoSuchVersion));
        }
        let gone = match self.calls.get(path, Some(version)).await? {
            Answer::Value(value) => match take(value, version)? {
                Reading::Present {
                    written_at,
                    document,
                    ..
                } => {
                    return Ok(Exact::Present {
                        document,
                        written_at,
                    });
                }
                Reading::Missing(_) => GoneVersion::NoSuchVersion,
            },
            Answer::NotFound => GoneVersion::NoSuchVersion,
            // The whole secret is scheduled for deletion.
            Answer::WrongState => GoneVersion::Deleted,
        };
        Ok(Exact::Gone(gone))
    }

    /// Returns the version labelled `AWSPREVIOUS` if `version` is the current one. No label marks the predecessor of
    /// any other version.
    pub(super) async fn before(
        &self,
        path: &str,
        version: &Version,
    ) -> Result<Previous, SourceError> {
        let secret = match self.calls.described(path).await? {
            Ok(secret) => secret,
            Err(Missing::Deleted) => return Ok(Previous::Gone(GoneVersion::Deleted)),
            Err(_) => return Ok(Previous::Gone(GoneVersion::NoSuchVersion)),
        };
        let is_current = holder(&secret, CURRENT) == Some(version.as_str());
        let previous = holder(&secret, PREVIOUS).filter(|id| is_current && *id != version.as_str());
        Ok(match previous {
            Some(id) => Previous::Version(calls::version(id)?),
            None => Previous::Gone(GoneVersion::NoSuchVersion),
        })
    }

    /// Puts the label on a version, or removes it. If the label was moved between reading and writing, both are
    /// repeated once.
    pub(super) async fn label(
        &self,
        path: &str,
        live: Option<&Version>,
    ) -> Result<(), SourceError> {
        let mut is_second = false;
        loop {
            let secret = match self.calls.described(path).await? {
                Ok(secret) => secret,
                // The labels were deleted with the secret.
                Err(_) if live.is_none() => return Ok(()),
                Err(missing) => return Err(invalid(missing.describe())),
            };
            let to = live.map(Version::as_str);
            let from = holder(&secret, LIVE);
            if from == to {
                return Ok(());
            }
            match self.calls.move_label(path, LIVE, from, to).await {
                Ok(Answer::Value(_)) => return Ok(()),
                Ok(Answer::NotFound) => {
                    return Err(invalid("the store no longer has the version that is live"));
                }
                Ok(Answer::WrongState) => return Err(invalid(Missing::Deleted.describe())),
                Err(SourceError::Protocol { .. }) if !is_second => is_second = true,
                Err(error) => return Err(error),
            }
        }
    }
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid {
        what: what.to_owned(),
    }
}
