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
mod operation;
mod sign_in;

use std::sync::Arc;

use super::contract::{Provider, ProviderError};
use super::kind::{Context, Kind, ProviderKind};
use crate::credential::SecretRef;
use crate::model::AiType;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

pub use client::Google;

settings! {
    /// A provider of the type `google`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GoogleConfig, read by GoogleTable {
        /// The project: its id or its number.
        project: String = SHORT, Required;
        /// The service that the keys can be used for.
        service: String = SHORT, Default;
        /// The e-mail address of the service account that the keys are bound to. Default: they are bound to none.
        service_account: String = SHORT, Optional;
        /// The key of the service account that makes and revokes the keys, as the JSON that Google gives out. Default: the service account of this machine or pod, from the metadata server.
        admin_key: SecretRef = SECRET, Optional;
        /// Where the API is: of a proxy, say.
        base_url: String = ENDPOINT, Default;
        /// Where tokens for it are given out. Default: `token_uri` of `admin_key`, or the metadata server.
        login_url: String = ENDPOINT, Optional;
    }
}

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
