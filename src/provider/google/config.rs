//! `type = "google"`: the settings.

use crate::credential::SecretRef;
use crate::setting::settings;
use crate::setting::value_types::place::ENDPOINT;
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

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
