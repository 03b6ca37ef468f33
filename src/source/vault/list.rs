//! Lists the secrets of a KV engine.
//!
//! OpenBao from 2.2 on lists the secrets of a folder with their metadata
//! (`LIST …/detailed-metadata/…`, or `SCAN` for all folders below it:
//! <https://openbao.org/api-docs/secret/kv/kv-v2/>). Where the server or the policy has neither, only names are listed,
//! folder by folder. A secret that is missing in a list may be one that the policy hides
//! (`list_scan_response_keys_filter_path`), so a list never shows that a secret does not exist.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use async_trait::async_trait;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::form_urlencoded::Serializer;
use vaultrs::api::kv2::responses::SecretMetadata;

use super::entry::{Envelope, incomplete, time, version};
use super::keeper::Keeper;
use super::kv::Engine;
use super::kv_version::KvVersion;
use super::refusal::{Absent, absent, denied, is_denial, unexpected};
use super::token::Token;
use crate::model::{Missing, Observation};
use crate::source::contract::SourceError;

/// The number of secrets in one page, where a list is read in pages.
pub(super) const PAGE: usize = 2000;

/// A way to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All folders below one, with metadata. It has no pages.
    Scan,
    /// One folder, with metadata.
    Details,
    /// One folder, names alone.
    Names(KvVersion),
}

/// A part of a list.
#[derive(Clone, Copy, Default)]
pub(super) struct Page<'a> {
    /// The largest number of names in it; `None` for the whole list.
    pub limit: Option<usize>,
    /// The name after which it begins.
    pub after: Option<&'a str>,
}

/// The request for a list. It is sent as a GET, which every proxy knows.
struct List {
    path: String,
    query: String,
}

#[async_trait]
impl Endpoint for List {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::GET
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(Some(self.query.clone()))
    }
}

/// The answer to [`List`].
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Names {
    /// The names, with a slash at the end of a folder's. A scan that finds nothing has none.
    keys: Option<Vec<String>>,
    /// The metadata of each secret.
    key_info: Option<HashMap<String, Info>>,
}

/// The metadata of a secret in a list. All are absent for a folder.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub current_version: Option<u64>,
    pub custom_metadata: Option<BTreeMap<String, String>>,
    versions: Option<Newest>,
}

/// The version with the highest number. The others are not kept.
struct Newest {
    number: u64,
    metadata: Option<SecretMetadata>,
}

impl<'de> Deserialize<'de> for Newest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Versions;
        impl<'de> Visitor<'de> for Versions {
            type Value = Newest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("versions by their numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Newest, A::Error> {
                let mut newest = Newest {
                    number: 0,
                    metadata: None,
                };
                while let Some(number) = map.next_key::<Number>()? {
                    if number.0 > newest.number {
                        newest = Newest {
                            number: number.0,
                            metadata: Some(map.next_value()?),
                        };
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(newest)
            }
        }
        deserializer.deserialize_map(Versions)
    }
}

/// A number that is written as a text.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Digits)
    }
}

impl Names {
    /// Returns each name with the metadata that the list has of it.
    pub fn into_entries(self) -> impl Iterator<Item = (String, Option<Info>)> {
        let mut info = self.key_info.unwrap_or_default();
        self.keys.into_iter().flatten().map(move |name| {
            let info = info.remove(&name);
            (name, info)
        })
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.keys.as_ref().map_or(0, Vec::len)
    }

    /// Returns the name after which the next page begins.
    pub fn last(&self) -> Option<&String> {
        self.keys.as_ref()?.last()
    }
}

impl Info {
    /// Returns the result of observing the secret; `None` where only the secret itself shows it, because a version
    /// with a `deletion_time` is or will be deleted.
    pub fn observed(&self) -> Option<Observation> {
        let number = self.current_version?;
        if number == 0 {
            return Some(Observation::Missing(Missing::NoValueYet));
        }
        let newest = self.versions.as_ref().filter(|it| it.number == number)?;
        let newest = newest.metadata.as_ref()?;
        if newest.destroyed {
            return Some(Observation::Missing(Missing::Destroyed));
        }
        if !newest.deletion_time.is_empty() {
            return None;
        }
        Some(Observation::Present {
            version: version(number, &newest.created_time).ok()?,
            written_at: time(&newest.created_time).ok(),
        })
    }
}

impl Way {
    /// Returns the name of the operation in metrics.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Scan => "scan_details",
            Self::Details => "list_details",
            Self::Names(_) => "list_names",
        }
    }

    /// Returns the path of a folder's list in the API.
    fn place(self, mount: &str, folder: &str) -> String {
        let engine = match self {
            Self::Scan | Self::Details => "/detailed-metadata",
            Self::Names(KvVersion::V2) => "/metadata",
            Self::Names(KvVersion::V1) => "",
        };
        match folder {
            "" => format!("{mount}{engine}"),
            folder => format!("{mount}{engine}/{folder}"),
        }
    }

    fn capability(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Details | Self::Names(_) => "list",
        }
    }
}

impl Page<'_> {
    fn query(self, way: Way) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair(way.capability(), "true");
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if let Some(after) = self.after {
            query.append_pair("after", after);
        }
        query.finish()
    }
}

impl Engine {
    /// Requests a list, or a page of it. A folder that does not exist is empty.
    pub async fn page(
        &self,
        keeper: &Keeper,
        token: &Token,
        way: Way,
        folder: &str,
        page: Page<'_>,
    ) -> Result<Names, SourceError> {
        let place = way.place(&self.mount, folder);
        let request = List {
            path: place.clone(),
            query: page.query(way),
        };
        let call = async {
            let answer = token.call(request).await?;
            match answer.status {
                200..=299 => match answer.json::<Envelope<Names>>()?.data {
                    Some(names) if names.keys.is_some() || way == Way::Scan => Ok(names),
                    _ => Err(incomplete("it has no names")),
                },
                404 => match (absent(&answer), way) {
                    (Absent::IsVersioned, Way::Scan | Way::Details) => Err(not_offered()),
                    _ => self.nothing(&answer, &place).map(|_| Names::default()),
                },
                status if is_denial(status) => {
                    let (inside, capability) = (self.inside(), way.capability());
                    let needs = format!("`{capability}` on `{place}/`{inside}");
                    Err(denied(&answer, &needs))
                }
                _ => Err(unexpected(&answer, &format!("listing `{place}`"))),
            }
        };
        keeper.upstream().call(way.operation(), call).await
    }
}

/// Returns `true` if a way to list is closed: by a policy, or because the server does not have it.
pub(super) fn is_refused(error: &SourceError) -> bool {
    match error {
        SourceError::Denied { .. } => true,
        SourceError::Protocol { status, .. } => matches!(&**status, "400" | "404" | "405"),
        _ => false,
    }
}

fn not_offered() -> SourceError {
    SourceError::Protocol {
        what: "the server cannot list secrets with their metadata, which OpenBao can from 2.2 on"
            .to_owned(),
        status: "404".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(current: u64, deletion_time: &str, destroyed: bool) -> Info {
        let version = |day: u64| json!({"created_time": format!("2026-01-{day:02}T00:00:00Z"), "deletion_time": deletion_time, "destroyed": destroyed});
        serde_json::from_value(json!({
            "cas_required": false, "current_version": current, "custom_metadata": null,
            "versions": {"10": version(10), "8": version(8), "9": version(9)},
        }))
        .expect("metadata")
    }

    #[test]
    fn a_list_says_what_an_observation_would_or_nothing() {
        let Some(Observation::Present { version, .. }) = info(10, "", false).observed() else {
            panic!("no version");
        };
        assert_eq!(version.as_str(), "10@2026-01-10T00:00:00Z");
        let missing = |why| Some(Observation::Missing(why));
        assert_eq!(info(0, "", false).observed(), missing(Missing::NoValueYet));
        assert_eq!(info(10, "", true).observed(), missing(Missing::Destroyed));
        // It depends on the server's clock, or the newest version is not there.
        assert_eq!(info(10, "2026-02-01T00:00:00Z", false).observed(), None);
        assert_eq!(info(11, "", false).observed(), None);
        assert_eq!(Info::default().observed(), None);
    }

    #[test]
    fn a_page_with_odd_names_is_no_list() {
        for page in [
            json!({"keys": "a"}),
            json!({"keys": [1]}),
            json!({"keys": ["a"], "key_info": {"a": {"versions": {"x": {}}}}}),
        ] {
            assert!(
                serde_json::from_value::<Names>(page.clone()).is_err(),
                "{page}"
            );
        }
        let page = json!({"keys": ["a", "b/"], "key_info": {"a": {"current_version": 0, "versions": {}}, "b/": {}}});
        let names: Names = serde_json::from_value(page).expect("a list");
        assert_eq!(names.into_entries().count(), 2);
    }
}
