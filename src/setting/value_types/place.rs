//! URLs, files and addresses.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;
use url::Url;

use crate::setting::declaration::{Shape, ValueType};
use crate::setting::input::Input;

/// The base URL of Flashback's API, without a trailing slash.
pub const BASE_URL: ValueType<String> = ValueType {
    shape: Shape::Text(web_schema),
    read: |input| {
        let (text, _) = web(input, "https://backend.flashback.tech")?;
        Some(text.trim_end_matches('/').to_owned())
    },
};

/// A URL that may have a path.
pub const ENDPOINT: ValueType<String> = ValueType {
    shape: Shape::Text(web_schema),
    read: |input| {
        let (text, _) = web(input, "https://api.example.com/v1")?;
        Some(text.to_owned())
    },
};

/// An IP address and a port.
pub const LISTEN: ValueType<SocketAddr> = ValueType {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["127.0.0.1:9464", "0.0.0.0:9464", "[::1]:9464"] }),
    ),
    read: |input| {
        let address = input.text("127.0.0.1:9464")?.parse();
        if address.is_err() {
            input.wrong("is not an IP address and a port").help(
                "write `127.0.0.1:9464`, or `0.0.0.0:9464` to listen on every network; a host name will not do",
            );
        }
        address.ok()
    },
};

/// A file or directory of this machine.
pub const PATH: ValueType<PathBuf> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |input| input.text("/path/to/it").map(PathBuf::from),
};

/// The path of one secret in its source. Patterns are refused.
pub const IN_SOURCE: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1, "pattern": "^[^*]+$" })),
    read: |input| {
        let text = input.text("llm/openai")?;
        if text.contains('*') {
            input
                .wrong("has a `*` in it, and it is the path of one secret")
                .help("write a key for each secret; what they share can stand in `[defaults]`");
            return None;
        }
        Some(text.to_owned())
    },
};

/// Returns the schema of a URL.
pub fn web_schema() -> serde_json::Value {
    json!({ "type": "string", "pattern": "^https?://[^/]", "format": "uri" })
}

/// Reads an `http` or `https` URL with a host and without credentials, query and fragment.
pub fn web<'a>(input: &mut Input<'a>, example: &str) -> Option<(&'a str, Url)> {
    let text = input.text(example)?;
    let help = format!("write `{example}`");
    if has_password(text) {
        input.wrong("has a user or a password in it").help(format!(
            "{help}; a password that was written here should be changed"
        ));
        return None;
    }
    match web_problem(text) {
        Some(problem) => {
            input.wrong(problem).help(help);
            None
        }
        None => Some((text, Url::parse(text).ok()?)),
    }
}

/// Returns what keeps a text from being the URL that [`web`] reads, as it goes on after a setting's name.
pub fn web_problem(text: &str) -> Option<&'static str> {
    if has_password(text) {
        return Some("has a user or a password in it");
    }
    let url = Url::parse(text).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return Some("is not an http or https URL");
    };
    let has_more = url.query().is_some() || url.fragment().is_some();
    (has_more || text.contains(char::is_whitespace)).then_some("has a space, a `?` or a `#` in it")
}

/// Returns `true` if something stands before an `@` in the host part of a URL. It may be a password even if the
/// rest is not a URL.
fn has_password(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.contains('@')
}
