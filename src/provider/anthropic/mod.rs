//! Anthropic: the API keys of an organization.
//!
//! The calls are those of "API Keys" in the reference of the Admin API
//! (<https://platform.claude.com/docs/en/api/admin-api/apikeys/list-api-keys>), in the form that its own client has
//! (`organization.api_keys` in <https://github.com/anthropics/anthropic-sdk-python>, version 2.14). They need an admin
//! key. None of them makes a key: people do, in the console. A key is disabled as `inactive`, which can be undone, and
//! deleted as `archived`, which cannot.

mod client;
mod config;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use config::AnthropicTable;

pub use client::Anthropic;
pub use config::AnthropicConfig;

/// Anthropic.
pub const KIND: Kind = Kind {
    name: "anthropic",
    title: "Anthropic",
    settings: AnthropicTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Anthropic],
    pairs: false,
    read: |table| Some(Arc::new(AnthropicTable::read(table).finish()?)),
};

impl ProviderKind for AnthropicConfig {
    fn place(&self) -> String {
        match &self.workspace {
            Some(workspace) => format!("the workspace {workspace}"),
            None => "the organization".to_owned(),
        }
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let admin_key = context.secret(&self.admin_key);
        let provider = Anthropic::new(self, admin_key, context.upstream)?;
        Ok(Arc::new(provider))
    }
}
