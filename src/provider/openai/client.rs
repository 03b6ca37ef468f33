//! The calls of OpenAI's API.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::config::OpenAiConfig;
use crate::credential::SharedCredential;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::api::{Api, Call, Static};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::provider::{fields, pages};
use crate::secret::{Credentials, Redacted, Secret};
use crate::upstream::Upstream;

/// The permission that every call needs.
const NEEDS: &str = "the permission `api.management.write`";

/// The largest page of a list.
const PAGE: &str = "100";

/// The keys of a service account.
pub struct OpenAi {
    api: Api,
    project: String,
    service_account: String,
}

/// `ProjectApiKey` in the reference, as far as it is of use.
#[derive(Deserialize)]
struct Listed {
    #[serde(deserialize_with = "fields::name")]
    id: String,
    #[serde(default, deserialize_with = "fields::any_name")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::redacted")]
    redacted_value: Option<Redacted>,
    #[serde(default, deserialize_with = "fields::unix_time")]
    created_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "fields::last_use_unix")]
    last_used_at: LastUse,
}

/// The answer to the call that makes a key, the only one that has its value.
#[derive(Deserialize)]
struct Made {
    #[serde(deserialize_with = "fields::name")]
    id: String,
    #[serde(deserialize_with = "fields::secret")]
    value: Secret,
    #[serde(default, deserialize_with = "fields::unix_time")]
    created_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct Make<'a> {
    name: &'a str,
}

impl OpenAi {
    /// Builds the provider. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if `base_url` is none.
    pub fn new(
        config: &OpenAiConfig,
        admin_key: SharedCredential,
        upstream: Upstream,
    ) -> Result<Self, ProviderError> {
        Ok(Self {
            api: Api::new(&config.base_url, upstream, Static::bearer(admin_key))?,
            project: config.project.clone(),
            service_account: config.service_account.clone(),
        })
    }

    fn path<'a>(&'a self, key: &'a ProviderKeyId) -> [&'a str; 5] {
        let project = self.project.as_str();
        [
            "organization",
            "projects",
            project,
            "api_keys",
            key.as_str(),
        ]
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: true,
            last_use: true,
            disables: false,
            slots: false,
            limit: None,
        }
    }

    /// Lists the keys of the whole project: also those of people, and those whose owner has no access to it any more.
    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        let path = ["organization", "projects", &self.project, "api_keys"];
        let call = Call::new("GET /api_keys", &path)
            .query("limit", PAGE)
            .query("owner_project_access", "any")
            .needs(NEEDS);
        let listed: Vec<Listed> = pages::all(&self.api, call, "after").await?;
        Ok(listed.into_iter().map(IssuedKey::from).collect())
    }

    async fn mint(
        &self,
        name: &str,
        _slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        let path = [
            "organization",
            "projects",
            &self.project,
            "service_accounts",
            &self.service_account,
            "api_keys",
        ];
        let call = Call::new("POST /service_accounts/{id}/api_keys", &path)
            .body(&Make { name })
            .needs(NEEDS);
        let made: Made = self.api.call(call).await?;
        Ok(Minted {
            id: ProviderKeyId::new(made.id),
            credentials: Credentials {
                key: None,
                secret: made.value,
            },
            created_at: made.created_at,
        })
    }

    async fn last_use(&self, key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        let path = self.path(key);
        let call = Call::new("GET /api_keys/{id}", &path).needs(NEEDS);
        let listed: Listed = self.api.call(call).await?;
        Ok(listed.last_used_at)
    }

    async fn disable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(cannot_disable())
    }

    async fn enable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(cannot_disable())
    }

    /// Deletes a key. The reference says that this works for a service account's key, too; until 2026 it said that this
    /// is an error, and that deleting the account is the way. That would be the account that people have set up.
    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let path = self.path(key);
        let call = Call::new("DELETE /api_keys/{id}", &path)
            .needs(NEEDS)
            .tells(&[400, 404]);
        match self.api.attempt::<IgnoredAny>(call).await? {
            Ok(IgnoredAny) => Ok(()),
            // A wrong project is not found, either: then its list is an error.
            Err(refusal) if refusal.status == 404 => self.list().await.map(drop),
            Err(refusal) => Err(ProviderError::Refused {
                what: format!(
                    "OpenAI refuses to delete the key {key} ({}): delete it in the console, at its service account",
                    refusal.what
                ),
                status: refusal.status.to_string(),
            }),
        }
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let keys = pages::counted(self.list().await?.len());
        Ok(format!("{keys} in the project {}", self.project))
    }
}

impl From<Listed> for IssuedKey {
    fn from(listed: Listed) -> Self {
        Self {
            id: ProviderKeyId::new(listed.id),
            name: listed.name,
            created_at: listed.created_at,
            active: true,
            last_use: listed.last_used_at,
            redacted: listed.redacted_value,
        }
    }
}

fn cannot_disable() -> ProviderError {
    ProviderError::unsupported("OpenAI cannot disable a key, only delete it")
}
