//! The sign-in to Azure: as an application, with its client secret or with the token of a workload identity
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).

use std::path::PathBuf;

use async_trait::async_trait;

use super::config::AzureOpenAiConfig;
use crate::credential::{Credential as _, FromFile, SharedCredential};
use crate::provider::contract::ProviderError;
use crate::provider::oauth::{Grant, TokenCall, refused};

/// The type of a token that stands for a client secret (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application, with what shows that it is the one.
pub(super) struct Application {
    login_url: String,
    audience: String,
    tenant: Option<String>,
    client_id: Option<String>,
    proof: Proof,
}

enum Proof {
    /// A client secret.
    Secret(SharedCredential),
    /// The token of a workload identity, in a file that is replaced from time to time
    /// (<https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>).
    Workload(Option<PathBuf>),
}

impl Application {
    pub(super) fn new(config: &AzureOpenAiConfig, admin_key: Option<SharedCredential>) -> Self {
        let login_url = config.login_url.trim_end_matches('/').to_owned();
        let audience = config.audience.trim_end_matches('/').to_owned();
        Self {
            login_url,
            audience,
            tenant: config.tenant.clone(),
            client_id: config.client_id.clone(),
            proof: match admin_key {
                Some(secret) => Proof::Secret(secret),
                None => Proof::Workload(config.token_file.clone()),
            },
        }
    }

    /// Makes the call. `environment` looks a variable up.
    async fn call(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<TokenCall, ProviderError> {
        let or_variable = |set: Option<String>, setting: &str, variable: &str| {
            let found = set.or_else(|| environment(variable));
            found.filter(|text| !text.is_empty()).ok_or_else(|| {
                let what = format!(
                    "there is no `{setting}`, and ${variable} is not set: is this pod labelled `azure.workload.identity/use`?"
                );
                refused(what, "credential")
            })
        };
        let tenant = or_variable(self.tenant.clone(), "tenant", "AZURE_TENANT_ID")?;
        let client_id = or_variable(self.client_id.clone(), "client_id", "AZURE_CLIENT_ID")?;
        if !tenant
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        {
            let what = "`tenant` is not the id or the domain of a tenant".to_owned();
            return Err(refused(what, "credential"));
        }
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.login_url);
        let call = TokenCall::post(url)
            .field("grant_type", "client_credentials")
            .field("client_id", &client_id)
            .field("scope", &format!("{}/.default", self.audience));
        Ok(match &self.proof {
            Proof::Secret(secret) => call.secret("client_secret", secret.fetch().await?),
            Proof::Workload(file) => {
                let file = file.as_ref().map(|file| file.display().to_string());
                let file = or_variable(file, "admin_key", "AZURE_FEDERATED_TOKEN_FILE")?;
                let token = FromFile(PathBuf::from(file)).fetch().await?;
                call.field("client_assertion_type", JWT_BEARER)
                    .secret("client_assertion", token)
            }
        })
    }
}

#[async_trait]
impl Grant for Application {
    fn method(&self) -> &'static str {
        match self.proof {
            Proof::Secret(_) => "client secret",
            Proof::Workload(_) => "workload identity",
        }
    }

    async fn ask(&self) -> Result<TokenCall, ProviderError> {
        self.call(|name| std::env::var(name).ok()).await
    }
}
