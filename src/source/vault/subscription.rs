//! A connection for the events of a Vault, opened with the source's address, certificates and sign-in.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use vaultrs::api::EndpointMiddleware;
use zeroize::Zeroizing;

use super::config::VaultConfig;
use super::keeper::granted;
use super::sign_in::{Login, VaultCredentials};
use super::source::checked_address;
use super::wire::{Opened, Wire};
use crate::credential::{SecretRef, SharedCredential};
use crate::source::contract::SourceError;

/// Opens connections to a Vault that become something else than HTTP. Each has a token of its own.
pub struct Subscriber {
    address: String,
    wire: Wire,
    namespace: Option<String>,
    credentials: VaultCredentials,
}

impl Subscriber {
    /// Returns a subscriber for the Vault of a source. `secret` resolves a secret reference. Nothing is read or called
    /// before it is used.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if the address cannot be one.
    pub fn new(
        config: &VaultConfig,
        secret: &dyn Fn(&SecretRef) -> SharedCredential,
    ) -> Result<Self, SourceError> {
        let address = checked_address(&config.address)?;
        let credentials = VaultCredentials::resolve(&config.auth, secret);
        let ca_file: Option<PathBuf> = config.ca_file.clone();
        let namespace = config
            .namespace
            .as_deref()
            .map(|name| name.trim_matches('/'));
        Ok(Self {
            wire: Wire::new(&address, ca_file, credentials.identity()),
            address,
            namespace: namespace.filter(|name| !name.is_empty()).map(str::to_owned),
            credentials,
        })
    }

    /// Asks with `headers` for another protocol at `path`, which begins with `/v1/`.
    ///
    /// # Errors
    /// Returns [`SourceError`] if the sign-in fails, or if there is no answer.
    pub async fn open(&self, path: &str, headers: HeaderMap) -> Result<Opened, SourceError> {
        let token = self.token().await?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = format!("{}{path}", self.address)
            .parse()
            .map_err(|_| unsendable())?;
        *request.headers_mut() = headers;
        let mut token = HeaderValue::from_str(&token).map_err(|_| unsendable())?;
        token.set_sensitive(true);
        let all = request.headers_mut();
        all.insert(HeaderName::from_static("x-vault-token"), token);
        if let Some(namespace) = &self.namespace {
            let namespace = HeaderValue::from_str(namespace).map_err(|_| unsendable())?;
            all.insert(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        self.wire.open(request).await
    }

    async fn token(&self) -> Result<Zeroizing<String>, SourceError> {
        match self.credentials.prepare().await? {
            Login::Token(token) => Ok(Zeroizing::new(token)),
            Login::Request(request) => {
                let middle = EndpointMiddleware {
                    token: String::new(),
                    version: "v1".to_owned(),
                    wrap: None,
                    namespace: self.namespace.clone(),
                };
                let answer = request.send(&self.wire.alone(), &middle).await?;
                let mut grant = granted(&self.credentials, &answer)?;
                Ok(Zeroizing::new(std::mem::take(&mut grant.client_token)))
            }
        }
    }
}

fn unsendable() -> SourceError {
    SourceError::Invalid {
        what: "the request cannot be built: check `address`, `namespace` and the token".to_owned(),
    }
}
