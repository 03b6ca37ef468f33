//! One request to Vault: vaultrs builds it, our own HTTP client sends it, and every status comes
//! back as an [`Answer`].
//!
//! vaultrs' own client is not used, because it keeps whole bodies in its errors, loses headers
//! (`Retry-After`), has no timeouts and follows redirects to other hosts with the token. What is
//! used is its requests and its middleware (API version, token and namespace headers), through
//! rustify's [`Client`] trait, whose default `execute` would also turn a status into such an error.

use std::error::Error;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::{HeaderValue, Method, Request, Response, header};
use reqwest::redirect::Policy;
use rustify::client::Client;
use rustify::endpoint::Endpoint;
use rustify::errors::ClientError;
use serde::de::DeserializeOwned;
use url::Url;
use vaultrs::api::EndpointMiddleware;
use zeroize::Zeroizing;

use crate::redact::Pieces;
use crate::retry::parse_retry_after;
use crate::secret::append;
use crate::source::SourceError;
use crate::words;

/// The whole of a call is bounded by the lane; a connection that is not there by then never is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// No answer is larger: Vault takes no request beyond 32 MiB, and a KV entry is 1 MiB at most
/// with integrated storage (<https://developer.hashicorp.com/vault/docs/internals/limits>).
const LARGEST_ANSWER: usize = 8 << 20;

/// Redirects followed within the same host.
const REDIRECTS: usize = 3;

/// The HTTP client of one source, for as long as its certificates are the same.
#[derive(Clone)]
pub(super) struct Wire {
    base: String,
    http: reqwest::Client,
}

/// The certificates a [`Wire`] is made with.
#[derive(Default)]
pub(super) struct Certificates {
    /// The authorities to trust instead of the system's, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// The client's certificate, its chain and its key, in PEM.
    pub identity: Option<Zeroizing<Vec<u8>>>,
}

/// What came back, whatever its status.
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The host a redirect points at, where it was not followed and has nothing of the token in it.
    pub redirect: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Wire {
    /// Makes a client for `base`, a checked address.
    ///
    /// With authorities of its own it trusts those alone, as Vault's own tools do. Redirects are
    /// followed to the same scheme, host and port only: a standby sends callers to the active
    /// node's address, and following would hand the token to whatever host the answer names.
    pub fn new(base: &str, certificates: &Certificates) -> Result<Self, SourceError> {
        let invalid = |what: &str| SourceError::Invalid {
            what: what.to_owned(),
        };
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::custom(|attempt| {
                let first = attempt.previous().first().map(origin);
                if attempt.previous().len() <= REDIRECTS && first == Some(origin(attempt.url())) {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        if let Some(pem) = &certificates.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|found| !found.is_empty())
                .ok_or_else(|| invalid("`ca_file` holds no certificate in PEM"))?;
            builder = builder.tls_certs_only(authorities);
        } else if base.starts_with("http://") {
            // Without this the system's authorities are loaded, and an image without any fails.
            builder = builder.tls_certs_only(Vec::new());
        }
        if let Some(pem) = &certificates.identity {
            let identity = reqwest::Identity::from_pem(pem).map_err(|_| {
                invalid("`cert_file` and `key_file` are not a certificate and its key in PEM")
            })?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|_| {
            invalid("TLS cannot be set up: are the system's CA certificates installed, and do `cert_file` and `key_file` belong together?")
        })?;
        Ok(Self {
            base: base.to_owned(),
            http,
        })
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
        let text = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        Ok(Answer {
            status: parts.status.as_u16(),
            retry_after: text(header::RETRY_AFTER)
                .and_then(|text| parse_retry_after(text, SystemTime::now())),
            redirect: text(header::LOCATION)
                .and_then(|text| Url::parse(text).ok())
                .and_then(|url| url.host_str().map(str::to_owned))
                .filter(|host| words::is_plain(host))
                .filter(|host| !Pieces::of([&*middle.token]).are_in(host)),
            body: Zeroizing::new(body),
        })
    }

    /// Says what went wrong on the way, from the kinds of the errors in the chain alone: their
    /// texts may quote what was sent or received.
    fn no_answer(&self, error: ClientError) -> SourceError {
        let base = &self.base;
        let unavailable = |what: String, status: &str| SourceError::Unavailable {
            what,
            status: status.to_owned(),
            retry_after: None,
        };
        let source = match error {
            ClientError::RequestError { source, .. } | ClientError::ResponseError { source } => {
                source
            }
            ClientError::ServerResponseError { .. } => {
                return SourceError::Protocol {
                    what: format!("{base} answered with more than {LARGEST_ANSWER} bytes"),
                    status: "too_large".to_owned(),
                };
            }
            _ => {
                return SourceError::Invalid {
                    what: "the request cannot be built: check `address`, `mount`, `namespace` and the path".to_owned(),
                };
            }
        };
        let Some(error) = source.downcast_ref::<reqwest::Error>() else {
            return unavailable(format!("no answer from {base}"), "connect");
        };
        let reason = reason(error).map_or_else(String::new, |reason| format!(": {reason}"));
        if error.is_timeout() {
            let place = if error.is_connect() {
                "connection"
            } else {
                "answer"
            };
            unavailable(format!("no {place} in time from {base}"), "timeout")
        } else if error.is_connect() {
            unavailable(format!("cannot connect to {base}{reason}"), "connect")
        } else {
            unavailable(format!("the connection to {base} broke{reason}"), "broken")
        }
    }
}

#[async_trait]
impl Client for Wire {
    fn base(&self) -> &str {
        &self.base
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        let failed = |error: reqwest::Error| ClientError::RequestError {
            source: error.into(),
            url: String::new(),
            method: String::new(),
        };
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        if request.method() == Method::PATCH {
            // The one form Vault takes a patch in. rustify sets no type, and elsewhere none is needed.
            let merge_patch = HeaderValue::from_static("application/merge-patch+json");
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, merge_patch);
        }
        let mut response = self.http.execute(request).await.map_err(failed)?;
        let expected = response.content_length().unwrap_or_default() as usize;
        // What the HTTP client itself buffered cannot be wiped; what is kept longer is.
        let mut body = Zeroizing::new(Vec::with_capacity(expected.min(LARGEST_ANSWER)));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(ClientError::ServerResponseError {
                    code: response.status().as_u16(),
                    content: None,
                });
            }
            append(&mut body, &chunk);
        }
        let mut answer = Response::new(std::mem::take(&mut *body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }
}

impl Answer {
    /// Reads the body as what the API documents.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, SourceError> {
        // serde's error quotes the value it stumbled over, so it ends here.
        serde_json::from_slice(&self.body).map_err(|error| SourceError::Protocol {
            what: format!(
                "the body of a {} is not the API's (at line {}, column {}): is there a proxy in between, or no Vault?",
                self.status,
                error.line(),
                error.column()
            ),
            status: "malformed".to_owned(),
        })
    }
}

fn origin(url: &Url) -> (String, Option<String>, Option<u16>) {
    (
        url.scheme().to_owned(),
        url.host_str().map(str::to_owned),
        url.port_or_known_default(),
    )
}

/// The one cause worth telling: what TLS objected to, or the operating system's words.
fn reason(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(format!("TLS: {}", words::shown(&tls.to_string(), &[])));
        }
        let Some(io) = error.downcast_ref::<std::io::Error>() else {
            cause = error.source();
            continue;
        };
        if io.raw_os_error().is_some() {
            return Some(words::shown(&io.to_string(), &[]));
        }
        // `source` of an I/O error skips the very error that it wraps.
        cause = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
    }
    None
}
