//! Restricts the names under which this server answers requests from loopback.
//!
//! A web page can point its own domain name at the loopback address of the visitor's machine and then read
//! what answers there with the visitor's browser (DNS rebinding). Such a request carries that page's domain
//! in `Host`. A connection that arrives over loopback is therefore shown metrics, status and the page only
//! under a name that belongs to loopback.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

const MISDIRECTED: &str =
    "this server does not go by that name: ask for it as localhost or by its address\n";

/// Passes a request on if its `Host` is an address or `localhost`, or if it has none. Browsers always send
/// one.
pub(super) async fn only_local_names(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response()
    }
}

fn names_loopback(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|host| {
        let host = host.to_str().unwrap_or_default();
        is_local(without_port(host))
    })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Checks that a name cannot be rebound: it is an address, or `localhost` or a name below it, which RFC 6761
/// reserves for loopback.
fn is_local(name: &str) -> bool {
    let address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_local() {
        for host in [
            "localhost",
            "LocalHost:9464",
            "localhost.:9464",
            "rotator.localhost",
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]:9464",
            "[::1]",
            "10.1.2.3:80",
        ] {
            assert!(is_local(without_port(host)), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "127.0.0.1:80:80",
        ] {
            assert!(!is_local(without_port(host)), "{host}");
        }
    }
}
