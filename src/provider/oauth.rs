//! Sign-in to APIs that take an access token of OAuth 2.0 (RFC 6749).
//!
//! A [`Grant`] makes the call that asks for a token. [`OAuth`] makes that call once for all callers, keeps the token until
//! it ends, and renews it ahead of time. The call goes through the provider's [`Upstream`] and over a connection of its
//! own, since it holds the administrative credential.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::api::{Authorization, bearer};
use super::contract::ProviderError;
use super::fields;
use crate::answerer;
use crate::outbound::{CallError, Outbound, Settings};
use crate::retry::Class;
use crate::secret::{Secret, append};
use crate::token::{Ask, Issued, Issuer, Lease, Need, TokenManager};
use crate::upstream::{Failure, Upstream};
use crate::words;

/// The longest answer that is read, in bytes: a token has a few thousand.
const LONGEST: usize = 1 << 16;

/// The lifetime of a token whose answer does not say how long it lives.
const UNSTATED: Duration = Duration::from_secs(5 * 60);

/// A way to be given a token.
#[async_trait]
pub trait Grant: Send + Sync + 'static {
    /// Returns its name, for logs.
    fn method(&self) -> &'static str;

    /// Returns `true` if the server is on this machine or this link, so that no proxy leads to it.
    fn is_near(&self) -> bool {
        false
    }

    /// Returns the call that asks for a token.
    ///
    /// # Errors
    /// Returns [`ProviderError::SignIn`] if the credential is not to be had, or cannot be what it should be.
    async fn ask(&self) -> Result<TokenCall, ProviderError>;
}

/// A call that asks for a token.
pub struct TokenCall {
    method: Method,
    url: String,
    header: Option<(HeaderName, HeaderValue)>,
    form: Zeroizing<Vec<u8>>,
    sent: Vec<Secret>,
}

impl TokenCall {
    /// Begins a call of the token endpoint at this URL (RFC 6749, section 3.2).
    pub fn post(url: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            url: url.into(),
            header: None,
            form: Zeroizing::default(),
            sent: Vec::new(),
        }
    }

    /// Begins a call that asks the metadata server at this URL, with a header that shows that no page made it.
    pub fn get(url: impl Into<String>, name: &'static str, value: &'static str) -> Self {
        let header = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        Self {
            method: Method::GET,
            header: Some(header),
            ..Self::post(url)
        }
    }

    /// Adds a parameter to the form.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        if !self.form.is_empty() {
            append(&mut self.form, b"&");
        }
        append(&mut self.form, name.as_bytes());
        append(&mut self.form, b"=");
        for part in byte_serialize(value.as_bytes()) {
            append(&mut self.form, part.as_bytes());
        }
        self
    }

    /// Adds a secret parameter to the form.
    #[must_use]
    pub fn secret(mut self, name: &str, value: Secret) -> Self {
        self = self.field(name, value.expose());
        self.sent.push(value);
        self
    }

    fn request(&mut self) -> Result<Request<Bytes>, CallError> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.url)
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        if self.method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request = request.header(CONTENT_TYPE, form);
        }
        let form = std::mem::take(&mut self.form);
        let request = request.body(Bytes::from_owner(form));
        request.map_err(|_| CallError::Unsendable)
    }
}

/// The token of a provider's API.
pub struct OAuth(TokenManager<SignIn>);

impl OAuth {
    /// Creates a sign-in that has no token: the first caller asks for one.
    pub fn new(grant: impl Grant, upstream: Arc<Upstream>) -> Self {
        let outbound = Outbound::new(Settings {
            direct: grant.is_near(),
            ..Settings::default()
        });
        Self(TokenManager::new(SignIn {
            grant: Box::new(grant),
            outbound,
            upstream,
        }))
    }
}

#[async_trait]
impl Authorization for OAuth {
    async fn header(&self) -> Result<(HeaderName, HeaderValue), ProviderError> {
        let token = self.0.token().await?;
        Ok((AUTHORIZATION, bearer(&token)?))
    }

    fn refused(&self) {
        if let Some(token) = self.0.current() {
            self.0.forget(&token);
        }
    }
}

struct SignIn {
    grant: Box<dyn Grant>,
    outbound: Outbound,
    upstream: Arc<Upstream>,
}

/// The answer with a token (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    #[serde(deserialize_with = "fields::secret")]
    access_token: Secret,
    /// Seconds.
    #[serde(default)]
    expires_in: Option<u64>,
}

/// The answer without one (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct Refused {
    #[serde(deserialize_with = "fields::name")]
    error: String,
    #[serde(default, deserialize_with = "fields::any_secret")]
    error_description: Option<Secret>,
    /// The numbers of Entra ID's errors
    /// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// The error of a sign-in ahead of time: while the old token works, a refusal opens no circuit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Early(ProviderError);

impl Failure for Early {
    fn class(&self) -> Class {
        match &self.0 {
            ProviderError::SignIn { .. } => Class::Refused,
            other => other.class(),
        }
    }

    fn status(&self) -> String {
        self.0.status()
    }

    fn timed_out(after: Duration) -> Self {
        Self(ProviderError::timed_out(after))
    }

    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        Self(ProviderError::circuit_open(retry_in, cause))
    }
}

#[async_trait]
impl Issuer for SignIn {
    type Token = Secret;
    type Error = ProviderError;
    type Means = ();
    const PROVES: bool = true;

    fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    fn method(&self) -> &'static str {
        self.grant.method()
    }

    fn broken_off() -> ProviderError {
        refused("the sign-in was stopped half-way".to_owned(), "stopped")
    }

    fn is_outage(error: &ProviderError) -> bool {
        !matches!(error, ProviderError::SignIn { .. })
    }

    async fn issue(
        &self,
        (): &mut (),
        ask: Ask<'_, Self>,
    ) -> Result<Issued<Secret>, ProviderError> {
        const OPERATION: &str = "sign-in";
        let call = self.grant.ask().await?;
        let asked_at = Instant::now();
        let exchange = self.exchange(call);
        let granted = match ask.need {
            Need::Now => self.upstream.prepare(OPERATION, exchange).await?,
            Need::Soon => {
                let early = async { exchange.await.map_err(Early) };
                let granted = self.upstream.prepare(OPERATION, early).await;
                granted.map_err(|Early(error)| error)?
            }
        };
        let life = granted.expires_in.map_or(UNSTATED, Duration::from_secs);
        let lease = Lease::new(asked_at, Some(life), false);
        Ok(Issued::New(granted.access_token, lease))
    }
}

impl SignIn {
    async fn exchange(&self, mut call: TokenCall) -> Result<Granted, ProviderError> {
        let host = host(&call.url);
        let silent = |error: CallError| ProviderError::Unavailable {
            what: format!("{host}: {error}"),
            status: error.status().to_owned(),
            retry_after: None,
        };
        let request = call.request().map_err(silent)?;
        let answer = self.outbound.send_alone(request).await.map_err(silent)?;
        let (status, retry_after) = (answer.status(), answer.retry_after());
        let body = answer.body(LONGEST).await.map_err(silent)?;
        if status.is_success() {
            // The messages of serde quote values.
            let granted = serde_json::from_slice(&body);
            return granted.map_err(|_| odd(status, &host, &body));
        }
        Err(judge(status, retry_after, &body, &host, &call.sent))
    }
}

/// Classifies an answer whose status is not a success.
fn judge(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
    host: &str,
    sent: &[Secret],
) -> ProviderError {
    let code = status.as_u16();
    let said = serde_json::from_slice::<Refused>(body).ok();
    let what = match &said {
        Some(said) => {
            let sent: Vec<_> = sent.iter().map(Secret::expose).collect();
            let mut error = words::shown(&said.error, &sent);
            if let Some(number) = said.error_codes.first() {
                let _ = write!(error, ", AADSTS{number}");
            }
            match said.error_description.as_ref().map(Secret::expose) {
                Some(why) => format!("{code} from {host}: {} ({error})", words::shown(why, &sent)),
                None => format!("{code} from {host}: {error}"),
            }
        }
        None => format!("{code} from {host} {}", answerer::describe(body)),
    };
    let is_page = body.trim_ascii_start().starts_with(b"<");
    match code {
        408 | 425 | 429 | 500..=599 => ProviderError::Unavailable {
            what,
            status: code.to_string(),
            retry_after,
        },
        400..=499 if said.is_some() || !is_page => refused(what, &code.to_string()),
        _ => odd(status, host, body),
    }
}

/// Returns the error of an answer that no token endpoint gives.
fn odd(status: StatusCode, host: &str, body: &[u8]) -> ProviderError {
    let code = status.as_u16();
    let how = match status.is_redirection() {
        true => ": it points elsewhere, where the credential is not sent".to_owned(),
        false => format!(" {}", answerer::describe(body)),
    };
    ProviderError::Protocol {
        what: format!("{code} from {host}{how}"),
        status: code.to_string(),
    }
}

/// Returns the error of a credential that is not accepted, or cannot be one.
pub fn refused(what: String, status: &str) -> ProviderError {
    ProviderError::SignIn {
        what,
        status: status.to_owned(),
    }
}

/// Returns the host and the port of a URL, for messages.
fn host(url: &str) -> String {
    let url = url::Url::parse(url).ok();
    url.map_or_else(String::new, |url| url.authority().to_owned())
}
