//! Calls IAM.

use std::error::Error;
use std::future::Future;

use aws_sdk_iam::Client;
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::Mutex;

use super::error::{Answer, Call, of_source};
use super::settings::IamUser;
use crate::provider::contract::ProviderError;
use crate::source::aws::Account;
use crate::upstream::Upstream;

/// Makes the calls of one provider.
pub struct Iam {
    upstream: Upstream,
    account: Account,
    base_url: Option<String>,
    user: String,
    /// The client in use, made when it is first needed and again when its credentials were refused.
    client: Mutex<Option<Client>>,
}

impl Iam {
    /// Returns the way to the keys of a user. Nothing is read or called before it is used.
    pub fn new(user: &IamUser, upstream: Upstream) -> Self {
        Self::in_account(Account::new(user.sign_in()), user, upstream)
    }

    /// Returns the way to the keys of a user, signed in to `account` in place of the one that the settings have.
    pub fn in_account(account: Account, user: &IamUser, upstream: Upstream) -> Self {
        Self {
            upstream,
            account,
            base_url: user.base_url.clone(),
            user: user.user.clone(),
            client: Mutex::new(None),
        }
    }

    /// Returns the name of the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Makes one call through the upstream. If the credentials are refused, they are loaded anew and the request is
    /// repeated once, because the chain caches the profile files, which may have been rotated since: what is refused
    /// for its credentials was not carried out.
    ///
    /// # Errors
    /// Returns [`ProviderError`] unless there is no such user or key.
    pub async fn ask<T, E, F>(
        &self,
        call: Call<'_>,
        send: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<Answer<T>, ProviderError>
    where
        T: Send,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        let attempt = async |client: Client| {
            let sent = send(client).await;
            sent.map(Answer::Value)
                .or_else(|error| call.explain(&error))
        };
        self.upstream
            .call(call.operation, async {
                let (client, fresh) = self.client().await?;
                let answer = attempt(client).await;
                if !matches!(answer, Err(ProviderError::SignIn { .. })) {
                    return answer;
                }
                *self.client.lock().await = None;
                if fresh {
                    return answer;
                }
                attempt(self.client().await?.0).await
            })
            .await
    }

    /// Returns the client, and `true` if it was made for this call. Calls made while it is being made wait for it.
    async fn client(&self) -> Result<(Client, bool), ProviderError> {
        let mut current = self.client.lock().await;
        if let Some(client) = &*current {
            return Ok((client.clone(), false));
        }
        let base = self.account.settings().await.map_err(of_source)?;
        let mut settings = aws_sdk_iam::config::Builder::from(&base);
        if let Some(url) = &self.base_url {
            settings = settings.endpoint_url(url);
        }
        let client = Client::from_conf(settings.build());
        *current = Some(client.clone());
        Ok((client, true))
    }
}
