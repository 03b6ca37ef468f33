//! The sign-in to Google: as a service account, with its key or from the metadata server.

use async_trait::async_trait;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};

use crate::credential::SharedCredential;
use crate::provider::contract::ProviderError;
use crate::provider::fields;
use crate::provider::oauth::{Grant, TokenCall, refused};
use crate::secret::Secret;
use crate::setting::value_types::place::web_problem;

/// The scope of the API Keys API
/// (<https://cloud.google.com/api-keys/docs/reference/rest/v2/projects.locations.keys/create>).
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The token endpoint: the audience of each assertion, wherever it is sent, and the address for a key that names none.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Where the metadata server gives out tokens of the service account of a machine or of a pod
/// (<https://cloud.google.com/compute/docs/access/authenticate-workloads>).
const METADATA_URL: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

/// The time for which an assertion can be used, in seconds: it is sent at once. An hour is the most.
const ASSERTED: i64 = 10 * 60;

/// The key of a service account, exchanged for a token as RFC 7523 has it
/// (<https://developers.google.com/identity/protocols/oauth2/service-account#httprest>).
pub(super) struct ServiceAccount {
    /// The JSON of the key.
    pub admin_key: SharedCredential,
    /// The token endpoint, if not the one that the key names.
    pub login_url: Option<String>,
}

/// The file that Google gives out with the key of a service account.
#[derive(Deserialize)]
struct KeyFile {
    r#type: String,
    #[serde(deserialize_with = "fields::name")]
    client_email: String,
    #[serde(deserialize_with = "fields::secret")]
    private_key: Secret,
    #[serde(default, deserialize_with = "fields::any_name")]
    private_key_id: Option<String>,
    #[serde(default, deserialize_with = "fields::any_name")]
    token_uri: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[async_trait]
impl Grant for ServiceAccount {
    fn method(&self) -> &'static str {
        "service account key"
    }

    async fn ask(&self) -> Result<TokenCall, ProviderError> {
        let text = self.admin_key.fetch().await?;
        let key = KeyFile::read(&text)?;
        let token_url = key.token_uri.as_deref().unwrap_or(TOKEN_URL);
        if web_problem(token_url).is_some() {
            return Err(not_a_key("its `token_uri` is not an http or https URL"));
        }
        let assertion = key.assertion()?;
        let url = self.login_url.as_deref().unwrap_or(token_url);
        Ok(TokenCall::post(url)
            .field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .secret("assertion", assertion))
    }
}

impl KeyFile {
    fn read(text: &Secret) -> Result<Self, ProviderError> {
        // The messages of serde quote values.
        let key: Result<Self, _> = serde_json::from_str(text.expose());
        let key = key.map_err(|_| {
            not_a_key(
                "it is not the JSON with `type`, `client_email` and `private_key` that Google gives out",
            )
        })?;
        match key.r#type.as_str() {
            "service_account" => Ok(key),
            _ => Err(not_a_key("its `type` is not \"service_account\"")),
        }
    }

    fn assertion(&self) -> Result<Secret, ProviderError> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            iss: &self.client_email,
            scope: SCOPE,
            aud: TOKEN_URL,
            iat: now,
            exp: now + ASSERTED,
        };
        let header = Header {
            kid: self.private_key_id.clone(),
            ..Header::new(Algorithm::RS256)
        };
        // The errors of the library can hold parts of the key.
        let wrong = || not_a_key("its `private_key` is not an RSA key in PEM");
        let key = EncodingKey::from_rsa_pem(self.private_key.expose().as_bytes());
        let assertion = key.and_then(|key| encode(&header, &claims, &key));
        assertion.map(Secret::new).map_err(|_| wrong())
    }
}

fn not_a_key(why: &str) -> ProviderError {
    let what = format!("`admin_key` is not the key of a service account: {why}");
    refused(what, "credential")
}

/// The service account of the machine or of the pod that this program runs on.
pub(super) struct Metadata {
    /// The address, if it is not that of the metadata server.
    pub login_url: Option<String>,
}

#[async_trait]
impl Grant for Metadata {
    fn method(&self) -> &'static str {
        "metadata server"
    }

    fn is_near(&self) -> bool {
        true
    }

    async fn ask(&self) -> Result<TokenCall, ProviderError> {
        let url = self.login_url.as_deref().unwrap_or(METADATA_URL);
        Ok(TokenCall::get(url, "metadata-flavor", "Google"))
    }
}
