//! OpenAI: the API keys of a service account in a project.
//!
//! The calls are those of "Administration" in OpenAI's reference
//! (<https://platform.openai.com/docs/api-reference/administration>) as its own client has them
//! (`admin.organization.projects` in <https://github.com/openai/openai-python>, version 3.57). They need an admin key.
//! A key cannot be disabled: deleting it is final.

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

pub use client::OpenAi;

settings! {
    /// A provider of the type `openai`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OpenAiConfig, read by OpenAiTable {
        /// The admin key. It needs the permission `api.management.write`, and no other.
        admin_key: SecretRef = SECRET, Required;
        /// The project. It cannot be the default project, which has no service accounts.
        project: String = SHORT, Required;
        /// The service account whose keys are made and revoked.
        service_account: String = SHORT, Required;
        /// Where the API is: of a proxy, say.
        base_url: String = ENDPOINT, Default;
    }
}

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
