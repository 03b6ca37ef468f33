//! Requests to the two key-value engines, and the meaning of their answers.
//!
//! KV 2 (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>): a deleted or destroyed
//! version is a 404 with a body, a missing secret a 404 with an empty list of errors. Deleting the
//! latest version leaves `current_version` as it is. After a metadata delete numbers start again
//! at 1, which `created_time` tells apart.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::kv1::requests::GetSecretRequest;
use vaultrs::api::kv2::requests::{ReadSecretMetadataRequest, ReadSecretRequest};
use vaultrs::api::kv2::responses::SecretMetadata;

use super::deletion::Deletions;
use super::entry::{Entry, Envelope, Found, VersionedData, incomplete, time, version};
use super::keeper::Keeper;
use super::refusal::{Absent, absent, denied, is_denial, unexpected};
use super::token::Token;
use super::wire::Answer;
use crate::document::Document;
use crate::model::{Missing, Observation, Version};
use crate::secret::Fingerprinter;
use crate::source::contract::{Reading, SourceError};

/// The longest path that is accepted. Vault's own limit is lower for most storages; rustify panics on an
/// address that is too long.
const LONGEST_PATH: usize = 4096;

/// The location of the secrets.
pub(super) struct Engine {
    pub mount: String,
    pub namespace: Option<String>,
    pub deletions: Deletions,
}

/// A secret's metadata in KV 2. vaultrs' own type is not used: it lacks OpenBao's counter of the
/// changes to them.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub current_version: u64,
    /// Versions below this number were dropped (`max_versions`).
    pub oldest_version: u64,
    pub versions: HashMap<String, SecretMetadata>,
    pub custom_metadata: Option<Map<String, Value>>,
    /// OpenBao's, for check-and-set of metadata.
    pub current_metadata_version: Option<u64>,
}

impl Engine {
    /// Observes a secret in KV 2 by its metadata, which expose no value.
    pub async fn look_at_metadata(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
    ) -> Result<Observation, SourceError> {
        let metadata = match self.read_metadata(keeper, token, path).await? {
            Ok(metadata) => metadata,
            Err(missing) => return Ok(Observation::Missing(missing)),
        };
        self.judge(keeper, token, path, &metadata).await
    }

    /// Returns what the metadata of a secret in KV 2 say of its newest version, which is requested only if it is or
    /// will be deleted.
    pub async fn judge(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        metadata: &Metadata,
    ) -> Result<Observation, SourceError> {
        let number = metadata.current_version;
        if number == 0 {
            // Custom metadata was written, and no version yet.
            return Ok(Observation::Missing(Missing::NoValueYet));
        }
        let Some(latest) = metadata.versions.get(&number.to_string()) else {
            return Err(incomplete("its current version is not among its versions"));
        };
        let written_at = time(&latest.created_time)?;
        let asked = self.find_version(keeper, token, path, number);
        let missing = self.deletions.missing(path, number, latest, asked).await?;
        Ok(match missing {
            Some(missing) => Observation::Missing(missing),
            None => Observation::Present {
                version: version(number, &latest.created_time)?,
                written_at: Some(written_at),
            },
        })
    }

    /// Reads the metadata of a secret in KV 2, or returns why there are none.
    pub async fn read_metadata(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
    ) -> Result<Result<Metadata, Missing>, SourceError> {
        let (mount, path) = (self.mount.clone(), path.to_owned());
        let place = format!("{mount}/metadata/{path}");
        let request = ReadSecretMetadataRequest { mount, path };
        let call = async {
            let answer = token.call(request).await?;
            match answer.status {
                200..=299 => match answer.json::<Envelope<_>>()?.data {
                    Some(metadata) => Ok(Ok(metadata)),
                    None => Err(incomplete("it has no data")),
                },
                404 => self.nothing(&answer, &place).map(Err),
                status if is_denial(status) => Err(denied(&answer, &self.needs(&place))),
                _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
            }
        };
        keeper.upstream().call("read_metadata", call).await
    }

    /// Reads a version of a secret in KV 2, or the latest if no number is given.
    pub async fn read_version(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        number: Option<u64>,
    ) -> Result<Reading, SourceError> {
        match self.find(keeper, token, path, number).await? {
            Found::Version(version) => read(version),
            Found::Nothing(missing) => Ok(Reading::Missing(missing)),
        }
    }

    /// Reads one version in KV 2, deleted or not.
    pub async fn find_version(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        number: u64,
    ) -> Result<Found, SourceError> {
        self.find(keeper, token, path, Some(number)).await
    }

    async fn find(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        number: Option<u64>,
    ) -> Result<Found, SourceError> {
        let (mount, path) = (self.mount.clone(), path.to_owned());
        let place = format!("{mount}/data/{path}");
        let request = ReadSecretRequest {
            mount,
            path,
            version: number,
        };
        let call = async {
            let answer = token.call(request).await?;
            match answer.status {
                200..=299 => match answer.json::<Envelope<VersionedData>>()?.data {
                    Some(version) => Ok(Found::Version(version.into())),
                    None => Err(incomplete("it has no data")),
                },
                404 => match answer.json::<Envelope<VersionedData>>() {
                    Ok(Envelope {
                        data: Some(version),
                    }) => Ok(Found::Version(version.into())),
                    _ => self.nothing(&answer, &place).map(Found::Nothing),
                },
                status if is_denial(status) => Err(denied(&answer, &self.needs(&place))),
                _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
            }
        };
        keeper.upstream().call("read_data", call).await
    }

    /// Reads a secret in KV 1. The digest of its content stands for its version.
    pub async fn read_unversioned(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        fingerprinter: &Fingerprinter,
    ) -> Result<Reading, SourceError> {
        let (mount, path) = (self.mount.clone(), path.to_owned());
        let place = format!("{mount}/{path}");
        let request = GetSecretRequest { mount, path };
        let call = async {
            let answer = token.call(request).await?;
            match answer.status {
                200..=299 => {
                    let Some(map) = answer.json::<Envelope<Map<String, Value>>>()?.data else {
                        return Ok(Reading::Missing(Missing::NoValueYet));
                    };
                    let document = Document::from_fields(map);
                    Ok(Reading::Present {
                        version: Version::of_fingerprint(&document.fingerprint(fingerprinter)),
                        written_at: None,
                        document,
                    })
                }
                404 => self.nothing(&answer, &place).map(Reading::Missing),
                status if is_denial(status) => Err(denied(&answer, &self.needs(&place))),
                _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
            }
        };
        keeper.upstream().call("read_data", call).await
    }

    /// Interprets a 404.
    pub fn nothing(&self, answer: &Answer, place: &str) -> Result<Missing, SourceError> {
        let mount = &self.mount;
        let inside = self.inside();
        let invalid = |what| Err(SourceError::Invalid { what });
        match absent(answer) {
            Absent::Secret => Ok(Missing::NotFound),
            Absent::Engine(words) => invalid(format!(
                "the mount `{mount}`{inside}: {words} (404): check `mount` and `namespace`"
            )),
            Absent::IsVersioned => invalid(is_kv_2(mount, &inside)),
            Absent::Foreign => Err(unexpected(answer, &format!("reading `{place}`"))),
        }
    }

    /// Returns the permission that a path needs.
    pub fn needs(&self, place: &str) -> String {
        format!("`read` on `{place}`{}", self.inside())
    }

    pub fn inside(&self) -> String {
        self.namespace
            .as_ref()
            .map_or_else(String::new, |name| format!(" in the namespace `{name}`"))
    }
}

pub(super) fn is_kv_2(mount: &str, inside: &str) -> String {
    format!("the engine at `{mount}`{inside} is KV 2: set `kv_version = 2`")
}

/// Refuses a path that would change in a URL, which drops `.` and `..`.
pub(super) fn check_path(path: &str) -> Result<(), SourceError> {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let reason = if path.len() > LONGEST_PATH {
        "is too long"
    } else if path.split('/').any(odd) {
        "has an empty, `.` or `..` part: write it without slashes at its ends"
    } else if path.contains(char::is_control) {
        "has a control character"
    } else {
        return Ok(());
    };
    Err(SourceError::Invalid {
        what: format!("the path {reason}"),
    })
}

/// Converts a version to the result of a read.
fn read(found: Entry) -> Result<Reading, SourceError> {
    let (version, written_at) = (found.version()?, found.created_at()?);
    Ok(match found.data() {
        Ok(document) => Reading::Present {
            version,
            written_at: Some(written_at),
            document,
        },
        Err(missing) => Reading::Missing(missing),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_what_it_is() {
        for path in ["llm/openai", "a b/ü/%2e%2e", "..a", "a.b"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in ["", "/a", "a/", "a//b", "a/../b", "./a", "a\nb"] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
        assert!(check_path(&"a".repeat(5000)).is_err());
    }
}
