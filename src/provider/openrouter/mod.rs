//! OpenRouter: the API keys of a workspace.
//!
//! The calls are those of "API Keys" in OpenRouter's reference
//! (<https://openrouter.ai/docs/api/api-reference/api-keys/list>), in the form that its own client has
//! (`openrouter` on PyPI, version 1.3). They need a management key, which serves no models.

mod client;
mod config;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use config::OpenRouterTable;

pub use client::OpenRouter;
pub use config::OpenRouterConfig;

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
