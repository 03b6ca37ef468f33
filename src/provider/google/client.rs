//! The calls of Google's API Keys API.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::config::GoogleConfig;
use super::operation::{Operation, Outcome, after};
use super::sign_in::{Metadata, ServiceAccount};
use crate::credential::SharedCredential;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::api::{Api, Call};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::provider::fields;
use crate::provider::oauth::OAuth;
use crate::secret::{Credentials, Secret};
use crate::upstream::Upstream;

/// The size of a page of a list.
const PAGE: &str = "100";

/// The most pages that are read of a list: a project has 300 keys at most
/// (<https://cloud.google.com/docs/authentication/api-keys>), and those that were deleted in the last thirty days.
const MOST_PAGES: usize = 100;

/// The most keys whose values are read to find one.
const MOST_READ: usize = 100;

/// The longest id of a key.
const LONGEST_ID: usize = 63;

/// The keys of a project.
pub struct Google {
    api: Api,
    project: String,
    service: String,
    service_account: Option<String>,
}

/// `google.api.apikeys.v2.Key`, as far as it is of use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    /// `projects/{number}/locations/global/keys/{id}`.
    #[serde(deserialize_with = "fields::name")]
    name: String,
    /// A UUID, which is the id, too, where none was chosen.
    #[serde(default, deserialize_with = "fields::any_name")]
    uid: Option<String>,
    #[serde(default, deserialize_with = "fields::any_name")]
    display_name: Option<String>,
    #[serde(default)]
    create_time: Option<DateTime<Utc>>,
    #[serde(default)]
    delete_time: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    keys: Vec<Listed>,
    #[serde(default, deserialize_with = "fields::any_name")]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    #[serde(deserialize_with = "fields::secret")]
    key_string: Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Make<'a> {
    display_name: &'a str,
    restrictions: Restrictions<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_email: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Restrictions<'a> {
    api_targets: [Target<'a>; 1],
}

#[derive(Serialize)]
struct Target<'a> {
    service: &'a str,
}

#[derive(Serialize)]
struct Nothing {}

impl Google {
    /// Builds the provider. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if `base_url` is none.
    pub fn new(
        config: &GoogleConfig,
        admin_key: Option<SharedCredential>,
        upstream: Upstream,
    ) -> Result<Self, ProviderError> {
        let upstream = Arc::new(upstream);
        let login_url = config.login_url.clone();
        let sign_in = match admin_key {
            Some(admin_key) => {
                let grant = ServiceAccount {
                    admin_key,
                    login_url,
                };
                OAuth::new(grant, Arc::clone(&upstream))
            }
            None => OAuth::new(Metadata { login_url }, Arc::clone(&upstream)),
        };
        Ok(Self {
            api: Api::new(&config.base_url, upstream, sign_in)?,
            project: config.project.clone(),
            service: config.service.clone(),
            service_account: config.service_account.clone(),
        })
    }

    fn keys(&self) -> [&str; 5] {
        ["projects", &self.project, "locations", "global", "keys"]
    }

    fn key<'a>(&'a self, id: &'a str) -> [&'a str; 6] {
        let [projects, project, locations, global, keys] = self.keys();
        [projects, project, locations, global, keys, id]
    }

    async fn page(&self, size: &str, token: Option<&str>) -> Result<Page, ProviderError> {
        let path = self.keys();
        let mut call = Call::new("GET /keys", &path)
            .query("showDeleted", "true")
            .query("pageSize", size)
            .needs("the permission `apikeys.keys.list`");
        if let Some(token) = token {
            call = call.query("pageToken", token);
        }
        self.api.call(call).await
    }

    /// Returns a key, which may be deleted; `None` if there is none.
    async fn get(&self, id: &str) -> Result<Option<Listed>, ProviderError> {
        let path = self.key(id);
        let call = Call::new("GET /keys/{id}", &path)
            .needs("the permission `apikeys.keys.get`")
            .tells(&[404]);
        Ok(self.api.attempt(call).await?.ok())
    }

    /// Returns the value of a key; `None` if it is not to be had any more.
    async fn value(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let [projects, project, locations, global, keys, id] = self.key(id);
        let path = [projects, project, locations, global, keys, id, "keyString"];
        let call = Call::new("GET /keys/{id}/keyString", &path)
            .needs("the permission `apikeys.keys.getKeyString`")
            .tells(&[400, 404]);
        let value: Result<Value, _> = self.api.attempt(call).await?;
        Ok(value.ok().map(|value| value.key_string))
    }

    /// Deletes or undeletes a key, and is content if it is so already.
    async fn set(&self, id: &str, call: Call<'_>, is_done: Done) -> Result<(), ProviderError> {
        let refusal = match self.api.attempt::<Operation>(call).await? {
            Ok(operation) => match operation.end(&self.api).await? {
                Outcome::Done => return Ok(()),
                Outcome::Failed(error) => error,
            },
            Err(refusal) => refusal.into(),
        };
        match is_done(self.get(id).await?.as_ref()) {
            true => Ok(()),
            false => Err(refusal),
        }
    }

    async fn remove(&self, id: &str, is_done: Done) -> Result<(), ProviderError> {
        let path = self.key(id);
        let call = Call::new("DELETE /keys/{id}", &path)
            .needs("the permission `apikeys.keys.delete`")
            .tells(&[400, 404, 409]);
        self.set(id, call, is_done).await
    }

    /// Reads a key that was just made, with its value.
    async fn made(&self, id: &str) -> Result<Minted, ProviderError> {
        let gone = |what: &str| ProviderError::Protocol {
            what: format!("the key {id} {what}"),
            status: "gone".to_owned(),
        };
        let key = self.get(id).await?;
        let key = key.ok_or_else(|| gone("was made, and is not there"))?;
        if key.delete_time.is_some() {
            return Err(gone("was deleted before"));
        }
        let value = self.value(id).await?;
        Ok(Minted {
            id: ProviderKeyId::new(id),
            credentials: Credentials {
                key: None,
                secret: value.ok_or_else(|| gone("was made, and has no value"))?,
            },
            created_at: key.create_time,
        })
    }
}

/// Tells by what is there whether a call was carried out.
type Done = fn(Option<&Listed>) -> bool;

#[async_trait]
impl Provider for Google {
    /// The limit of 300 keys is not stated: it is not known whether deleted keys count, which the list has.
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: true,
            last_use: false,
            disables: true,
            slots: false,
            limit: None,
        }
    }

    /// Lists the keys of the project, also those that were deleted in the last thirty days.
    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self.page(PAGE, token.as_deref()).await?;
            for key in page.keys {
                found.push(key.issued()?);
            }
            token = page.next_page_token;
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(ProviderError::Protocol {
            what: "the pages of the list have no end".to_owned(),
            status: "pages".to_owned(),
        })
    }

    /// Makes a key whose id is its name. If there is one already, an earlier call has made it.
    async fn mint(
        &self,
        name: &str,
        _slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        if !can_be_id(name) {
            return Err(ProviderError::Refused {
                what: format!(
                    "`{name}` cannot be the id of a key at Google: small letters, digits and `-`, {LONGEST_ID} at most"
                ),
                status: "setup".to_owned(),
            });
        }
        let make = Make {
            display_name: name,
            restrictions: Restrictions {
                api_targets: [Target {
                    service: &self.service,
                }],
            },
            service_account_email: self.service_account.as_deref(),
        };
        let path = self.keys();
        let call = Call::new("POST /keys", &path)
            .query("keyId", name)
            .body(&make)
            .needs("the permission `apikeys.keys.create`")
            .tells(&[409]);
        if let Ok(operation) = self.api.attempt::<Operation>(call).await?
            && let Outcome::Failed(error) = operation.end(&self.api).await?
        {
            return Err(error);
        }
        // From here on the key is there, so no error may say for certain that it is not.
        self.made(name).await.map_err(|error| after(&error))
    }

    async fn last_use(&self, _key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        Ok(LastUse::Unknown)
    }

    /// Deletes a key, which can be undone for thirty days.
    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        self.remove(key.as_str(), is_deleted).await
    }

    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let action = format!("{key}:undelete");
        let path = self.key(&action);
        let call = Call::new("POST /keys/{id}:undelete", &path)
            .body(&Nothing {})
            .needs("the permission `apikeys.keys.undelete`")
            .tells(&[400, 409]);
        let is_there = |key: Option<&Listed>| key.is_some_and(|key| key.delete_time.is_none());
        self.set(key.as_str(), call, is_there).await
    }

    /// Deletes a key. Google removes it for good after thirty days.
    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let is_gone = |key: Option<&Listed>| key.is_none_or(|key| key.delete_time.is_some());
        self.remove(key.as_str(), is_gone).await
    }

    /// Reads the values of the keys, a hundred at most and active ones first, until one is the same.
    async fn find(
        &self,
        keys: &[IssuedKey],
        value: &Credentials,
    ) -> Result<Option<ProviderKeyId>, ProviderError> {
        let active = keys.iter().filter(|key| key.active);
        let others = keys.iter().filter(|key| !key.active);
        for key in active.chain(others).take(MOST_READ) {
            let found = self.value(key.id.as_str()).await?;
            if found.is_some_and(|found| found.is_same(&value.secret)) {
                return Ok(Some(key.id.clone()));
            }
        }
        Ok(None)
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let listed = self.list().await?;
        let keys = match listed.iter().filter(|key| key.active).count() {
            1 => "1 key".to_owned(),
            count => format!("{count} keys"),
        };
        Ok(format!("{keys} in the project {}", self.project))
    }
}

fn is_deleted(key: Option<&Listed>) -> bool {
    key.is_some_and(|key| key.delete_time.is_some())
}

impl Listed {
    /// Its name is the id that was chosen for it, which nobody can change, and otherwise the one that people see.
    fn issued(self) -> Result<IssuedKey, ProviderError> {
        let id = self.name.rsplit('/').next().unwrap_or_default();
        if id.is_empty() {
            return Err(ProviderError::Protocol {
                what: "a key without an id".to_owned(),
                status: "list".to_owned(),
            });
        }
        let is_chosen = self.uid.as_deref().is_some_and(|uid| uid != id);
        Ok(IssuedKey {
            id: ProviderKeyId::new(id),
            name: match is_chosen {
                true => Some(id.to_owned()),
                false => self.display_name,
            },
            created_at: self.create_time,
            active: self.delete_time.is_none(),
            last_use: LastUse::Unknown,
            redacted: None,
        })
    }
}

/// Returns `true` if a text matches `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`, as the id of a key must.
fn can_be_id(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= LONGEST_ID
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(is_plain)
}
