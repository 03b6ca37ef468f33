//! The two key-value engines: which request answers which question, and what the answers mean.
//!
//! KV 2 (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>): a deleted or destroyed
//! version is a 404 with a body, a missing secret a 404 with an empty list of errors. Deleting the
//! latest version leaves `current_version` as it is. After a metadata delete numbers start again
//! at 1, which `created_time` tells apart.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::kv1::requests::GetSecretRequest;
use vaultrs::api::kv2::requests::{ReadSecretMetadataRequest, ReadSecretRequest};
use vaultrs::api::kv2::responses::{
    ReadSecretMetadataResponse, SecretMetadata, SecretVersionMetadata,
};

use super::keeper::Keeper;
use super::refusal::{Absent, absent, denied, is_denial, unexpected};
use super::token::Token;
use super::wire::Answer;
use crate::document::Document;
use crate::model::{Missing, Observation, Version};
use crate::secret::Fingerprinter;
use crate::source::{Reading, SourceError};

/// The longest path taken. Vault's own limit is lower for most storages; rustify panics on an
/// address that is too long.
const LONGEST_PATH: usize = 4096;

/// Where the secrets are.
pub(super) struct Engine {
    pub mount: String,
    pub namespace: Option<String>,
}

/// What surrounds every answer. What else it holds is not read.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
}

/// A version in KV 2. `data` is null where it is deleted or destroyed.
#[derive(Deserialize)]
struct VersionedData {
    data: Option<Map<String, Value>>,
    metadata: SecretVersionMetadata,
}

impl Engine {
    /// KV 2: asks for the metadata, which exposes nothing.
    pub async fn look_at_metadata(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
    ) -> Result<Observation, SourceError> {
        let (mount, path) = (self.mount.clone(), path.to_owned());
        let place = format!("{mount}/metadata/{path}");
        let request = ReadSecretMetadataRequest { mount, path };
        let call = async {
            let answer = token.call(request).await?;
            match answer.status {
                200..=299 => observed(answer.json::<Envelope<_>>()?.data, Utc::now()),
                404 => self.nothing(&answer, &place).map(Observation::Missing),
                status if is_denial(status) => Err(denied(&answer, &self.needs(&place))),
                _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
            }
        };
        keeper.lane().call("read_metadata", call).await
    }

    /// KV 2: reads a version, the latest where no number is given.
    pub async fn read_version(
        &self,
        keeper: &Keeper,
        token: &Token,
        path: &str,
        number: Option<u64>,
    ) -> Result<Reading, SourceError> {
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
                200..=299 => read(answer.json::<Envelope<_>>()?.data),
                404 => match answer.json::<Envelope<VersionedData>>() {
                    Ok(Envelope {
                        data: Some(version),
                    }) => read(Some(version)),
                    _ => self.nothing(&answer, &place).map(Reading::Missing),
                },
                status if is_denial(status) => Err(denied(&answer, &self.needs(&place))),
                _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
            }
        };
        keeper.lane().call("read_data", call).await
    }

    /// KV 1: reads; the digest of what is found is its version.
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
        keeper.lane().call("read_data", call).await
    }

    /// What a 404 means.
    fn nothing(&self, answer: &Answer, place: &str) -> Result<Missing, SourceError> {
        let mount = &self.mount;
        let inside = self.inside();
        let invalid = |what| Err(SourceError::Invalid { what });
        match absent(answer) {
            Absent::Secret => Ok(Missing::NotFound),
            Absent::Engine(words) => invalid(format!(
                "`{place}`{inside}: {words} (404): check `mount` and `namespace`"
            )),
            Absent::IsVersioned => invalid(format!(
                "the engine at `{mount}`{inside} is KV 2: set `kv_version = 2`"
            )),
            Absent::Foreign => Err(unexpected(answer, &format!("reading `{place}`"))),
        }
    }

    /// The permission a path takes.
    pub fn needs(&self, place: &str) -> String {
        format!("`read` on `{place}`{}", self.inside())
    }

    fn inside(&self) -> String {
        self.namespace
            .as_ref()
            .map_or_else(String::new, |name| format!(" in the namespace `{name}`"))
    }
}

/// Refuses a path that would be another one on the way: an address drops `.` and `..`.
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

/// What metadata says of the latest version.
fn observed(
    metadata: Option<ReadSecretMetadataResponse>,
    now: DateTime<Utc>,
) -> Result<Observation, SourceError> {
    let metadata = metadata.ok_or_else(|| incomplete("it has no data"))?;
    let number = metadata.current_version;
    if number == 0 {
        // Custom metadata was written, and no version yet.
        return Ok(Observation::Missing(Missing::NoValueYet));
    }
    let Some(latest) = metadata.versions.get(&number.to_string()) else {
        return Err(incomplete("its current version is not among its versions"));
    };
    Ok(match gone(latest, now)? {
        Some(missing) => Observation::Missing(missing),
        None => Observation::Present {
            version: Version::numbered(number, &latest.created_time),
            written_at: Some(time(&latest.created_time)?),
        },
    })
}

/// What a read of one version says.
fn read(version: Option<VersionedData>) -> Result<Reading, SourceError> {
    let Some(VersionedData { data, metadata }) = version else {
        return Err(incomplete("it has no data"));
    };
    if let Some(map) = data {
        return Ok(Reading::Present {
            version: Version::numbered(metadata.version, &metadata.created_time),
            written_at: Some(time(&metadata.created_time)?),
            document: Document::from_fields(map),
        });
    }
    Ok(Reading::Missing(if metadata.destroyed {
        Missing::Destroyed
    } else {
        Missing::Deleted
    }))
}

/// Whether a version is deleted or destroyed. With `delete_version_after`, `deletion_time` lies
/// ahead while the version lives.
fn gone(version: &SecretMetadata, now: DateTime<Utc>) -> Result<Option<Missing>, SourceError> {
    if version.destroyed {
        return Ok(Some(Missing::Destroyed));
    }
    if version.deletion_time.is_empty() || time(&version.deletion_time)? > now {
        return Ok(None);
    }
    Ok(Some(Missing::Deleted))
}

fn time(text: &str) -> Result<DateTime<Utc>, SourceError> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| incomplete("a time in it is not RFC 3339"))
}

fn incomplete(what: &str) -> SourceError {
    SourceError::Protocol {
        what: format!("the answer is not KV's: {what}"),
        status: "malformed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(state: &str) -> Observation {
        let text = format!(
            r#"{{"cas_required":false,"created_time":"2026-01-01T00:00:00Z","current_version":2,
            "delete_version_after":"0s","max_versions":0,"oldest_version":1,"custom_metadata":null,
            "updated_time":"2026-01-01T00:00:00Z","versions":{{"2":
            {{"created_time":"2026-01-02T03:04:05.678901234Z",{state}}}}}}}"#
        );
        let metadata = serde_json::from_str(&text).expect("metadata");
        let now = time("2026-06-01T00:00:00Z").expect("a time");
        observed(Some(metadata), now).expect("an observation")
    }

    #[test]
    fn a_version_is_there_until_its_deletion_time() {
        let there = Observation::Present {
            version: Version::numbered(2, "2026-01-02T03:04:05.678901234Z"),
            written_at: Some(time("2026-01-02T03:04:05.678901234Z").expect("a time")),
        };
        assert_eq!(look(r#""deletion_time":"","destroyed":false"#), there);
        assert_eq!(
            look(r#""deletion_time":"2026-07-01T00:00:00Z","destroyed":false"#),
            there
        );
        assert_eq!(
            look(r#""deletion_time":"2026-05-01T00:00:00Z","destroyed":false"#),
            Observation::Missing(Missing::Deleted)
        );
        assert_eq!(
            look(r#""deletion_time":"2026-05-01T00:00:00Z","destroyed":true"#),
            Observation::Missing(Missing::Destroyed)
        );
    }

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
