//! The syntax of the address of a Vault and of the path of a mount in it.

use serde_json::json;

use crate::setting::value_types::place::{web, web_schema};
use crate::setting::{Shape, ValueType};

/// Scheme, host and port of a Vault.
pub const ADDRESS: ValueType<String> = ValueType {
    shape: Shape::Text(web_schema),
    read: |input| {
        let example = "https://vault.internal:8200";
        let (text, url) = web(input, example)?;
        if url.path() != "/" {
            input.wrong("has a path").help(format!(
                "write scheme, host and port alone, such as `{example}`; the engine's path goes into `mount`, a namespace into `namespace`"
            ));
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    },
};

/// The mount of an engine or a method in Vault, without slashes at its ends.
pub const MOUNT: ValueType<String> = ValueType {
    shape: Shape::Text(|| json!({ "type": "string", "minLength": 1 })),
    read: |input| {
        let text = input.text("secret")?.trim_matches('/');
        if text.is_empty() || text.contains("//") || text.contains(['?', '#']) {
            input
                .wrong("is not a mount's path")
                .help("write it as `vault secrets list` or `vault auth list` shows it");
            return None;
        }
        Some(text.to_owned())
    },
};
