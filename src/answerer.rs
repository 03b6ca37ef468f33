//! Recognizes what kind of server has answered where another was expected, from the body of its answer.
//!
//! No part of the body is repeated.

use serde_json::Value;

/// Describes an answer's body, in words that continue "it answered 404", such as "with a page of HTML".
pub fn describe(body: &[u8]) -> &'static str {
    let text = body.trim_ascii_start();
    if text.is_empty() {
        return "without a body";
    }
    if wants_tls(text) {
        return "saying that TLS is spoken there (write `https://`)";
    }
    if text.starts_with(b"<?xml") {
        return "with XML";
    }
    if text.starts_with(b"<") {
        return "with a page of HTML";
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(object)) if is_vaults(&object) => "as Vault and OpenBao do",
        Ok(Value::Object(object)) if object.contains_key("__type") => "as AWS does",
        Ok(Value::Object(object)) if object.get("kind") == Some(&"Status".into()) => {
            "as Kubernetes does"
        }
        Ok(_) => "with JSON that is not the API's",
        Err(_) => "with something that is not JSON",
    }
}

/// Checks that a body is an error in the form of Vault and OpenBao: an object with `errors` and at most
/// `warnings` beside it, each a list of strings.
pub fn is_of_vault(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|object| is_vaults(&object))
}

fn is_vaults(object: &serde_json::Map<String, Value>) -> bool {
    let are_texts = |(name, value): (&String, &Value)| {
        let texts = value.as_array();
        matches!(&**name, "errors" | "warnings")
            && texts.is_some_and(|texts| texts.iter().all(Value::is_string))
    };
    object.contains_key("errors") && object.iter().all(are_texts)
}

/// Checks that a body tells a client without TLS that the port speaks TLS, as servers in Go, nginx and Apache do.
pub fn wants_tls(body: &[u8]) -> bool {
    let says = |words: &[u8]| body.windows(words.len()).any(|window| window == words);
    says(b"HTTP request to an HTTPS server")
        || says(b"plain HTTP request was sent to HTTPS port")
        || says(b"speaking plain HTTP to an SSL-enabled server port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_servers_by_their_answers() {
        for (body, words) in [
            ("", "without a body"),
            (
                "\n<!doctype html><title>Sign in</title>",
                "with a page of HTML",
            ),
            ("<?xml version=\"1.0\"?><Error/>", "with XML"),
            (r#"{"errors":[]}"#, "as Vault and OpenBao do"),
            (
                r#"{"errors":["permission denied"],"warnings":["w"]}"#,
                "as Vault and OpenBao do",
            ),
            (
                r#"{"__type":"UnrecognizedClientException","message":"m"}"#,
                "as AWS does",
            ),
            (
                r#"{"kind":"Status","apiVersion":"v1","code":403}"#,
                "as Kubernetes does",
            ),
            (
                r#"{"errors":[{"message":"m"}]}"#,
                "with JSON that is not the API's",
            ),
            ("[]", "with JSON that is not the API's"),
            ("not found", "with something that is not JSON"),
            (
                "Client sent an HTTP request to an HTTPS server.\n",
                "saying that TLS is spoken there (write `https://`)",
            ),
            (
                "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
                "saying that TLS is spoken there (write `https://`)",
            ),
        ] {
            assert_eq!(describe(body.as_bytes()), words, "{body}");
        }
    }
}
