//! Azure OpenAI: the two keys of an account.
//!
//! The calls are those of Azure Resource Manager for accounts of Cognitive Services
//! (<https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/list-keys> and `…/regenerate-key`, with
//! which Azure's own client of version 14.1, `azure-mgmt-cognitiveservices`, agrees). An account has two keys, always:
//! to make one is to replace one, and to delete one is to replace it by another that nobody knows. Neither can be undone.
//!
//! - `client`: the calls; `sign_in`: the token for them

mod client;
mod config;
mod sign_in;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use crate::setting::Reader;

use config::AzureOpenAiTable;

pub use client::AzureOpenAi;
pub use config::AzureOpenAiConfig;

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
