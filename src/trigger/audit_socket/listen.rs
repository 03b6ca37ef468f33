//! The setting `listen`: a Unix socket, or an address of this machine.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::setting::{Shape, ValueType};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At a Unix socket with this path.
    Unix(PathBuf),
    /// At this address.
    Tcp(SocketAddr),
}

impl Listen {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => {
                let path = Path::new(path);
                let is_one = path.is_absolute() && path.file_name().is_some();
                is_one.then(|| Self::Unix(path.to_owned()))
            }
            None => text.parse().ok().map(Self::Tcp),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// A Unix socket, or an IP address and a port.
pub(super) const LISTEN: ValueType<Listen> = ValueType {
    shape: Shape::Text(|| {
        json!({
            "type": "string",
            "examples": ["unix:/run/flashback-rotator/audit.sock", "127.0.0.1:9465"],
        })
    }),
    read: |input| {
        let listen = Listen::parse(input.text("unix:/run/flashback-rotator/audit.sock")?);
        if listen.is_none() {
            input.wrong("is neither a Unix socket nor an IP address and a port").help(
                "write `unix:` and an absolute path, as in `unix:/run/flashback-rotator/audit.sock`, or `127.0.0.1:9465`; a host name will not do",
            );
        }
        listen
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_unix_socket_or_an_address() {
        for text in ["unix:/run/a.sock", "127.0.0.1:9465", "[::1]:9465"] {
            let listen = Listen::parse(text).expect(text);
            assert_eq!(listen.to_string(), text);
        }
        for text in [
            "unix:a.sock",
            "unix:",
            "unix:/",
            "/run/a.sock",
            "localhost:9465",
            "127.0.0.1",
        ] {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
    }
}
