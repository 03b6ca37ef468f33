//! OpenAI: the API keys of a service account in a project.
//!
//! The calls are those of "Administration" in OpenAI's reference
//! (<https://platform.openai.com/docs/api-reference/administration>) as its own client has them
//! (`admin.organization.projects` in <https://github.com/openai/openai-python>, version 3.57). They need an admin key.
//! A key cannot be disabled: deleting it is final.

mod client;
mod config;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;
use config::OpenAiTable;

pub use client::OpenAi;
pub use config::OpenAiConfig;

/// OpenAI.
pub const KIND: Kind = Kind {
    name: "openai",
    title: "OpenAI",
    settings: OpenAiTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Openai],
    pairs: false,
    read: |table| Some(Arc::new(OpenAiTable::read(table).finish()?)),
};

impl ProviderKind for OpenAiConfig {
    fn place(&self) -> String {
        format!(
            "the service account {} in the project {}",
            self.service_account, self.project
        )
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let admin_key = context.secret(&self.admin_key);
        let provider = OpenAi::new(self, admin_key, context.upstream)?;
        Ok(Arc::new(provider))
    }
}
