//! Makes and revokes access keys.

use async_trait::async_trait;
use aws_sdk_iam::types::StatusType;

use crate::model::{Abilities, IssuedKey, LastUse, ProviderKeyId};
use crate::provider::aws::{Answer, Call, Iam, LIMIT, MOST_PAGES, key_id, key_of, missing, time};
use crate::provider::contract::{Minted, Provider, ProviderError};
use crate::secret::{Credentials, Secret};

/// The access keys of a user.
pub struct AccessKeys(Iam);

impl AccessKeys {
    /// Returns the keys of the user that `iam` leads to.
    pub fn new(iam: Iam) -> Self {
        Self(iam)
    }

    fn call(&self, operation: &'static str) -> Call<'_> {
        Call {
            operation,
            user: self.0.user(),
            keys: "access keys",
        }
    }

    async fn update(
        &self,
        key: &ProviderKeyId,
        status: StatusType,
    ) -> Result<Answer<()>, ProviderError> {
        let answer = self.0.ask(self.call("UpdateAccessKey"), |client| {
            let request = client.update_access_key().user_name(self.0.user());
            let request = request.access_key_id(key.as_str()).status(status.clone());
            request.send()
        });
        Ok(match answer.await? {
            Answer::Value(_) => Answer::Value(()),
            Answer::NotFound => Answer::NotFound,
        })
    }
}

/// As <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html> and the pages beside it have it.
#[async_trait]
impl Provider for AccessKeys {
    fn abilities(&self) -> Abilities {
        Abilities {
            mints: true,
            names: false,
            last_use: true,
            disables: true,
            slots: false,
            limit: Some(LIMIT),
        }
    }

    async fn list(&self) -> Result<Vec<IssuedKey>, ProviderError> {
        let call = self.call("ListAccessKeys");
        let mut found = Vec::new();
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let answer = self.0.ask(call, |client| {
                let request = client.list_access_keys().user_name(self.0.user());
                request.set_marker(marker.clone()).send()
            });
            let Answer::Value(page) = answer.await? else {
                return Err(call.no_user());
            };
            for key in page.access_key_metadata() {
                let id = missing(call, key.access_key_id(), "AccessKeyId")?;
                found.push(key_of(call, id, key.status(), key.create_date())?);
            }
            if !page.is_truncated() {
                return Ok(found);
            }
            marker = Some(missing(call, page.marker, "Marker")?);
        }
        Err(call.malformed("the list does not end"))
    }

    /// Makes a key. It has no name and takes no slot.
    async fn mint(&self, _: &str, _: Option<&ProviderKeyId>) -> Result<Minted, ProviderError> {
        let call = self.call("CreateAccessKey");
        let answer = self.0.ask(call, |client| {
            client.create_access_key().user_name(self.0.user()).send()
        });
        let Answer::Value(made) = answer.await? else {
            return Err(call.no_user());
        };
        let made = missing(call, made.access_key, "AccessKey")?;
        let secret = Secret::new(made.secret_access_key);
        if secret.is_empty() {
            return Err(call.malformed("it has no SecretAccessKey"));
        }
        Ok(Minted {
            id: key_id(call, &made.access_key_id)?,
            credentials: Credentials {
                key: Some(Secret::new(made.access_key_id)),
                secret,
            },
            created_at: made.create_date.as_ref().and_then(time),
        })
    }

    /// Asks for the last use of a key that may have been of any service, in any region.
    async fn last_use(&self, key: &ProviderKeyId) -> Result<LastUse, ProviderError> {
        let call = self.call("GetAccessKeyLastUsed");
        let answer = self.0.ask(call, |client| {
            let request = client.get_access_key_last_used();
            request.access_key_id(key.as_str()).send()
        });
        let Answer::Value(answer) = answer.await? else {
            return Err(call.no_key(key));
        };
        let used = missing(call, answer.access_key_last_used, "AccessKeyLastUsed")?;
        match used.last_used_date {
            None => Ok(LastUse::Never),
            Some(at) => missing(call, time(&at), "LastUsedDate").map(LastUse::At),
        }
    }

    async fn disable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        match self.update(key, StatusType::Inactive).await? {
            Answer::Value(()) => Ok(()),
            Answer::NotFound => self
                .call("UpdateAccessKey")
                .is_gone(key, &self.list().await?),
        }
    }

    async fn enable(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        match self.update(key, StatusType::Active).await? {
            Answer::Value(()) => Ok(()),
            Answer::NotFound => {
                let call = self.call("UpdateAccessKey");
                call.is_gone(key, &self.list().await?)?;
                Err(call.no_key(key))
            }
        }
    }

    async fn delete(&self, key: &ProviderKeyId) -> Result<(), ProviderError> {
        let call = self.call("DeleteAccessKey");
        let answer = self.0.ask(call, |client| {
            let request = client.delete_access_key().user_name(self.0.user());
            request.access_key_id(key.as_str()).send()
        });
        match answer.await? {
            Answer::Value(_) => Ok(()),
            Answer::NotFound => call.is_gone(key, &self.list().await?),
        }
    }

    /// Tells a key by its id, which is a part of the value.
    async fn find(
        &self,
        keys: &[IssuedKey],
        value: &Credentials,
    ) -> Result<Option<ProviderKeyId>, ProviderError> {
        let Some(id) = &value.key else {
            return Ok(None);
        };
        let found = keys.iter().find(|key| id.is(key.id.as_str()));
        Ok(found.map(|key| key.id.clone()))
    }

    async fn connect(&self) -> Result<String, ProviderError> {
        let keys = self.list().await?.len();
        let user = self.0.user();
        Ok(format!(
            "{keys} of {LIMIT} access keys of the IAM user {user}"
        ))
    }
}
