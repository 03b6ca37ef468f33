//! Makes and revokes Bedrock API keys.

use async_trait::async_trait;
use aws_sdk_iam::types::{ServiceSpecificCredentialMetadata, StatusType};
use zeroize::Zeroize;

use super::expires::Days;
use super::value::has_alias;
use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::aws::{Answer, Call, Iam, LIMIT, MOST_PAGES, key_id, key_of, missing, time};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::secret::{Credentials, Secret};

/// IAM's name of Bedrock.
const SERVICE: &str = "bedrock.amazonaws.com";

/// The Bedrock API keys of a user.
pub struct BedrockKeys {
    iam: Iam,
    expires: Option<Days>,
}

impl BedrockKeys {
    /// Returns the keys of the user that `iam` leads to. Those that are made live for so long, if they expire.
    pub fn new(iam: Iam, expires: Option<Days>) -> Self {
        Self { iam, expires }
    }

    fn call(&self, operation: &'static str) -> Call<'_> {
        Call {
            operation,
            user: self.iam.user(),
            keys: "Bedrock API keys",
        }
    }

    async fn listed(&self) -> Result<Vec<ServiceSpecificCredentialMetadata>, ProviderError> {
        let call = self.call("ListServiceSpecificCredentials");
        let mut found = Vec::new();
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let answer = self.iam.ask(call, |client| {
                let request = client.list_service_specific_credentials();
                let request = request.user_name(self.iam.user()).service_name(SERVICE);
                request.set_marker(marker.clone()).send()
            });
            let Answer::Value(page) = answer.await? else {
                return Err(call.no_user());
            };
            found.extend(page.service_specific_credentials.unwrap_or_default());
            if !page.is_truncated {
                return Ok(found);
            }
            marker = Some(missing(call, page.marker, "Marker")?);
        }
        Err(call.malformed("the list does not end"))
    }

    async fn update(
        &self,
        key: &ProviderKeyId,
        status: StatusType,
    ) -> Result<Answer<()>, ProviderError> {
        let call = self.call("UpdateServiceSpecificCredential");
        let answer = self.iam.ask(call, |client| {
            let request = client.update_service_specific_credential();
            let request = request.user_name(self.iam.user());
            let request = request.service_specific_credential_id(key.as_str());
            request.status(status.clone()).send()
        });
        Ok(match answer.await? {
            Answer::Value(_) => Answer::Value(()),
            Answer::NotFound => Answer::NotFound,
        })
    }

    /// Checks that a key which IAM did not find is gone.
    async fn is_gone(
        &self,
        operation: &'static str,
        key: &ProviderKeyId,
    ) -> Result<(), ProviderError> {
        self.call(operation).is_gone(key, &self.list().await?)
    }
}

/// As <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html> and the pages
/// beside it have it.
#[async_trait]
impl Provider for BedrockKeys {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: false,
            last_use: false,
            disables: true,
            slots: false,
            limit: Some(LIMIT),
        }
    }

    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        let call = self.call("ListServiceSpecificCredentials");
        let listed = self.listed().await?;
        let keys = listed.iter().map(|key| {
            let id = key.service_specific_credential_id();
            key_of(call, id, Some(key.status()), Some(key.create_date()))
        });
        keys.collect()
    }

    /// Makes a key. Its name is IAM's choice, and it takes no slot.
    async fn mint(&self, _: &str, _: Option<&ProviderKeyId>) -> Result<Minted, ProviderError> {
        let call = self.call("CreateServiceSpecificCredential");
        let answer = self.iam.ask(call, |client| {
            let request = client.create_service_specific_credential();
            let request = request.user_name(self.iam.user()).service_name(SERVICE);
            let days = self.expires.map(Days::get);
            request.set_credential_age_days(days).send()
        });
        let Answer::Value(made) = answer.await? else {
            return Err(call.no_user());
        };
        let made = made.service_specific_credential;
        let mut made = missing(call, made, "ServiceSpecificCredential")?;
        // A password is for other services.
        made.service_password.zeroize();
        // Bedrock's user guide calls it `ServiceApiKeyValue`; the API has it under this name.
        let secret = missing(
            call,
            made.service_credential_secret,
            "ServiceCredentialSecret",
        )?;
        let secret = Secret::new(secret);
        if secret.is_empty() {
            return Err(call.malformed("the ServiceCredentialSecret is empty"));
        }
        Ok(Minted {
            id: key_id(call, &made.service_specific_credential_id)?,
            credentials: Credentials { key: None, secret },
            created_at: time(&made.create_date),
        })
    }

    /// Returns [`LastUse::Unknown`]: IAM does not say.
    async fn last_use(&self, _: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        Ok(LastUse::Unknown)
    }

    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        match self.update(key, StatusType::Inactive).await? {
            Answer::Value(()) => Ok(()),
            Answer::NotFound => self.is_gone("UpdateServiceSpecificCredential", key).await,
        }
    }

    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        match self.update(key, StatusType::Active).await? {
            Answer::Value(()) => Ok(()),
            Answer::NotFound => {
                let operation = "UpdateServiceSpecificCredential";
                self.is_gone(operation, key).await?;
                Err(self.call(operation).no_key(key))
            }
        }
    }

    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let call = self.call("DeleteServiceSpecificCredential");
        let answer = self.iam.ask(call, |client| {
            let request = client.delete_service_specific_credential();
            let request = request.user_name(self.iam.user());
            request.service_specific_credential_id(key.as_str()).send()
        });
        match answer.await? {
            Answer::Value(_) => Ok(()),
            Answer::NotFound => self.is_gone(call.operation, key).await,
        }
    }

    /// Tells a key by its alias, which is a part of the value.
    async fn find(
        &self,
        keys: &[IssuedKey],
        value: &Credentials,
    ) -> Result<Option<ProviderKeyId>, ProviderError> {
        let listed = self.listed().await?;
        let mut found = listed.iter().filter(|key| {
            let alias = key.service_credential_alias().unwrap_or_default();
            has_alias(&value.secret, alias)
        });
        let (Some(one), None) = (found.next(), found.next()) else {
            return Ok(None);
        };
        let id = one.service_specific_credential_id();
        let found = keys.iter().find(|key| key.id.as_str() == id);
        Ok(found.map(|key| key.id.clone()))
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let keys = self.list().await?.len();
        let user = self.iam.user();
        Ok(format!(
            "{keys} of {LIMIT} Bedrock API keys of the IAM user {user}"
        ))
    }
}
