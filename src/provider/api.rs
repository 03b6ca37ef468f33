//! The one way to call a provider's API that speaks HTTP and JSON.
//!
//! A [`Call`] is sent over a connection of its own, since it holds the administrative credential and its answer may
//! hold a new key. No redirect is followed. The answer is read into memory that is wiped, and is either the JSON that
//! the API promises, a [`Refusal`] that the caller has asked to see, or a [`ProviderError`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::contract::ProviderError;
use super::refusal::{self, Refusal};
use crate::answerer;
use crate::credential::SharedCredential;
use crate::outbound::{CallError, Outbound, Settings, wiped_json};
use crate::secret::Secret;
use crate::upstream::Upstream;

/// The longest answer that is read, in bytes: a page of a hundred keys is a tenth of it.
const LONGEST: usize = 1 << 20;

/// Where the header comes from with which a provider knows its caller.
#[async_trait]
pub trait Authorization: Send + Sync {
    /// Returns the header for one call.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if there is no credential to be had.
    async fn header(&self) -> Result<(HeaderName, HeaderValue), ProviderError>;

    /// Hears that the header was not accepted (401), so that a token is not used again.
    fn refused(&self) {}
}

/// A credential that is fetched for each call and sent as it is.
pub struct Static {
    credential: SharedCredential,
    header: HeaderName,
    prefix: &'static str,
}

impl Static {
    /// Sends the credential as `Authorization: Bearer …`.
    pub fn bearer(credential: SharedCredential) -> Self {
        Self {
            credential,
            header: AUTHORIZATION,
            prefix: BEARER,
        }
    }

    /// Sends the credential as the value of a header of its own.
    pub fn header(credential: SharedCredential, name: &'static str) -> Self {
        Self {
            credential,
            header: HeaderName::from_static(name),
            prefix: "",
        }
    }
}

#[async_trait]
impl Authorization for Static {
    async fn header(&self) -> Result<(HeaderName, HeaderValue), ProviderError> {
        let credential = self.credential.fetch().await?;
        Ok((self.header.clone(), header(self.prefix, &credential)?))
    }
}

const BEARER: &str = "Bearer ";

/// Returns the value of `Authorization: Bearer …`, which no `Debug` shows.
///
/// # Errors
/// Returns [`ProviderError::SignIn`] if no header can hold the token.
pub fn bearer(token: &Secret) -> Result<HeaderValue, ProviderError> {
    header(BEARER, token)
}

fn header(prefix: &str, credential: &Secret) -> Result<HeaderValue, ProviderError> {
    let text = Zeroizing::new([prefix, credential.expose()].concat().into_bytes());
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(text));
    let mut value = value.map_err(|_| ProviderError::SignIn {
        what: "it has characters that no header can hold".to_owned(),
        status: "credential".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A call of a provider's API.
#[derive(Clone)]
pub struct Call<'a> {
    operation: &'static str,
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, &'a str)>,
    body: Option<Bytes>,
    needs: Option<&'static str>,
    tells: &'static [u16],
}

impl<'a> Call<'a> {
    /// Begins a call. `operation` is the API's name for it, for metrics and messages: its first word is the method, as
    /// in `DELETE /api_keys/{id}`. `path` are the parts of its path below the base URL, not yet encoded.
    pub fn new(operation: &'static str, path: &'a [&'a str]) -> Self {
        let method = operation.split(' ').next().unwrap_or_default();
        Self {
            operation,
            method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
            path,
            query: Vec::new(),
            body: None,
            needs: None,
            tells: &[],
        }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    /// Sends this as JSON.
    #[must_use]
    pub fn body(mut self, body: &impl Serialize) -> Self {
        self.body = Some(wiped_json(body));
        self
    }

    /// Names the permission that it needs, for the error of a call that is denied.
    #[must_use]
    pub fn needs(mut self, permission: &'static str) -> Self {
        self.needs = Some(permission);
        self
    }

    /// Has [`Api::attempt`] return refusals with these statuses, such as 404.
    #[must_use]
    pub fn tells(mut self, statuses: &'static [u16]) -> Self {
        self.tells = statuses;
        self
    }
}

/// The API of a provider.
pub struct Api {
    outbound: Outbound,
    upstream: Arc<Upstream>,
    base: Url,
    authorization: Box<dyn Authorization>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Api {
    /// Builds the way to the API at `base_url`. It calls nothing.
    ///
    /// # Errors
    /// Returns [`ProviderError::Refused`] if `base_url` is not an http or https URL.
    pub fn new(
        base_url: &str,
        upstream: impl Into<Arc<Upstream>>,
        authorization: impl Authorization + 'static,
    ) -> Result<Self, ProviderError> {
        let base = Url::parse(base_url).ok();
        let base = base.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| ProviderError::Refused {
            what: "`base_url` is not an http or https URL".to_owned(),
            status: "setup".to_owned(),
        })?;
        Ok(Self {
            outbound: Outbound::new(Settings {
                user_agent: Some(
                    concat!("flashback-rotator/", env!("CARGO_PKG_VERSION")).to_owned(),
                ),
                ..Settings::default()
            }),
            upstream: upstream.into(),
            base,
            authorization: Box::new(authorization),
            headers: Vec::new(),
        })
    }

    /// Adds a header to each call.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        let header = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self.headers.push(header);
        self
    }

    /// Makes a call and returns what its answer says.
    ///
    /// # Errors
    /// Returns [`ProviderError`] if it is refused, or has no answer that the API promises.
    pub async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ProviderError> {
        self.attempt(call).await?.map_err(ProviderError::from)
    }

    /// Makes a call and returns what its answer says, or its refusal with one of the statuses that the call
    /// [tells](Call::tells).
    ///
    /// # Errors
    /// Returns [`ProviderError`] if it is refused otherwise, or has no answer that the API promises.
    pub async fn attempt<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<Result<T, Refusal>, ProviderError> {
        let (name, value) = self.authorization.header().await?;
        let request = self.request(&call, name, &value)?;
        let exchange = self.exchange(request, &call, &value);
        let answered = self.upstream.call(call.operation, exchange).await;
        if matches!(answered, Err(ProviderError::SignIn { .. })) {
            self.authorization.refused();
        }
        answered
    }

    fn request(
        &self,
        call: &Call<'_>,
        name: HeaderName,
        value: &HeaderValue,
    ) -> Result<Request<Bytes>, ProviderError> {
        let cannot = || self.unavailable(&CallError::Unsendable);
        // A URL has no such parts: they would be left out, and the call would be another one.
        if call
            .path
            .iter()
            .any(|part| matches!(*part, "" | "." | ".."))
        {
            return Err(cannot());
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| cannot())?
            .pop_if_empty()
            .extend(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = Request::builder()
            .method(&call.method)
            .uri(url.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(name, value);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if call.body.is_none() && call.method == Method::POST {
            // Servers may insist on it, and the HTTP client leaves it out.
            request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let body = call.body.clone().unwrap_or_default();
        request.body(body).map_err(|_| cannot())
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        request: Request<Bytes>,
        call: &Call<'_>,
        credential: &HeaderValue,
    ) -> Result<Result<T, Refusal>, ProviderError> {
        let silent = |error: CallError| self.unavailable(&error);
        let answer = self.outbound.send_alone(request).await.map_err(silent)?;
        let (status, retry_after) = (answer.status(), answer.retry_after());
        let body = match answer.body(LONGEST).await {
            Ok(body) => body,
            Err(error @ CallError::TooLong(_)) => return Err(self.odd(status, &error.to_string())),
            Err(error) => return Err(silent(error)),
        };
        if status.is_success() {
            // An answer without a body says as much as `null`.
            let body = if body.is_empty() { &b"null"[..] } else { &body };
            let read = serde_json::from_slice(body);
            // The messages of serde quote values.
            return read
                .map(Ok)
                .map_err(|_| self.odd(status, answerer::describe(body)));
        }
        let sent = credential.to_str().unwrap_or_default();
        let sent = sent.strip_prefix(BEARER).unwrap_or(sent);
        self.judge(call, status, retry_after, &body, sent).map(Err)
    }

    /// Classifies an answer whose status is not a success.
    fn judge(
        &self,
        call: &Call<'_>,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
        sent: &str,
    ) -> Result<Refusal, ProviderError> {
        let (code, host) = (status.as_u16(), self.base.authority());
        let refusal = refusal::read(code, body, sent);
        let what = match &refusal {
            Some(refusal) => format!("{code} from {host}: {}", refusal.what),
            None => format!("{code} from {host} {}", answerer::describe(body)),
        };
        let lacks_permission = refusal.as_ref().is_some_and(|it| it.lacks_permission);
        let is_page = body.trim_ascii_start().starts_with(b"<");
        let label = code.to_string();
        Err(match (code, refusal) {
            (408 | 425 | 429 | 500..=599, _) => ProviderError::Unavailable {
                what,
                status: label,
                retry_after,
            },
            (_, Some(refusal)) if call.tells.contains(&code) => return Ok(refusal),
            (401 | 403, _) if is_page => self.odd(status, answerer::describe(body)),
            (401, _) if !lacks_permission => ProviderError::SignIn {
                what,
                status: label,
            },
            (401 | 403, _) => ProviderError::Denied {
                what: match call.needs {
                    Some(needs) => format!("`{}` needs {needs}: {what}", call.operation),
                    None => format!("`{}`: {what}", call.operation),
                },
                status: label,
            },
            (400..=499, Some(_)) => ProviderError::Refused {
                what: format!("`{}`: {what}", call.operation),
                status: label,
            },
            _ => self.odd(status, answerer::describe(body)),
        })
    }

    /// Returns the error of an answer that is not the API's.
    fn odd(&self, status: StatusCode, how: &str) -> ProviderError {
        let (code, host) = (status.as_u16(), self.base.authority());
        let what = match status.is_redirection() {
            true => {
                format!("{code} from {host}: it points elsewhere, where the credential is not sent")
            }
            false => format!("{code} from {host} {how}"),
        };
        ProviderError::Protocol {
            what,
            status: code.to_string(),
        }
    }

    fn unavailable(&self, error: &CallError) -> ProviderError {
        ProviderError::Unavailable {
            what: format!("{}: {error}", self.base.authority()),
            status: error.status().to_owned(),
            retry_after: None,
        }
    }
}
