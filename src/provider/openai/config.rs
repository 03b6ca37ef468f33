//! `type = "openai"`: the settings.

use crate::credential::SecretRef;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

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
