//! URLs, files and addresses.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;
use url::Url;

use crate::config::setting::{Form, Look, Shape};

/// Where Flashback's API is: kept without a trailing slash.
pub(in crate::config) const BASE_URL: Form<String> = Form {
    shape: Shape::Text(web_schema),
    read: |look| {
        let (text, _) = web(look, "https://backend.flashback.tech")?;
        Some(text.trim_end_matches('/').to_owned())
    },
};

/// A URL that may have a path.
pub(in crate::config) const ENDPOINT: Form<String> = Form {
    shape: Shape::Text(web_schema),
    read: |look| {
        let (text, _) = web(look, "https://api.example.com/v1")?;
        Some(text.to_owned())
    },
};

/// Scheme, host and port of a Vault.
pub(in crate::config) const VAULT_ADDRESS: Form<String> = Form {
    shape: Shape::Text(web_schema),
    read: |look| {
        let example = "https://vault.internal:8200";
        let (text, url) = web(look, example)?;
        if url.path() != "/" {
            look.wrong("has a path").help(format!(
                "write scheme, host and port alone, such as `{example}`; the engine's path goes into `mount`, a namespace into `namespace`"
            ));
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    },
};

/// An IP address and a port.
pub(in crate::config) const LISTEN: Form<SocketAddr> = Form {
    shape: Shape::Text(
        || json!({ "type": "string", "examples": ["127.0.0.1:9464", "0.0.0.0:9464", "[::1]:9464"] }),
    ),
    read: |look| {
        let address = look.text("127.0.0.1:9464")?.parse();
        if address.is_err() {
            look.wrong("is not an IP address and a port").help(
                "write `127.0.0.1:9464`, or `0.0.0.0:9464` to listen on every network; a host name will not do",
            );
        }
        address.ok()
    },
};

/// A file or directory of this machine.
pub(in crate::config) const PATH: Form<PathBuf> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |look| look.text("/path/to/it").map(PathBuf::from),
};

/// Where a secret is in its source: one, and not a pattern for several.
pub(in crate::config) const IN_SOURCE: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1, "pattern": "^[^*]+$" })),
    read: |look| {
        let text = look.text("llm/openai")?;
        if text.contains('*') {
            look.wrong("has a `*` in it, and it is the path of one secret")
                .help("write a key for each secret; what they share can stand in `[defaults]`");
            return None;
        }
        Some(text.to_owned())
    },
};

/// Where an engine or a method is mounted in Vault: kept without slashes at its ends.
pub(in crate::config) const MOUNT: Form<String> = Form {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |look| {
        let text = look.text("secret")?.trim_matches('/');
        if text.is_empty() || text.contains("//") || text.contains(['?', '#']) {
            look.wrong("is not a mount's path")
                .help("write it as `vault secrets list` or `vault auth list` shows it");
            return None;
        }
        Some(text.to_owned())
    },
};

fn web_schema() -> serde_json::Value {
    json!({ "type": "string", "pattern": "^https?://[^/]", "format": "uri" })
}

/// An `http` or `https` URL with a host and without credentials, query and fragment.
fn web<'a>(look: &mut Look<'a>, example: &str) -> Option<(&'a str, Url)> {
    let text = look.text(example)?;
    let help = format!("write `{example}`");
    if has_password(text) {
        look.wrong("has a user or a password in it").help(format!(
            "{help}; a password that was written here should be changed"
        ));
        return None;
    }
    let url = Url::parse(text).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        look.wrong("is not an http or https URL").help(help);
        return None;
    };
    if url.query().is_some() || url.fragment().is_some() || text.contains(char::is_whitespace) {
        look.wrong("has a space, a `?` or a `#` in it").help(help);
        return None;
    }
    Some((text, url))
}

/// Whether something stands before an `@` in the part of a URL where the host is. Also where the
/// rest of it is no URL: it may be a password all the same.
fn has_password(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.contains('@')
}
