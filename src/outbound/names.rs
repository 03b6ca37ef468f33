//! Resolution of host names, with errors that name the host.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error_chain;

/// The system's resolver, whose failures can be distinguished from other errors of a call.
#[derive(Debug)]
pub(super) struct Names {
    limit: Duration,
}

impl Names {
    /// Creates a resolver that gives up before the time limit of a connection does, so that an unavailable
    /// name server is distinguished from an unavailable service.
    pub(super) fn within(connect: Duration) -> Self {
        Self {
            limit: connect.mul_f64(0.8),
        }
    }
}

/// The error of a host name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot resolve {host}")]
pub(super) struct Unresolved {
    pub(super) host: String,
    /// The resolver's reason.
    pub(super) why: String,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let limit = self.limit;
        Box::pin(async move {
            let host = name.as_str();
            // The HTTP client sets the port.
            let looked_up = tokio::time::timeout(limit, tokio::net::lookup_host((host, 0))).await;
            let why = match looked_up {
                Ok(Ok(found)) => {
                    let found: Vec<SocketAddr> = found.collect();
                    return Ok(Box::new(found.into_iter()) as Addrs);
                }
                Ok(Err(error)) => error_chain::of_look_up(&error),
                Err(_) => error_chain::SILENT_NAME_SERVER.to_owned(),
            };
            let host = host.to_owned();
            Err(Unresolved { host, why }.into())
        })
    }
}
