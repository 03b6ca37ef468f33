//! The calls of Azure Resource Manager for an account of Azure OpenAI.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::config::AzureOpenAiConfig;
use super::sign_in::Application;
use crate::credential::SharedCredential;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::api::{Api, Call};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::provider::fields;
use crate::provider::oauth::OAuth;
use crate::secret::{Credentials, Secret};
use crate::upstream::Upstream;

/// The two keys of an account.
pub struct AzureOpenAi {
    api: Api,
    subscription: String,
    resource_group: String,
    account: String,
    api_version: String,
}

/// A slot: the id of a key, and the word for it in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    One,
    Two,
}

/// `ApiKeys` in the reference.
#[derive(Deserialize)]
struct Values {
    #[serde(deserialize_with = "fields::secret")]
    key1: Secret,
    #[serde(deserialize_with = "fields::secret")]
    key2: Secret,
}

/// `RegenerateKeyParameters` in the reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Regenerate {
    key_name: &'static str,
}

impl AzureOpenAi {
    /// Builds the provider. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if `base_url` is none.
    pub fn new(
        config: &AzureOpenAiConfig,
        admin_key: Option<SharedCredential>,
        upstream: Upstream,
    ) -> Result<Self, ProviderError> {
        let upstream = Arc::new(upstream);
        let application = Application::new(config, admin_key);
        let sign_in = OAuth::new(application, Arc::clone(&upstream));
        Ok(Self {
            api: Api::new(&config.base_url, upstream, sign_in)?,
            subscription: config.subscription.clone(),
            resource_group: config.resource_group.clone(),
            account: config.account.clone(),
            api_version: config.api_version.clone(),
        })
    }

    fn path<'a>(&'a self, action: &'a str) -> [&'a str; 9] {
        [
            "subscriptions",
            &self.subscription,
            "resourceGroups",
            &self.resource_group,
            "providers",
            "Microsoft.CognitiveServices",
            "accounts",
            &self.account,
            action,
        ]
    }

    async fn values(&self) -> Result<Values, ProviderError> {
        let path = self.path("listKeys");
        let call = Call::new("POST /listKeys", &path)
            .query("api-version", &self.api_version)
            .needs("the permission `Microsoft.CognitiveServices/accounts/listKeys/action`");
        self.api.call(call).await
    }

    /// Gives a slot another key.
    async fn regenerate(&self, slot: Slot) -> Result<Secret, ProviderError> {
        let path = self.path("regenerateKey");
        let body = Regenerate {
            key_name: slot.word(),
        };
        let call = Call::new("POST /regenerateKey", &path)
            .query("api-version", &self.api_version)
            .body(&body)
            .needs("the permission `Microsoft.CognitiveServices/accounts/regenerateKey/action`");
        let values: Values = self.api.call(call).await?;
        Ok(match slot {
            Slot::One => values.key1,
            Slot::Two => values.key2,
        })
    }
}

impl Slot {
    fn of(id: &ProviderKeyId) -> Result<Self, ProviderError> {
        let slots = [Self::One, Self::Two];
        let slot = slots.into_iter().find(|slot| slot.id() == *id);
        slot.ok_or_else(|| {
            ProviderError::unsupported("the slots of an account are `key1` and `key2`")
        })
    }

    fn id(self) -> ProviderKeyId {
        ProviderKeyId::new(match self {
            Self::One => "key1",
            Self::Two => "key2",
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::One => "Key1",
            Self::Two => "Key2",
        }
    }

    fn issued(self) -> IssuedKey {
        IssuedKey {
            id: self.id(),
            name: None,
            created_at: None,
            active: true,
            last_use: LastUse::Unknown,
            redacted: None,
        }
    }
}

#[async_trait]
impl Provider for AzureOpenAi {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: false,
            last_use: false,
            disables: false,
            slots: true,
            limit: Some(2),
        }
    }

    /// Lists both slots. Their values are read and thrown away: there is no call that only says that they are there.
    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        self.values().await?;
        Ok(vec![Slot::One.issued(), Slot::Two.issued()])
    }

    async fn mint(
        &self,
        _name: &str,
        slot: Option<&ProviderKeyId>,
    ) -> Result<Minted, ProviderError> {
        let slot =
            slot.ok_or_else(|| ProviderError::unsupported("a key is made in one of the slots"))?;
        let secret = self.regenerate(Slot::of(slot)?).await?;
        Ok(Minted {
            id: slot.clone(),
            credentials: Credentials { key: None, secret },
            created_at: None,
        })
    }

    async fn last_use(&self, _key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        Ok(LastUse::Unknown)
    }

    async fn disable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(cannot_disable())
    }

    async fn enable(&self, _key: &ProviderKeyId) -> Result<(), ProviderError> {
        Err(cannot_disable())
    }

    /// Gives the slot a key that nobody knows.
    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        self.regenerate(Slot::of(key)?).await.map(drop)
    }

    /// Reads both values and compares them.
    async fn find(
        &self,
        keys: &[IssuedKey],
        value: &Credentials,
    ) -> Result<Option<ProviderKeyId>, ProviderError> {
        let values = self.values().await?;
        let slot = match (
            values.key1.is_same(&value.secret),
            values.key2.is_same(&value.secret),
        ) {
            (true, false) => Slot::One,
            (false, true) => Slot::Two,
            _ => return Ok(None),
        };
        let is_asked = keys.iter().any(|key| key.id == slot.id());
        Ok(is_asked.then(|| slot.id()))
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        self.values().await?;
        Ok(format!("2 keys of the account {}", self.account))
    }
}

fn cannot_disable() -> ProviderError {
    ProviderError::unsupported("Azure OpenAI cannot disable a key, only replace it")
}
