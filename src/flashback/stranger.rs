//! Tells Flashback from anything else that may answer at `base_url`: a secret store, a login page, a
//! web server.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::FlashbackError;
use super::answer::{Odd, parse, unless_unsuccessful};
use crate::answerer;

/// The fields that the API's answers are known by.
const KNOWN: [&str; 6] = [
    "success",
    "message",
    "error",
    "error_code",
    "error_message",
    "accessToken",
];

/// The number of bytes of an answer that are read to identify its sender. A list may be far longer.
pub(super) const ENOUGH: usize = 64 << 10;

/// Returns `true` if a body is the beginning of a list that was not read to its end.
fn begins_a_list(body: &[u8]) -> bool {
    let has = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    body.len() >= ENOUGH && body.trim_ascii_start().starts_with(b"{") && has(b"\"aiLlms\"")
}

/// Returns `true` if a body can be the API's: a JSON object with a field that its answers have. A 403 and a 404 prove
/// that the token is known, so they need `success`: many a web server says the same with a mere `message`.
pub(super) fn is_of_the_api(status: StatusCode, body: &[u8]) -> bool {
    let known = match status {
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => &KNOWN[..1],
        _ => &KNOWN[..],
    };
    let object = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body);
    object.is_ok_and(|object| known.iter().any(|field| object.contains_key(*field)))
        || begins_a_list(body)
}

/// Returns the error of an answer that cannot be Flashback's. It quotes nothing of the body.
pub(super) fn error(base: &str, status: StatusCode, body: &[u8]) -> FlashbackError {
    let code = status.as_u16();
    let answered = match status.is_redirection() {
        true => format!("{code}, a redirect"),
        false => format!("{code} {}", answerer::describe(body)),
    };
    FlashbackError::Faulty {
        what: format!(
            "{} is not a Flashback: it answered {answered}; check base_url",
            base.trim_end_matches('/')
        ),
        status: "not_flashback".to_owned(),
        retry_after: None,
    }
}

/// Checks that a body is a list of configurations, without reading its entries.
pub(super) fn read_list(body: &[u8]) -> Result<(), Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        ai_llms: Option<Vec<IgnoredAny>>,
    }
    if begins_a_list(body) {
        return Ok(());
    }
    unless_unsuccessful(body)?;
    let list = parse::<List>(body)?.ai_llms;
    list.map(drop).ok_or_else(|| Odd::lacks("aiLlms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_list_by_its_beginning() {
        let entries = vec![r#"{"id":"1","name":"n"}"#; 10_000].join(",");
        let list = format!(r#"{{"success":true,"aiLlms":[{entries}]}}"#);
        let beginning = &list.as_bytes()[..ENOUGH];
        assert!(is_of_the_api(StatusCode::OK, beginning));
        assert_eq!(read_list(beginning), Ok(()));
        assert_eq!(read_list(br#"{"success":true,"aiLlms":[]}"#), Ok(()));
        for odd in ["{}", r#"{"success":true}"#, r#"{"success":false}"#, "[1"] {
            assert!(read_list(odd.as_bytes()).is_err(), "{odd}");
        }
    }

    #[test]
    fn knows_the_apis_answers_from_those_of_others() {
        for body in [
            r#"{"success":false,"message":"no"}"#,
            r#"{"error":"no"}"#,
            r#"{"success":true,"aiLlms":[]}"#,
            r#"{"accessToken":"t"}"#,
        ] {
            assert!(is_of_the_api(StatusCode::OK, body.as_bytes()), "{body}");
        }
        let missing = |body: &str| is_of_the_api(StatusCode::NOT_FOUND, body.as_bytes());
        assert!(missing(r#"{"success":false,"message":"Not found"}"#));
        assert!(!missing(r#"{"message":"Not found"}"#));
        let refused = |body: &str| is_of_the_api(StatusCode::FORBIDDEN, body.as_bytes());
        assert!(refused(r#"{"success":false,"error":"Forbidden"}"#));
        assert!(!refused(r#"{"message":"Missing Authentication Token"}"#));
        for (body, words) in [
            (
                "<!doctype html><title>Sign in</title>",
                "403 with a page of HTML",
            ),
            (
                r#"{"errors":["permission denied"]}"#,
                "403 as Vault and OpenBao do",
            ),
            ("", "403 without a body"),
        ] {
            assert!(
                !is_of_the_api(StatusCode::FORBIDDEN, body.as_bytes()),
                "{body}"
            );
            let error = error("https://vault", StatusCode::FORBIDDEN, body.as_bytes());
            assert_eq!(
                error.to_string(),
                format!("https://vault is not a Flashback: it answered {words}; check base_url")
            );
        }
    }
}
