//! The errors of HTTP calls.

use super::names::Unresolved;
use crate::error_chain;

/// The reason why a call has no complete answer. Its text may be shown to users.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// A file that TLS needs cannot be used.
    #[error("{0}")]
    Certificates(String),
    /// No request can be made: the address or a header is invalid.
    #[error("no request can be made of this address and these headers")]
    Unsendable,
    /// A host name could not be resolved; nothing was sent.
    #[error(
        "cannot resolve {host} ({why}): is the name right, and does this machine's resolver know it?"
    )]
    Unresolved {
        /// The name: the service's host, or the proxy's.
        host: String,
        /// The resolver's reason.
        why: String,
    },
    /// No connection could be established; nothing was sent.
    #[error("no connection{}", because(.0))]
    Connect(Option<String>),
    /// No connection was established in time; nothing was sent.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The other side does not speak HTTP; it may be waiting for TLS.
    #[error(
        "what answers there does not speak HTTP: is the address one of `https://`, or the port another service's?"
    )]
    NotHttp,
    /// There was no answer in time. The request may have been carried out.
    #[error("no answer in time")]
    Timeout,
    /// The connection ended before the answer did. The request may have been carried out.
    #[error("the connection broke{}", because(.0))]
    Broken(Option<String>),
    /// The answer is longer than this number of bytes.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

impl CallError {
    /// Returns the word that metrics show for a call that ended so.
    pub fn status(&self) -> &'static str {
        match self {
            Self::ConnectTimeout | Self::Timeout => "timeout",
            Self::Unresolved { .. } | Self::Connect(_) => "connect",
            Self::Certificates(_) | Self::Unsendable => "setup",
            Self::NotHttp | Self::Broken(_) | Self::TooLong(_) => "broken",
        }
    }

    /// Converts an error of the HTTP client.
    pub fn of(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Unsendable;
        }
        if let Some(Unresolved { host, why }) = error_chain::find(error) {
            let (host, why) = (host.clone(), why.clone());
            return Self::Unresolved { host, why };
        }
        let is_no_http = |error: &hyper::Error| error.is_parse() && !error.is_parse_too_large();
        if error_chain::find(error).is_some_and(is_no_http) {
            return Self::NotHttp;
        }
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => Self::ConnectTimeout,
            (true, false) => Self::Connect(error_chain::of_connection(error)),
            (false, _) => Self::Broken(error_chain::of_connection(error)),
        }
    }
}

/// Returns the reason after a colon, to be appended to a sentence. Returns an empty text if there is none.
pub fn because(why: &Option<String>) -> String {
    why.as_ref()
        .map_or_else(String::new, |why| format!(": {why}"))
}
