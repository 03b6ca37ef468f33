//! `type = "azure-openai"`: the settings.

use std::path::PathBuf;

use crate::credential::SecretRef;
use crate::setting::settings;
use crate::setting::value_types::place::{ENDPOINT, PATH};
use crate::setting::value_types::secret::SECRET;
use crate::setting::value_types::text::SHORT;

settings! {
    /// A provider of the type `azure-openai`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AzureOpenAiConfig, read by AzureOpenAiTable {
        /// The id of the subscription that the account is in.
        subscription: String = SHORT, Required;
        /// The resource group that the account is in.
        resource_group: String = SHORT, Required;
        /// The account whose two keys are replaced in turns: the name of the resource.
        account: String = SHORT, Required;
        /// The tenant to sign in to. Default: $AZURE_TENANT_ID, which a workload identity has.
        tenant: String = SHORT, Optional;
        /// The application to sign in as. Default: $AZURE_CLIENT_ID, which a workload identity has.
        client_id: String = SHORT, Optional;
        /// The application's client secret. Default: none, but the token of a workload identity.
        admin_key: SecretRef = SECRET, Optional;
        /// The file with the token of a workload identity. Default: $AZURE_FEDERATED_TOKEN_FILE.
        token_file: PathBuf = PATH, Optional;
        /// Where the API is: of a proxy, or of another cloud.
        base_url: String = ENDPOINT, Default;
        /// Where tokens for it are given out: of a proxy, or of another cloud.
        login_url: String = ENDPOINT, Default;
        /// What the tokens are for: another one in another cloud.
        audience: String = ENDPOINT, Default;
        /// The version of the API.
        api_version: String = SHORT, Default;
    }
}
