//! Azure OpenAI: the two keys of an account.
//!
//! The calls are those of Azure Resource Manager for accounts of Cognitive Services
//! (<https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/list-keys> and `…/regenerate-key`, with
//! which Azure's own client of version 14.1, `azure-mgmt-cognitiveservices`, agrees). An account has two keys, always:
//! to make one is to replace one, and to delete one is to replace it by another that nobody knows. Neither can be undone.
//!
//! - `client`: the calls; `sign_in`: the token for them

mod client;
mod sign_in;

use std::path::PathBuf;
use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::credential::SecretRef;
use crate::model::AiType;
use crate::setting::value_types::place::{ENDPOINT, PATH};
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;
use crate::setting::{Reader, settings};

pub use client::AzureOpenAi;

settings! {
    /// A provider of the type `azure-openai`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AzureOpenAiConfig, read by AzureOpenAiTable {
        /// The id of the subscription that the account is in.
        subscription: String = SHORT, Required;
        /// The resource group that the account is in.
        resource_group: String = SHORT, Required;
        /// The account whose two keys are replaced in turns: the name of the resource.
        account: String = SHORT, Required;
        /// The tenant to sign in to. Default: $AZURE_TENANT_ID, which a workload identity has.
        tenant: String = SHORT, Optional;
        /// The application to sign in as. Default: $AZURE_CLIENT_ID, which a workload identity has.
        client_id: String = SHORT, Optional;
        /// The application's client secret. Default: none, but the token of a workload identity.
        admin_key: SecretRef = SECRET, Optional;
        /// The file with the token of a workload identity. Default: $AZURE_FEDERATED_TOKEN_FILE.
        token_file: PathBuf = PATH, Optional;
        /// Where the API is: of a proxy, or of another cloud.
        base_url: String = ENDPOINT, Default;
        /// Where tokens for it are given out: of a proxy, or of another cloud.
        login_url: String = ENDPOINT, Default;
        /// What the tokens are for: another one in another cloud.
        audience: String = ENDPOINT, Default;
        /// The version of the API.
        api_version: String = SHORT, Default;
    }
}

/// Azure OpenAI. Its keys work with Flashback's type `OPENAI`, too, as its API of version 1 is OpenAI's
/// (<https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle>).
pub const KIND: Kind = Kind {
    name: "azure-openai",
    title: "Azure OpenAI",
    settings: AzureOpenAiTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Openai, AiType::Other],
    pairs: false,
    read,
};

fn read(table: &mut Reader<'_, '_>) -> Option<Arc<dyn ProviderKind>> {
    let read = AzureOpenAiTable::read(table);
    let mut is_whole = true;
    if let Some(admin_key) = read.admin_key.span {
        if let Some(token_file) = read.token_file.span {
            table
                .diagnostics
                .mistake(
                    token_file,
                    "there are two ways to sign in: `token_file` and `admin_key`",
                )
                .help("take one of them out")
                .also(admin_key, "the other is here");
            is_whole = false;
        }
        for (name, span) in [
            ("tenant", read.tenant.span),
            ("client_id", read.client_id.span),
        ] {
            if span.is_none() {
                table
                    .diagnostics
                    .mistake(admin_key, format!("`admin_key` needs `{name}` beside it"))
                    .help("the three of them are what an application signs in with");
                is_whole = false;
            }
        }
    }
    let config = read.finish()?;
    is_whole.then(|| Arc::new(config) as Arc<dyn ProviderKind>)
}

impl ProviderKind for AzureOpenAiConfig {
    fn place(&self) -> String {
        format!(
            "the account {} in the resource group {}",
            self.account, self.resource_group
        )
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let admin_key = self.admin_key.as_ref().map(|it| context.secret(it));
        let provider = AzureOpenAi::new(self, admin_key, context.upstream)?;
        Ok(Arc::new(provider))
    }
}
