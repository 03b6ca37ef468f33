//! The ways to get a token.
//!
//! Credentials are fetched anew for each sign-in, so that a rotated file takes effect.
//! This is the one file of the source that exposes them; vaultrs takes them as plain `String`s,
//! which are dropped with the request and cannot be wiped.

use std::path::PathBuf;

use async_trait::async_trait;
use http::HeaderValue;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Serialize;
use vaultrs::api::EndpointMiddleware;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::kubernetes::requests::LoginWithKubernetesRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;
use vaultrs::api::auth::userpass::requests::LoginRequest;
use zeroize::Zeroizing;

use super::auth::VaultAuth;
use super::hints;
use super::wire::{Answer, Wire};
use crate::credential::{SecretRef, SharedCredential};
use crate::source::contract::SourceError;

/// The credentials for signing in to Vault: [`VaultAuth`] with its references resolved.
pub type VaultCredentials = VaultAuth<SharedCredential, SharedCredential>;

/// A sign-in with its credentials fetched and checked.
pub(super) enum Login {
    /// A token that needs no request.
    Token(String),
    /// A request for a token.
    Request(LoginCall),
}

/// The requests for a token.
pub(super) enum LoginCall {
    AppRole(LoginWithApproleRequest),
    Kubernetes(LoginWithKubernetesRequest),
    Jwt(JWTLoginRequest),
    Userpass(LoginRequest),
    Cert(CertLogin),
}

/// The certificate method's login. vaultrs' own sends the role as `cert_name`, which Vault does
/// not read: it is `name`, and optional
/// (<https://developer.hashicorp.com/vault/api-docs/auth/cert#login-with-tls-certificate-method>).
#[derive(Serialize)]
pub(super) struct CertLogin {
    #[serde(skip)]
    mount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[async_trait]
impl Endpoint for CertLogin {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("/auth/{}/login", self.mount)
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::POST
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        rustify::http::build_body(self, Self::REQUEST_BODY_TYPE).map(Some)
    }
}

impl VaultCredentials {
    /// Resolves the references in `auth`. `secret` resolves one.
    pub(super) fn resolve(
        auth: &VaultAuth,
        secret: &dyn Fn(&SecretRef) -> SharedCredential,
    ) -> Self {
        match auth.clone() {
            VaultAuth::Token { token } => Self::Token {
                token: secret(&token),
            },
            VaultAuth::AppRole {
                mount,
                role_id,
                secret_id,
            } => Self::AppRole {
                mount,
                role_id: role_id.resolve(secret),
                secret_id: secret_id.as_ref().map(secret),
            },
            VaultAuth::Kubernetes { mount, role, jwt } => Self::Kubernetes {
                mount,
                role,
                jwt: secret(&jwt),
            },
            VaultAuth::Jwt { mount, role, jwt } => Self::Jwt {
                mount,
                role,
                jwt: secret(&jwt),
            },
            VaultAuth::Userpass {
                mount,
                username,
                password,
            } => Self::Userpass {
                mount,
                username: username.resolve(secret),
                password: secret(&password),
            },
            VaultAuth::Cert {
                mount,
                role,
                cert_file,
                key_file,
            } => Self::Cert {
                mount,
                role,
                cert_file,
                key_file,
            },
        }
    }

    /// Returns the name of the method in the configuration.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::AppRole { .. } => "approle",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Jwt { .. } => "jwt",
            Self::Userpass { .. } => "userpass",
            Self::Cert { .. } => "cert",
        }
    }

    /// Returns the description of the request in errors: "signing in at `auth/approle`".
    pub(super) fn asked(&self) -> String {
        match self {
            Self::Token { .. } => "looking the token up".to_owned(),
            Self::AppRole { mount, .. }
            | Self::Kubernetes { mount, .. }
            | Self::Jwt { mount, .. }
            | Self::Userpass { mount, .. }
            | Self::Cert { mount, .. } => match hints::auth_mount(mount) {
                Some(hint) => format!("signing in at `auth/{mount}` ({})", hint.text),
                None => format!("signing in at `auth/{mount}`"),
            },
        }
    }

    /// Returns another possible cause of a denial besides a method that is not mounted. Vault asks Kubernetes about the
    /// token, and does not mention it if Kubernetes does not answer.
    pub(super) fn what_a_denial_may_mean(&self) -> Option<&'static str> {
        matches!(self, Self::Kubernetes { .. }).then_some(
            "It is also the answer where Vault cannot have the token reviewed: a Vault outside the cluster needs a `token_reviewer_jwt` of a service account that is bound to `system:auth-delegator`, inside the cluster Vault's own service account needs that binding, and Vault must reach `kubernetes_host`",
        )
    }

    /// Fetches the credentials for the next sign-in.
    pub(super) async fn prepare(&self) -> Result<Login, SourceError> {
        let call = match self {
            Self::Token { token } => return word(token, "the token").await.map(Login::Token),
            Self::AppRole {
                mount,
                role_id,
                secret_id,
            } => LoginCall::AppRole(LoginWithApproleRequest {
                mount: mount.clone(),
                role_id: word(role_id, "the role id").await?,
                secret_id: match secret_id {
                    Some(secret_id) => not_wrapped(word(secret_id, "the secret id").await?)?,
                    None => String::new(),
                },
            }),
            Self::Kubernetes { mount, role, jwt } => {
                LoginCall::Kubernetes(LoginWithKubernetesRequest {
                    mount: mount.clone(),
                    role: role.clone(),
                    jwt: word(jwt, "the JWT").await?,
                })
            }
            Self::Jwt { mount, role, jwt } => LoginCall::Jwt(JWTLoginRequest {
                mount: mount.clone(),
                role: role.clone(),
                jwt: word(jwt, "the JWT").await?,
            }),
            Self::Userpass {
                mount,
                username,
                password,
            } => LoginCall::Userpass(LoginRequest {
                mount: mount.clone(),
                username: user_name(username).await?,
                password: fetch(password).await?.as_str().to_owned(),
            }),
            Self::Cert { mount, role, .. } => LoginCall::Cert(CertLogin {
                mount: mount.clone(),
                name: role.clone(),
            }),
        };
        Ok(Login::Request(call))
    }

    /// Returns the files of the client's certificate and its key, if this method has them.
    pub(super) fn identity(&self) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::Cert {
                cert_file,
                key_file,
                ..
            } => Some((cert_file.clone(), key_file.clone())),
            _ => None,
        }
    }
}

impl LoginCall {
    /// Sends the request.
    pub(super) async fn send(
        self,
        wire: &Wire,
        middle: &EndpointMiddleware,
    ) -> Result<Answer, SourceError> {
        match self {
            Self::AppRole(request) => wire.call(middle, request).await,
            Self::Kubernetes(request) => wire.call(middle, request).await,
            Self::Jwt(request) => wire.call(middle, request).await,
            Self::Userpass(request) => wire.call(middle, request).await,
            Self::Cert(request) => wire.call(middle, request).await,
        }
    }
}

async fn fetch(credential: &SharedCredential) -> Result<Zeroizing<String>, SourceError> {
    match credential.fetch().await {
        Ok(secret) => Ok(Zeroizing::new(secret.expose().to_owned())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Returns a credential without the white space around it, which an editor may have added, and refuses white space in
/// it: vaultrs panics on a token with a line break.
async fn word(credential: &SharedCredential, name: &str) -> Result<String, SourceError> {
    let text = fetch(credential).await?;
    let word = text.trim();
    if word.is_empty() {
        return Err(unusable(format!("{name} is empty")));
    }
    if word.contains(char::is_whitespace) || HeaderValue::from_str(word).is_err() {
        return Err(unusable(format!(
            "{name} has white space or control characters in it"
        )));
    }
    Ok(word.to_owned())
}

/// Returns a secret id, and refuses a token in its place: it is a wrapping token, which Vault would only call invalid.
fn not_wrapped(secret_id: String) -> Result<String, SourceError> {
    let is_token = ["s.", "b.", "hvs.", "hvb."].iter().any(|prefix| {
        let rest = secret_id.strip_prefix(prefix);
        rest.is_some_and(|rest| {
            rest.len() >= 24
                && rest
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        })
    });
    match is_token {
        false => Ok(secret_id),
        true => Err(unusable(
            "the secret id is a token: where it is a response-wrapping token, unwrap it (`vault unwrap -field=secret_id …`) and store what was in it".to_owned(),
        )),
    }
}

/// Returns the user name, and refuses one that cannot be part of the request's path.
async fn user_name(credential: &SharedCredential) -> Result<String, SourceError> {
    let name = word(credential, "the user name").await?;
    if name.contains('/') || matches!(name.as_str(), "." | "..") || name.len() > 1024 {
        return Err(unusable(
            "the user name cannot be one of Vault's".to_owned(),
        ));
    }
    Ok(name)
}

fn unusable(what: String) -> SourceError {
    SourceError::SignIn {
        what,
        status: "credential".to_owned(),
    }
}
