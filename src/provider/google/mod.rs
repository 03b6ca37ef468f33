//! Google: the API keys of a project, for Gemini.
//!
//! The calls are those of the API Keys API, version 2
//! (<https://cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys>, `google/api/apikeys/v2` in
//! <https://github.com/googleapis/googleapis>). A key is made with an id of this program's choice, and its value can be
//! read again. Deleting a key can be undone for thirty days, which is how it is disabled here; Google then removes it.
//! It does not say when a key was last used.
//!
//! - `client`: the calls; `operation`: those that take a while; `sign_in`: the token for them

mod client;
mod config;
mod operation;
mod sign_in;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::model::AiType;

use config::GoogleTable;

pub use client::Google;
pub use config::GoogleConfig;

/// Google.
pub const KIND: Kind = Kind {
    name: "google",
    title: "Google",
    settings: GoogleTable::ALL,
    reference: include_str!("reference.toml"),
    ai_types: &[AiType::Google],
    pairs: false,
    read: |table| Some(Arc::new(GoogleTable::read(table).finish()?)),
};

impl ProviderKind for GoogleConfig {
    fn place(&self) -> String {
        format!("the project {}", self.project)
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let admin_key = self.admin_key.as_ref().map(|it| context.secret(it));
        let provider = Google::new(self, admin_key, context.upstream)?;
        Ok(Arc::new(provider))
    }
}
