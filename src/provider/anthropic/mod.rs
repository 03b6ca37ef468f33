//! Anthropic: the API keys of an organization.
//!
//! The calls are those of "API Keys" in the reference of the Admin API
//! (<https://platform.claude.com/docs/en/api/admin-api/apikeys/list-api-keys>), in the form that its own client has
//! (`organization.api_keys` in <https://github.com/anthropics/anthropic-sdk-python>, version 2.14). They need an admin
//! key. None of them makes a key: people do, in the console. A key is disabled as `inactive`, which can be undone, and
//! deleted as `archived`, which cannot.

mod client;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::credential::SecretRef;
use crate::model::AiType;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

pub use client::Anthropic;

settings! {
    /// A provider of the type `anthropic`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AnthropicConfig, read by AnthropicTable {
        /// The admin key.
        admin_key: SecretRef = SECRET, Required;
        /// The id of the workspace whose keys are revoked. Default: every workspace of the organization.
        workspace: String = SHORT, Optional;
        /// Where the API is, without its version: of a proxy, say.
        base_url: String = ENDPOINT, Default;
    }
}

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
