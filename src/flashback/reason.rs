//! Finds the reasons in an answer, in all fields that the platform uses for them.
//!
//! Its reference documents `message` and `error_code`; real answers also have `error`, `error_message`, `errors` and
//! `detail`, each a text or a list. The texts are as the server wrote them: callers mask them before they are shown.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The fields that hold a reason, in the order in which they are shown.
const FIELDS: [&str; 5] = ["message", "error", "error_message", "errors", "detail"];
/// The field of a short name for the reason, which is shown in brackets after it.
const CODE: &str = "error_code";
/// The most bytes of reasons that are collected. More would be cut before it is shown.
const LONGEST: usize = 4096;
/// The most reasons that are collected.
const MOST: usize = 32;

/// The reason for a failure, read from a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// `true` if the body is a JSON object in the API's shape. Any other body comes from something in front of
    /// Flashback.
    pub is_api: bool,
    /// `true` if it has no field of the API's but `message`. Gateways of cloud providers answer so, too.
    pub is_bare: bool,
    /// Its reasons, unmasked; `None` where it gives none.
    pub text: Option<Zeroizing<String>>,
}

/// Reads the reason out of a body: of the API's JSON object each text that [`FIELDS`] hold, of a
/// plain text the first line. `None` for a page, another JSON, bytes that are no text, and nothing.
pub(super) fn reason(body: &[u8]) -> Option<Reason> {
    if let Ok(value) = serde_json::from_slice(body) {
        let Value::Object(object) = value else {
            return None;
        };
        return is_api(&object).then(|| Reason {
            is_api: true,
            is_bare: is_bare(&object),
            text: told(&object),
        });
    }
    let line = first_line(std::str::from_utf8(body).ok()?)?;
    Some(Reason {
        is_api: false,
        is_bare: false,
        text: Some(Zeroizing::new(line.to_owned())),
    })
}

fn is_api(object: &Map<String, Value>) -> bool {
    object.get("success").is_some_and(Value::is_boolean)
        || FIELDS
            .iter()
            .chain([&CODE])
            .any(|field| object.get(*field).is_some_and(|value| !value.is_null()))
}

fn is_bare(object: &Map<String, Value>) -> bool {
    let mut others = ["success", CODE].into_iter().chain(FIELDS);
    !others.any(|field| field != FIELDS[0] && object.contains_key(field))
}

/// Returns the reasons of an object in the API's shape, each of them once.
fn told(object: &Map<String, Value>) -> Option<Zeroizing<String>> {
    let mut texts = Vec::new();
    for field in FIELDS {
        if let Some(value) = object.get(field) {
            collect(value, &mut texts);
        }
    }
    let mut told = Zeroizing::new(String::new());
    for text in texts {
        if told.len() > LONGEST {
            break;
        }
        if !told.is_empty() {
            told.push_str("; ");
        }
        told.push_str(text);
    }
    let code = object.get(CODE).and_then(Value::as_str).map(str::trim);
    match code.filter(|code| !code.is_empty()) {
        Some(code) if told.is_empty() => told.push_str(code),
        Some(code) => {
            for part in [" (", code, ")"] {
                told.push_str(part);
            }
        }
        None => {}
    }
    (!told.is_empty()).then_some(told)
}

/// Collects the texts of a field: itself, those of a list, and the reasons of an object in either.
fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    if texts.len() == MOST {
        return;
    }
    match value {
        Value::String(text) => {
            let text = text.trim();
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(object) => {
            for value in FIELDS.iter().filter_map(|field| object.get(*field)) {
                collect(value, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the first line that is not blank, of a text that is neither a page nor broken JSON.
fn first_line(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let line = text.lines().next()?.trim();
    let is_text = !line.starts_with(['<', '{', '[', '"']) && !line.contains(char::is_control);
    (is_text && !line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(body: &str) -> Option<String> {
        let reason = reason(body.as_bytes())?;
        assert_eq!(reason.is_api, body.starts_with('{'), "{body}");
        reason.text.map(|text| text.to_string())
    }

    #[test]
    fn reasons_are_read_from_every_field_that_holds_one() {
        for (body, expected) in [
            (
                r#"{"success":false,"message":"no","error_code":"E"}"#,
                "no (E)",
            ),
            (r#"{"error_code":"E"}"#, "E"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error_message":"no"}"#, "no"),
            (r#"{"errors":["one","two"]}"#, "one; two"),
            (
                r#"{"errors":[{"message":"one"},{"detail":"two"}]}"#,
                "one; two",
            ),
            (r#"{"detail":[{"msg":"x"},"no"]}"#, "no"),
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"message":" no ","error":"no","errors":["no"]}"#, "no"),
            (r#"{"message":7,"detail":"no"}"#, "no"),
            ("upstream connect error\nand more", "upstream connect error"),
            ("\n  404 page not found\n", "404 page not found"),
        ] {
            assert_eq!(text(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn an_object_of_the_api_may_give_no_reason() {
        for body in [
            r#"{"success":false}"#,
            r#"{"message":""}"#,
            r#"{"errors":[]}"#,
        ] {
            let reason = reason(body.as_bytes()).expect("the API's");
            assert!(reason.is_api && reason.text.is_none(), "{body}");
        }
    }

    #[test]
    fn a_message_alone_is_bare() {
        for (body, expected) in [
            (r#"{"message":"Forbidden"}"#, true),
            (r#"{"message":"no Route","request_id":"7"}"#, true),
            (r#"{"success":false,"message":"no"}"#, false),
            (r#"{"message":"no","error_code":"E"}"#, false),
            (r#"{"error":"no"}"#, false),
            ("Forbidden", false),
        ] {
            let reason = reason(body.as_bytes()).expect("a reason");
            assert_eq!(reason.is_bare, expected, "{body}");
        }
    }

    #[test]
    fn finds_no_reason_in_other_json_html_or_binary_bodies() {
        for body in [
            &b""[..],
            b" \n",
            b"{}",
            b"[]",
            b"7",
            b"null",
            br#""text""#,
            br#"{"success":"true"}"#,
            br#"{"message":null}"#,
            br#"{"message":"cut"#,
            b"<html>no</html>",
            b"\n<!DOCTYPE html>",
            b"\xff\xfe",
            b"a\x00b",
        ] {
            assert_eq!(reason(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn many_reasons_are_not_all_collected() {
        let errors: Vec<String> = (0..100_000)
            .map(|number| format!("reason {number}"))
            .collect();
        let body = serde_json::json!({ "errors": errors }).to_string();
        let text = text(&body).expect("a reason");
        assert_eq!(text.matches("; ").count(), MOST - 1);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = reason(&body);
        }
    }
}
