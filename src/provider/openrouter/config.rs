//! `type = "openrouter"`: the settings.

use crate::credential::SecretRef;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

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
