//! The calls of Anthropic's Admin API.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::config::AnthropicConfig;
use crate::credential::SharedCredential;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::api::{Api, Call, Static};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::provider::kind::ProviderKind as _;
use crate::provider::{fields, pages};
use crate::secret::Redacted;
use crate::upstream::Upstream;

/// What every call needs.
const NEEDS: &str = "an admin key";

/// The largest page of a list.
const PAGE: &str = "1000";

/// The version of the API (<https://platform.claude.com/docs/en/api/versioning>).
const VERSION: &str = "2023-06-01";

/// The keys of an organization.
pub struct Anthropic {
    api: Api,
    workspace: Option<String>,
    place: String,
}

/// A key, as far as it is of use.
#[derive(Deserialize)]
struct Listed {
    #[serde(deserialize_with = "fields::name")]
    id: String,
    #[serde(default, deserialize_with = "fields::any_name")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::redacted")]
    partial_key_hint: Option<Redacted>,
    #[serde(default)]
    created_at: Option<DateTime<Utc>>,
    status: Status,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Inactive,
    Archived,
    Expired,
}

#[derive(Serialize)]
struct Change {
    status: Status,
}

impl Anthropic {
    /// Builds the provider. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if `base_url` is none.
    pub fn new(
        config: &AnthropicConfig,
        admin_key: SharedCredential,
        upstream: Upstream,
    ) -> Result<Self, ProviderError> {
        let authorization = Static::header(admin_key, "x-api-key");
        let api = Api::new(&config.base_url, upstream, authorization)?;
        Ok(Self {
            api: api.with_header("anthropic-version", VERSION),
            workspace: config.workspace.clone(),
            place: config.place(),
        })
    }

    /// Gives a key this status. A key that cannot have it any more is left if `suffices` says so of its status; one that
    /// is not there counts as archived.
    async fn set(
        &self,
        key: &ProviderKeyId,
        status: Status,
        suffices: fn(Status) -> bool,
    ) -> Result<(), ProviderError> {
        let path = ["v1", "organizations", "api_keys", key.as_str()];
        let call = Call::new("POST /v1/organizations/api_keys/{id}", &path)
            .body(&Change { status })
            .needs(NEEDS)
            .tells(&[400, 404]);
        let refusal = match self.api.attempt::<Listed>(call).await? {
            Ok(listed) if suffices(listed.status) => return Ok(()),
            Ok(_) => {
                return Err(ProviderError::Protocol {
                    what: "the answer to `POST /v1/organizations/api_keys/{id}` shows no change"
                        .to_owned(),
                    status: "200".to_owned(),
                });
            }
            Err(refusal) => refusal,
        };
        let is = match refusal.status {
            404 => Status::Archived,
            _ => {
                let call = Call::new("GET /v1/organizations/api_keys/{id}", &path).needs(NEEDS);
                self.api.call::<Listed>(call).await?.status
            }
        };
        match suffices(is) {
            true => Ok(()),
            false => Err(refusal.into()),
        }
    }
}

#[async_trait]
impl Provider for Anthropic {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: false,
            names: true,
            last_use: false,
            disables: true,
            slots: false,
            limit: None,
        }
    }

    /// Lists the keys, without those that are archived.
    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        let path = ["v1", "organizations", "api_keys"];
        let mut call = Call::new("GET /v1/organizations/api_keys", &path)
            .query("limit", PAGE)
            .needs(NEEDS);
        if let Some(workspace) = &self.workspace {
            call = call.query("workspace_id", workspace);
        }
        let mut listed: Vec<Listed> = pages::all(&self.api, call, "after_id").await?;
        listed.retain(|key| key.status != Status::Archived);
        Ok(listed.into_iter().map(IssuedKey::from).collect())
    }

    async fn mint(
        &self,
        _name: &str,
        _slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        Err(ProviderError::unsupported(
            "Anthropic has no call that makes a key: make it in the console, and write it to the source",
        ))
    }

    async fn last_use(&self, _key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        Ok(LastUse::Unknown)
    }

    /// Disables a key. One that is archived or has expired serves nobody, either.
    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let serves_nobody = |status| status != Status::Active;
        self.set(key, Status::Inactive, serves_nobody).await
    }

    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let is_active = |status| status == Status::Active;
        self.set(key, Status::Active, is_active).await
    }

    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let is_archived = |status| status == Status::Archived;
        self.set(key, Status::Archived, is_archived).await
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let keys = pages::counted(self.list().await?.len());
        Ok(format!("{keys} in {}", self.place))
    }
}

impl From<Listed> for IssuedKey {
    fn from(listed: Listed) -> Self {
        Self {
            id: ProviderKeyId::new(listed.id),
            name: listed.name,
            created_at: listed.created_at,
            active: listed.status == Status::Active,
            last_use: LastUse::Unknown,
            redacted: listed.partial_key_hint,
        }
    }
}
