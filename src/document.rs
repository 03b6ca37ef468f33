//! What a store holds under one path, and how credentials are taken out of it.
//!
//! A stored secret is an object of fields or one plain text. Errors name fields, never values; a
//! field that is called like a key may be one that was put in the wrong place, and is not named.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroize;

use crate::redact;
use crate::secret::{Credentials, Fingerprint, Fingerprinter, Secret};
use crate::words;

/// So many of a secret's fields are named in an error.
const NAMED: usize = 8;

/// A stored secret, wiped from memory when dropped.
pub enum Document {
    /// One plain text.
    Text(Secret),
    /// An object of fields.
    Fields(Fields),
}

/// Credentials as they were taken out of a document.
#[derive(Debug)]
pub struct Taken {
    /// Without white space around them.
    pub credentials: Credentials,
    /// Whether there was any, which is worth a warning: whoever stored them did not mean to.
    pub trimmed: bool,
}

/// The fields of a stored secret.
pub struct Fields(serde_json::Map<String, Value>);

impl Document {
    /// A text as a store or a file gives it: a JSON object is taken for fields, anything else is
    /// the secret itself.
    pub fn from_text(text: String) -> Self {
        match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) => {
                let mut text = text;
                text.zeroize();
                Self::Fields(Fields(map))
            }
            Ok(mut other) => {
                wipe(&mut other);
                Self::Text(Secret::new(text))
            }
            Err(_) => Self::Text(Secret::new(text)),
        }
    }

    /// An object that the store itself keeps as one.
    pub fn from_fields(map: serde_json::Map<String, Value>) -> Self {
        Self::Fields(Fields(map))
    }

    /// The digest of the whole document; the order of its fields does not matter.
    pub fn fingerprint(&self, fingerprinter: &Fingerprinter) -> Fingerprint {
        match self {
            Self::Text(text) => fingerprinter.bytes(text.expose().as_bytes()),
            Self::Fields(fields) => {
                let mut bytes = Vec::new();
                canonical(&fields.0, &mut bytes);
                let fingerprint = fingerprinter.bytes(&bytes);
                bytes.zeroize();
                fingerprint
            }
        }
    }

    /// Takes the credentials out, as `fields` in the configuration says, without the white space
    /// around them: a line break at the end is the commonest slip of whoever stores a key by hand.
    ///
    /// # Errors
    /// [`Malformed`], which names fields and never a value.
    pub fn credentials(&self, fields: &FieldMap) -> Result<Taken, Malformed> {
        let mut trimmed = false;
        let mut trim = |secret: Secret, field: Option<&String>| {
            let bare = secret.trimmed();
            trimmed |= bare.is_some();
            let secret = bare.unwrap_or(secret);
            match secret.is_empty() {
                true => Err(Malformed::Empty {
                    field: field.map(|name| redact::shown(name).to_owned()),
                }),
                false => Ok(secret),
            }
        };
        let key = match &fields.key {
            Some(name) => Some(trim(self.field(name)?, Some(name))?),
            None => None,
        };
        let secret = match &fields.secret {
            Some(name) => trim(self.field(name)?, Some(name))?,
            None => trim(self.only_field()?, None)?,
        };
        Ok(Taken {
            credentials: Credentials { key, secret },
            trimmed,
        })
    }

    /// The value of one field, by name or by JSON pointer.
    ///
    /// # Errors
    /// [`Malformed`] where there is no such field, or it is not a text, or empty.
    pub fn field(&self, name: &str) -> Result<Secret, Malformed> {
        let Self::Fields(Fields(map)) = self else {
            return Err(Malformed::NotAnObject {
                field: redact::shown(name).to_owned(),
            });
        };
        let value = match name.strip_prefix('/') {
            None => map.get(name),
            Some(rest) => {
                let mut steps = rest.splitn(2, '/');
                let first = steps
                    .next()
                    .unwrap_or_default()
                    .replace("~1", "/")
                    .replace("~0", "~");
                map.get(&first).and_then(|value| match steps.next() {
                    Some(rest) => value.pointer(&format!("/{rest}")),
                    None => Some(value),
                })
            }
        };
        match value {
            None => Err(Malformed::NoSuchField {
                field: redact::shown(name).to_owned(),
                found: self.names(),
            }),
            Some(value) => as_secret(name, value),
        }
    }

    /// The secret of a document whose field was not named.
    ///
    /// # Errors
    /// [`Malformed`] unless it is a plain text or has exactly one field, a text.
    pub fn only_field(&self) -> Result<Secret, Malformed> {
        match self {
            Self::Text(text) if text.is_empty() => Err(Malformed::Empty { field: None }),
            Self::Text(text) => Ok(text.clone()),
            Self::Fields(Fields(map)) => {
                let mut texts = map.iter().filter(|(_, value)| value.is_string());
                match (texts.next(), texts.next()) {
                    (Some((name, value)), None) if map.len() == 1 => as_secret(name, value),
                    _ => Err(Malformed::Ambiguous {
                        found: self.names(),
                    }),
                }
            }
        }
    }

    fn names(&self) -> String {
        match self {
            Self::Text(_) => "none".to_owned(),
            Self::Fields(Fields(map)) if map.is_empty() => "none".to_owned(),
            Self::Fields(Fields(map)) => {
                let name = |name: &String| format!("`{}`", words::shown(name, &[]));
                let mut names: Vec<_> = map.keys().take(NAMED).map(name).collect();
                if map.len() > NAMED {
                    names.push(format!("and {} more", map.len() - NAMED));
                }
                names.join(", ")
            }
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Document(…)")
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

fn as_secret(name: &str, value: &Value) -> Result<Secret, Malformed> {
    match value {
        Value::String(text) if text.is_empty() => Err(Malformed::Empty {
            field: Some(redact::shown(name).to_owned()),
        }),
        Value::String(text) => Ok(Secret::new(text.clone())),
        other => Err(Malformed::NotText {
            field: redact::shown(name).to_owned(),
            kind: kind(other),
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Writes an object with its fields in name order, so that equal objects give equal bytes
/// whatever order a dependency keeps them in.
fn canonical(map: &serde_json::Map<String, Value>, out: &mut Vec<u8>) {
    let mut fields: Vec<_> = map.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    out.push(b'{');
    for (name, value) in fields {
        out.extend((name.len() as u64).to_be_bytes());
        out.extend(name.as_bytes());
        canonical_value(value, out);
    }
    out.push(b'}');
}

fn canonical_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => canonical(map, out),
        Value::Array(items) => {
            out.push(b'[');
            items.iter().for_each(|item| canonical_value(item, out));
            out.push(b']');
        }
        Value::String(text) => {
            out.push(b'"');
            out.extend((text.len() as u64).to_be_bytes());
            out.extend(text.as_bytes());
        }
        plain => out.extend(plain.to_string().as_bytes()),
    }
}

/// Which stored fields are Flashback's `key` and `secret`. A name that begins with `/` is a JSON
/// pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FieldMap {
    /// The field that is Flashback's `key`.
    pub key: Option<String>,
    /// The field that is Flashback's `secret`; where left out, the only one.
    pub secret: Option<String>,
}

/// A stored secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field was named, and the secret is one plain text.
    #[error("the secret is one plain text, without a field `{field}`: leave `fields` out")]
    NotAnObject {
        /// The field asked for.
        field: String,
    },
    /// The field is not there.
    #[error("the secret has no field `{field}`; its fields are: {found}")]
    NoSuchField {
        /// The field asked for.
        field: String,
        /// The names found.
        found: String,
    },
    /// No field was named and there is not exactly one.
    #[error(
        "which field is the secret? Name it with `fields = {{ secret = \"…\" }}`; its fields are: {found}"
    )]
    Ambiguous {
        /// The names found.
        found: String,
    },
    /// The field is not a text.
    #[error("the field `{field}` is {kind}, not a text")]
    NotText {
        /// The field.
        field: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// There is nothing in it.
    #[error("{}", match field { Some(name) => format!("the field `{name}` is empty"), None => "the secret is empty".to_owned() })]
    Empty {
        /// The field, where one was named.
        field: Option<String>,
    },
    /// The store holds bytes where a text is needed.
    #[error("the secret is binary, not a text")]
    Binary,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(
        text: &str,
        key: Option<&str>,
        secret: Option<&str>,
    ) -> Result<(Option<String>, String), Malformed> {
        let fields = FieldMap {
            key: key.map(Into::into),
            secret: secret.map(Into::into),
        };
        let taken = Document::from_text(text.into()).credentials(&fields)?;
        let credentials = taken.credentials;
        Ok((
            credentials.key.map(|k| k.expose().into()),
            credentials.secret.expose().into(),
        ))
    }

    #[test]
    fn takes_text_single_field_named_field_and_pointer() {
        let only = |secret: &str| Ok((None, secret.to_owned()));
        assert_eq!(take("sk-1", None, None), only("sk-1"));
        assert_eq!(take("12345", None, None), only("12345"));
        assert_eq!(take(r#"{"a":"sk-2"}"#, None, None), only("sk-2"));
        assert_eq!(
            take(r#"{"a":"x","b":"sk-3"}"#, None, Some("b")),
            only("sk-3")
        );
        assert_eq!(
            take(r#"{"a":{"b/c":["sk-4"]}}"#, None, Some("/a/b~1c/0")),
            only("sk-4")
        );
        assert_eq!(
            take(r#"{"id":"AKIA","sk":"s"}"#, Some("id"), Some("/sk")),
            Ok((Some("AKIA".into()), "s".into()))
        );
    }

    #[test]
    fn errors_name_fields_and_never_values() {
        let cases = [
            take(r#"{"a":"canary","b":"canary"}"#, None, None),
            take(r#"{"a":"canary"}"#, None, Some("b")),
            take(r#"{"a":{"b":"canary"}}"#, None, Some("a")),
            take(r#"{"a":{"b":"canary"}}"#, None, None),
            take(r#"{"a":""}"#, None, None),
            take("", None, None),
            take("canary", None, Some("a")),
            take(r#"{"a":7}"#, None, Some("a")),
        ];
        for case in cases {
            let error = case.expect_err("refused").to_string();
            assert!(!error.contains("canary"), "{error}");
        }
        let shown = format!("{:?}", Document::from_text(r#"{"a":"canary"}"#.into()));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn of_many_fields_a_handful_is_named() {
        let names = (0..100_000).map(|number| (format!("name{number}"), "x".into()));
        let document = Document::from_fields(names.collect());
        let error = document.field("key").expect_err("refused").to_string();
        assert!(error.contains("and 99992 more"), "{error}");
        assert!(error.chars().count() < 300, "{error}");
    }

    #[test]
    fn white_space_around_a_value_is_dropped_and_told() {
        let trimmed = |text: &str| {
            let fields = FieldMap {
                key: Some("id".into()),
                secret: Some("sk".into()),
            };
            let taken = Document::from_text(text.into()).credentials(&fields);
            let Taken {
                credentials,
                trimmed,
            } = taken.expect("credentials");
            assert_eq!(credentials.key.expect("a key").expose(), "AKIA");
            assert_eq!(credentials.secret.expose(), "s e");
            trimmed
        };
        assert!(!trimmed(r#"{"id":"AKIA","sk":"s e"}"#));
        assert!(trimmed(r#"{"id":" AKIA","sk":"s e"}"#));
        assert!(trimmed(r#"{"id":"AKIA","sk":"\ts e\u00a0\r\n"}"#));
        assert_eq!(take(" sk-1\n", None, None), Ok((None, "sk-1".to_owned())));
        assert_eq!(
            take("\n", None, None),
            Err(Malformed::Empty { field: None })
        );
        assert_eq!(
            take(r#"{"a":" "}"#, None, Some("a")),
            Err(Malformed::Empty {
                field: Some("a".into())
            })
        );
    }

    #[test]
    fn the_order_of_fields_does_not_change_the_fingerprint() {
        let fingerprinter = Fingerprinter::new([7; 32]);
        let print = |text: &str| Document::from_text(text.into()).fingerprint(&fingerprinter);
        assert_eq!(
            print(r#"{"a":"1","b":["2"]}"#),
            print(r#"{"b":["2"],"a":"1"}"#)
        );
        assert_ne!(print(r#"{"a":"1"}"#), print(r#"{"a":1}"#));
    }
}
