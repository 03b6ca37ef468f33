//! `type = "anthropic"`: the settings.

use crate::credential::SecretRef;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

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
