//! One request to Vault: vaultrs builds it, our own HTTP client ([`Outbound`]) sends it, and every status comes
//! back as an [`Answer`].
//!
//! vaultrs' own client is not used, because it keeps whole bodies in its errors, loses headers
//! (`Retry-After`), has no timeouts and follows redirects to other hosts with the token. What is
//! used is its requests and its middleware (API version, token and namespace headers), through
//! rustify's [`Client`] trait, whose default `execute` would also turn a status into such an error.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use rustify::client::Client;
use rustify::endpoint::Endpoint;
use rustify::errors::ClientError;
use serde::Deserialize;
use url::Url;
use vaultrs::api::EndpointMiddleware;
use zeroize::Zeroizing;

use crate::answerer;
use crate::outbound::{CallError, Outbound, Settings, Socket, retry_after};
use crate::redact::Pieces;
use crate::source::contract::SourceError;
use crate::words;

/// No answer is larger: Vault takes no request beyond 32 MiB, and a KV entry is 1 MiB at most
/// with integrated storage (<https://developer.hashicorp.com/vault/docs/internals/limits>).
const LARGEST_ANSWER: usize = 8 << 20;

/// A client for the address of one source.
#[derive(Clone)]
pub(super) struct Wire {
    base: String,
    outbound: Arc<Outbound>,
    /// Each request goes over a connection of its own.
    alone: bool,
}

/// What a server has answered to the request for another protocol.
pub enum Opened {
    /// The headers of the answer, and the connection.
    Switched(HeaderMap, Box<dyn Socket>),
    /// The status of an answer that is no switch.
    Refused(StatusCode),
}

/// An answer of any status.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The host of a redirect that was not followed, if it contains no part of the token.
    pub redirect: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Wire {
    /// Makes the way to `base`, a checked address. With authorities of its own (`ca_file`) it trusts
    /// those alone, as Vault's own tools do. `identity` is the client's certificate and its key.
    ///
    /// Redirects are followed within the same origin only: a standby sends callers to the active
    /// node's address, and following would hand the token to whatever host the answer names.
    pub fn new(base: &str, ca_file: Option<PathBuf>, identity: Option<(PathBuf, PathBuf)>) -> Self {
        let outbound = Outbound::new(Settings {
            ca_file,
            identity,
            follow_within_origin: true,
            ..Settings::default()
        });
        Self {
            base: base.to_owned(),
            outbound: Arc::new(outbound),
            alone: false,
        }
    }

    /// Returns the same way, on which each request goes over a connection of its own.
    pub fn alone(&self) -> Self {
        Self {
            alone: true,
            ..self.clone()
        }
    }

    /// Sends one request.
    pub async fn call<E: Endpoint>(
        &self,
        middle: &EndpointMiddleware,
        endpoint: E,
    ) -> Result<Answer, SourceError> {
        let result = endpoint.with_middleware(middle).exec(self).await;
        let response = result.map_err(|error| self.no_answer(error))?.response;
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::BAD_REQUEST && answerer::wants_tls(&body) {
            let base = &self.base;
            return Err(SourceError::Invalid {
                what: format!("{base} speaks TLS: write `address` with `https://`"),
            });
        }
        let text = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            retry_after: retry_after(&parts.headers),
            redirect: text(header::LOCATION)
                .and_then(|text| Url::parse(text).ok())
                .and_then(|url| url.host_str().map(str::to_owned))
                .filter(|host| words::is_plain(host))
                .filter(|host| !Pieces::of([&*middle.token]).are_in(host)),
            body: Zeroizing::new(body),
        })
    }

    /// Sends a request for another protocol, in HTTP/1.1.
    pub async fn open(&self, request: Request<Bytes>) -> Result<Opened, SourceError> {
        let sent = self.outbound.send_for_upgrade(request).await;
        let answer = sent.map_err(|error| self.not_sent(error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Opened::Refused(status));
        }
        let socket = answer
            .upgrade()
            .await
            .map_err(|error| self.not_sent(error))?;
        Ok(Opened::Switched(headers, socket))
    }

    /// Says what went wrong on the way.
    fn no_answer(&self, error: ClientError) -> SourceError {
        let error = match error {
            ClientError::RequestError { source, .. } => source.downcast::<CallError>().ok(),
            _ => None,
        };
        self.not_sent(error.unwrap_or(CallError::Unsendable))
    }

    fn not_sent(&self, error: CallError) -> SourceError {
        let base = &self.base;
        match error {
            CallError::TooLong(limit) => SourceError::Protocol {
                what: format!("{base} answered with more than {limit} bytes"),
                status: "too_large".to_owned(),
            },
            CallError::Certificates(what) => SourceError::Invalid { what },
            CallError::Unsendable => SourceError::Invalid {
                what: "the request cannot be built: check `address`, `mount`, `namespace` and the path".to_owned(),
            },
            error => SourceError::Unavailable {
                what: format!("{base}: {error}"),
                status: error.status().to_owned(),
                retry_after: None,
            },
        }
    }
}

tokio::task_local! {
    static INDEX: String;
}

/// Makes requests of which Vault Enterprise answers none from an older state than that of `index`
/// (<https://developer.hashicorp.com/vault/docs/enterprise/consistency>).
pub async fn not_before<T>(index: Option<&str>, requests: impl Future<Output = T>) -> T {
    match index {
        Some(index) => INDEX.scope(index.to_owned(), requests).await,
        None => requests.await,
    }
}

#[async_trait]
impl Client for Wire {
    fn base(&self) -> &str {
        &self.base
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let failed = |error: CallError| ClientError::RequestError {
            source: error.into(),
            url: String::new(),
            method: String::new(),
        };
        let mut request = request;
        if request.method() == Method::PATCH {
            // The one form Vault takes a patch in. rustify sets no type, and elsewhere none is needed.
            let merge_patch = HeaderValue::from_static("application/merge-patch+json");
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, merge_patch);
        }
        if let Ok(Ok(index)) = INDEX.try_with(|index| HeaderValue::from_str(index)) {
            request.headers_mut().insert("x-vault-index", index);
        }
        let sent = match self.alone {
            true => self.outbound.send_alone(request).await,
            false => self.outbound.send(request).await,
        };
        let answer = sent.map_err(failed)?;
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let mut body = answer.body(LARGEST_ANSWER).await.map_err(failed)?;
        Ok(response.map(|()| std::mem::take(&mut *body)))
    }

    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }
}

impl Answer {
    /// Describes the body of an answer that is not Vault's.
    pub fn described(&self) -> &'static str {
        answerer::describe(&self.body)
    }

    /// Reads the body as what the API documents.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, SourceError> {
        // serde's error quotes the value it stumbled over, so it ends here.
        serde_json::from_slice(&self.body).map_err(|error| SourceError::Protocol {
            what: format!(
                "what answered is not Vault: {} {} (line {}, column {}); check `address`, and what stands in between",
                self.status,
                self.described(),
                error.line(),
                error.column()
            ),
            status: "malformed".to_owned(),
        })
    }
}
