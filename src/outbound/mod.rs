//! The one way to make an HTTP client for an outside service.
//!
//! Every call to Vault, Flashback, AWS and the providers goes through an [`Outbound`], so that the usual
//! problems of connections are solved in one place:
//!
//! - Connections have a limited age, so that a name that moves to another address is followed.
//! - A call that fails or is abandoned retires the connections of its client: the next call is made on a new
//!   connection. HTTP/2 connections are pinged while an answer is awaited.
//! - Certificate files are read again when they change, and after a TLS failure (`tls`).
//! - Loopback and link-local addresses (agents, instance metadata) are never reached through a proxy.
//! - Bodies are read into memory that is wiped, up to a limit, and are never decompressed. The size of the
//!   head is limited by hyper (some 400 KiB, 100 fields) and by the h2 crate (16 KiB). The caller limits the
//!   time: dropping a call ends it.
//! - A sign-in can use a connection of its own, so that its secret stays in no long-lived buffer.
//!
//! This module does not interpret statuses, and knows neither services nor tokens.

mod body;
mod error;
mod local;
mod names;
pub mod smithy;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Origin, Url};
use zeroize::Zeroizing;

use crate::error_chain;
use crate::failpoint;
use crate::retry::parse_retry_after;
use crate::secret::append;
use error::because;
use names::Names;
use tls::Tls;

pub use body::wiped_json;
pub use error::CallError;

/// The time limit for connecting, including name resolution and the TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);

/// The age from which on a connection is not used for new calls.
const OLDEST: Duration = Duration::from_secs(45);

/// The time for which an unused connection is kept. Its buffers may contain a key.
const IDLE: Duration = Duration::from_secs(10);

/// The time for which an HTTP/2 connection with a call in progress may be silent before it is pinged.
const PING_AFTER: Duration = Duration::from_secs(4);

/// The time limit for the answer to an HTTP/2 ping.
const PING_ANSWER: Duration = Duration::from_secs(3);

/// The time for which sent bytes may go unacknowledged by the other side's kernel.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// The largest number of redirects that are followed within the same origin.
const REDIRECTS: usize = 3;

/// The settings of the connections to a service.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The PEM files of the client's certificate with its chain, and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `true` to follow redirects within the same scheme, host and port. Others never are: they would hand
    /// the credentials to any host that an answer names.
    pub follow_within_origin: bool,
    /// `true` to ignore the proxies that the environment names.
    pub direct: bool,
    /// The time limit for connecting, if it is not the usual one.
    pub connect: Option<Duration>,
}

/// The way to a service: HTTP clients that are created, renewed and retired as needed.
#[derive(Debug)]
pub struct Outbound {
    settings: Settings,
    tls: Tls,
    /// The client for addresses of this machine and this link, which uses no proxy.
    near: Mutex<Option<Generation>>,
    /// The client for all other addresses.
    far: Mutex<Option<Generation>>,
}

/// A client and its pool of connections.
#[derive(Debug)]
struct Generation {
    client: reqwest::Client,
    made: Instant,
    /// The number of the certificates with which it was created.
    certificates: u64,
    retired: Arc<AtomicBool>,
}

/// Retires the client's connections on drop, unless the call has succeeded.
#[derive(Debug)]
struct Attempt {
    retired: Arc<AtomicBool>,
    succeeded: bool,
}

/// A connection that speaks another protocol than HTTP.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub struct Answer {
    response: reqwest::Response,
    attempt: Attempt,
}

impl Outbound {
    /// Creates a way to a service. No file is read before the first call.
    pub fn new(settings: Settings) -> Self {
        let tls = Tls::new(settings.ca_file.clone(), settings.identity.clone());
        Self {
            settings,
            tls,
            near: Mutex::default(),
            far: Mutex::default(),
        }
    }

    /// Sends a request to an absolute address.
    ///
    /// # Errors
    /// Returns [`CallError`], but never [`CallError::TooLong`] or [`CallError::Timeout`].
    pub async fn send<B: Into<Bytes>>(&self, request: Request<B>) -> Result<Answer, CallError> {
        let (config, is_near) = self.prepare(request.uri()).await?;
        let slot = if is_near { &self.near } else { &self.far };
        let (client, attempt) = {
            let mut slot = slot.lock().await;
            let generation = match slot.take() {
                Some(generation) if generation.serves(config.number) => generation,
                _ => Generation {
                    client: self.client(config.rustls, is_near, true)?,
                    made: Instant::now(),
                    certificates: config.number,
                    retired: Arc::default(),
                },
            };
            let generation = slot.insert(generation);
            let attempt = Attempt {
                retired: Arc::clone(&generation.retired),
                succeeded: false,
            };
            (generation.client.clone(), attempt)
        };
        self.exchange(&client, attempt, request).await
    }

    /// Sends a request that contains a secret over a connection of its own, which is closed after the answer.
    ///
    /// # Errors
    /// Returns the errors of [`send`](Self::send).
    pub async fn send_alone<B: Into<Bytes>>(
        &self,
        request: Request<B>,
    ) -> Result<Answer, CallError> {
        let (config, is_near) = self.prepare(request.uri()).await?;
        let client = self.client(config.rustls, is_near, false)?;
        let attempt = Attempt {
            retired: Arc::default(),
            succeeded: false,
        };
        self.exchange(&client, attempt, request).await
    }

    /// Sends a request for another protocol over a connection of its own, in HTTP/1.1. An answer with the status 101 is
    /// to be [upgraded](Answer::upgrade).
    ///
    /// # Errors
    /// Returns the errors of [`send`](Self::send).
    pub async fn send_for_upgrade<B: Into<Bytes>>(
        &self,
        request: Request<B>,
    ) -> Result<Answer, CallError> {
        let (mut config, is_near) = self.prepare(request.uri()).await?;
        config.rustls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = self.client(config.rustls, is_near, false)?;
        let attempt = Attempt {
            retired: Arc::default(),
            succeeded: false,
        };
        self.exchange(&client, attempt, request).await
    }

    /// Returns the TLS configuration for a request to `address`, and whether the request bypasses the proxy.
    async fn prepare(&self, address: &Uri) -> Result<(tls::Config, bool), CallError> {
        let is_near = self.settings.direct || local::is_local(address.host().unwrap_or_default());
        let is_secure = address.scheme() == Some(&Scheme::HTTPS);
        if is_near && !is_secure && !self.tls.has_files() {
            return Ok((tls::Config::unused()?, is_near));
        }
        let config = self.tls.current().await?;
        if config.trusts_nobody && is_secure {
            let what = "this machine has no certificate authorities: install ca-certificates, or name a file in SSL_CERT_FILE";
            return Err(CallError::Certificates(what.to_owned()));
        }
        Ok((config, is_near))
    }

    async fn exchange<B: Into<Bytes>>(
        &self,
        client: &reqwest::Client,
        attempt: Attempt,
        request: Request<B>,
    ) -> Result<Answer, CallError> {
        let request = request.map(Into::into);
        let request = reqwest::Request::try_from(request).map_err(|_| CallError::Unsendable)?;
        match client.execute(request).await {
            Ok(response) => Ok(Answer { response, attempt }),
            Err(error) => {
                if error_chain::find::<rustls::Error>(&error).is_some() {
                    self.tls.doubt().await;
                }
                Err(CallError::of(&error))
            }
        }
    }

    fn client(
        &self,
        tls: ClientConfig,
        is_near: bool,
        keeps: bool,
    ) -> Result<reqwest::Client, CallError> {
        let connect = self.settings.connect.unwrap_or(CONNECT);
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Names::within(connect))
            .connect_timeout(connect)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .pool_idle_timeout(IDLE)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_ANSWER)
            .redirect(match self.settings.follow_within_origin {
                true => Policy::custom(within_origin),
                false => Policy::none(),
            });
        if let Some(name) = &self.settings.user_agent {
            builder = builder.user_agent(name);
        }
        if is_near {
            builder = builder.no_proxy();
        }
        if !keeps {
            builder = builder.pool_max_idle_per_host(0);
        }
        builder.build().map_err(|error| {
            let why = error_chain::of_connection(&error);
            CallError::Certificates(format!("no HTTP client can be made{}", because(&why)))
        })
    }
}

impl Generation {
    fn serves(&self, certificates: u64) -> bool {
        self.certificates == certificates
            && self.made.elapsed()
                < failpoint::interval("FLASHBACK_ROTATOR_CONNECTION_AGE_MS", OLDEST)
            && !self.retired.load(Ordering::Relaxed)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.succeeded {
            self.retired.store(true, Ordering::Relaxed);
        }
    }
}

impl Answer {
    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns how long the service asks callers to wait (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.headers())
    }

    /// Takes over the connection of an answer with the status 101. It has no limits but those of its reader.
    ///
    /// # Errors
    /// Returns [`CallError::Broken`] if the connection cannot be taken over.
    pub async fn upgrade(self) -> Result<Box<dyn Socket>, CallError> {
        let upgraded = self.response.upgrade().await;
        let socket =
            upgraded.map_err(|error| CallError::Broken(error_chain::of_connection(&error)))?;
        Ok(Box::new(socket))
    }

    /// Reads the next chunk of the body. Returns `None` at its end.
    ///
    /// # Errors
    /// Returns [`CallError::Broken`] if the connection ends early.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        let chunk = self.response.chunk().await;
        let chunk = chunk.map_err(|error| CallError::Broken(error_chain::of_connection(&error)))?;
        self.attempt.succeeded |= chunk.is_none();
        Ok(chunk)
    }

    /// Reads the body, of at most `limit` bytes.
    ///
    /// # Errors
    /// Returns [`CallError::Broken`] if the connection ends early and [`CallError::TooLong`] if the body is
    /// too long.
    pub async fn body(mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let stated = self.response.content_length().unwrap_or_default();
        let stated = usize::try_from(stated).unwrap_or(usize::MAX);
        if stated > limit {
            return Err(CallError::TooLong(limit));
        }
        let mut body = Zeroizing::new(Vec::with_capacity(stated));
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(CallError::TooLong(limit));
            }
            append(&mut body, &chunk);
        }
        Ok(body)
    }

    /// Reads the beginning of the body, at most `limit` bytes.
    ///
    /// # Errors
    /// Returns [`CallError::Broken`] if the connection ends early.
    pub async fn beginning(mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, CallError> {
        let mut body = Zeroizing::new(Vec::with_capacity(limit));
        while body.len() < limit
            && let Some(chunk) = self.chunk().await?
        {
            let fits = chunk.len().min(limit - body.len());
            body.extend_from_slice(&chunk[..fits]);
        }
        Ok(body)
    }
}

/// Returns how long the headers of an answer ask callers to wait.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(text, SystemTime::now())
}

fn within_origin(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let first: Option<Origin> = attempt.previous().first().map(Url::origin);
    match attempt.previous().len() <= REDIRECTS && first == Some(attempt.url().origin()) {
        true => attempt.follow(),
        false => attempt.stop(),
    }
}
