//! OpenRouter: the API keys of a workspace.
//!
//! The calls are those of "API Keys" in OpenRouter's reference
//! (<https://openrouter.ai/docs/api/api-reference/api-keys/list>), in the form that its own client has
//! (`openrouter` on PyPI, version 1.3). They need a management key, which serves no models.

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

pub use client::OpenRouter;

settings! {
    /// A provider of the type `openrouter`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OpenRouterConfig, read by OpenRouterTable {
        /// The management key.
        admin_key: SecretRef = SECRET, Required;
        /// The id of the workspace whose keys are made and revoked. Default: the default workspace.
        workspace: String = SHORT, Optional;
        /// Where the API is: of a proxy, say.
        base_url: String = ENDPOINT, Default;
    }
}

/// OpenRouter.
pub const KIND: Kind = Kind {
    name: "openrouter",
    title: "OpenRouter",
    settings: OpenRouterTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Other, AiType::Openai],
    pairs: false,
    read: |table| Some(Arc::new(OpenRouterTable::read(table).finish()?)),
};

impl ProviderKind for OpenRouterConfig {
    fn place(&self) -> String {
        match &self.workspace {
            Some(workspace) => format!("the workspace {workspace}"),
            None => "the default workspace".to_owned(),
        }
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let admin_key = context.secret(&self.admin_key);
        let provider = OpenRouter::new(self, admin_key, context.upstream)?;
        Ok(Arc::new(provider))
    }
}
