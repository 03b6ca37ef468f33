//! The calls of OpenRouter's API.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::config::OpenRouterConfig;
use crate::credential::SharedCredential;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::api::{Api, Call, Static};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::provider::kind::ProviderKind as _;
use crate::provider::{fields, pages};
use crate::secret::{Credentials, Redacted, Secret};
use crate::upstream::Upstream;

/// What every call needs.
const NEEDS: &str = "a management key";

/// How often a list is read that changes while it is read.
const READINGS: usize = 4;

/// The keys of a workspace.
pub struct OpenRouter {
    api: Api,
    workspace: Option<String>,
    place: String,
}

/// The answer of every call but `DELETE`.
#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// A key, as far as it is of use. `hash` is its id, and `label` its value with the middle left out.
#[derive(Deserialize)]
struct Listed {
    #[serde(deserialize_with = "fields::name")]
    hash: String,
    #[serde(default, deserialize_with = "fields::any_name")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::redacted")]
    label: Option<Redacted>,
    disabled: bool,
    #[serde(default)]
    created_at: Option<DateTime<Utc>>,
    /// The latest use, or null if there was none since the end of 2025. Older servers do not have it.
    #[serde(default, deserialize_with = "fields::last_use")]
    last_used_at: LastUse,
}

/// The answer to the call that makes a key, the only one that has its value.
#[derive(Deserialize)]
struct Made {
    #[serde(deserialize_with = "fields::secret")]
    key: Secret,
    data: Listed,
}

#[derive(Serialize)]
struct Make<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Change {
    disabled: bool,
}

impl OpenRouter {
    /// Builds the provider. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if `base_url` is none.
    pub fn new(
        config: &OpenRouterConfig,
        admin_key: SharedCredential,
        upstream: Upstream,
    ) -> Result<Self, ProviderError> {
        Ok(Self {
            api: Api::new(&config.base_url, upstream, Static::bearer(admin_key))?,
            workspace: config.workspace.clone(),
            place: config.place(),
        })
    }

    /// Reads the list once; `None` if it has changed in the meantime, so that keys may be missing.
    ///
    /// How many a page has is not part of the answer, so pages are asked for until one has none that is new. Each begins
    /// with the last key of the page before, or the list has changed.
    async fn read(&self) -> Result<Option<Vec<IssuedKey>>, ProviderError> {
        let (mut found, mut known) = (Vec::<IssuedKey>::new(), HashSet::new());
        for _ in 0..pages::MOST {
            let offset = found.len().saturating_sub(1).to_string();
            let mut call = Call::new("GET /keys", &["keys"])
                .query("include_disabled", "true")
                .query("offset", &offset)
                .needs(NEEDS);
            if let Some(workspace) = &self.workspace {
                call = call.query("workspace_id", workspace);
            }
            let Data { data }: Data<Vec<Listed>> = self.api.call(call).await?;
            let before = found.len();
            let page: Vec<_> = data.into_iter().map(IssuedKey::from).collect();
            if let Some(last) = found.last()
                && page.iter().all(|key| key.id != last.id)
            {
                return Ok(None);
            }
            let is_new = |key: &IssuedKey| known.insert(key.id.clone());
            found.extend(page.into_iter().filter(is_new));
            if found.len() == before {
                return Ok(Some(found));
            }
        }
        Err(pages::endless())
    }

    /// Disables or enables a key. One that is not there counts as disabled.
    async fn set(&self, key: &ProviderKeyId, disabled: bool) -> Result<(), ProviderError> {
        let path = ["keys", key.as_str()];
        let call = Call::new("PATCH /keys/{hash}", &path)
            .body(&Change { disabled })
            .needs(NEEDS)
            .tells(&[404]);
        match self.api.attempt::<Data<Listed>>(call).await? {
            Ok(Data { data }) if data.disabled == disabled => Ok(()),
            Ok(_) => Err(ProviderError::Protocol {
                what: "the answer to `PATCH /keys/{hash}` shows no change".to_owned(),
                status: "200".to_owned(),
            }),
            Err(_) if disabled => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }
}

#[async_trait]
impl Provider for OpenRouter {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: true,
            last_use: true,
            disables: true,
            slots: false,
            limit: None,
        }
    }

    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        for _ in 0..READINGS {
            if let Some(found) = self.read().await? {
                return Ok(found);
            }
        }
        Err(ProviderError::Protocol {
            what: "the list has changed whenever it was read".to_owned(),
            status: "pages".to_owned(),
        })
    }

    async fn mint(
        &self,
        name: &str,
        _slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        let make = Make {
            name,
            workspace_id: self.workspace.as_deref(),
        };
        let call = Call::new("POST /keys", &["keys"]).body(&make).needs(NEEDS);
        let made: Made = self.api.call(call).await?;
        Ok(Minted {
            id: ProviderKeyId::new(made.data.hash),
            credentials: Credentials {
                key: None,
                secret: made.key,
            },
            created_at: made.data.created_at,
        })
    }

    async fn last_use(&self, key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        let path = ["keys", key.as_str()];
        let call = Call::new("GET /keys/{hash}", &path).needs(NEEDS);
        let Data { data }: Data<Listed> = self.api.call(call).await?;
        Ok(data.last_used_at)
    }

    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        self.set(key, true).await
    }

    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        self.set(key, false).await
    }

    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let path = ["keys", key.as_str()];
        let call = Call::new("DELETE /keys/{hash}", &path)
            .needs(NEEDS)
            .tells(&[404]);
        let deleted = self.api.attempt::<IgnoredAny>(call).await?;
        // Refused with 404: there is no such key any more.
        deleted.map(|IgnoredAny| ()).or(Ok(()))
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let keys = pages::counted(self.list().await?.len());
        Ok(format!("{keys} in {}", self.place))
    }
}

impl From<Listed> for IssuedKey {
    fn from(listed: Listed) -> Self {
        Self {
            id: ProviderKeyId::new(listed.hash),
            name: listed.name,
            created_at: listed.created_at,
            active: !listed.disabled,
            last_use: listed.last_used_at,
            redacted: listed.label,
        }
    }
}
