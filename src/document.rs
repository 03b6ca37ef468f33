//! What a store holds under one path, and how credentials are taken out of it.
//!
//! A stored secret is an object of fields or one plain text. Errors name fields, never values; a
//! field that is called like a key may be one that was put in the wrong place, and is not named.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroize;

use crate::lookalike;
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
        let map = match self {
            Self::Fields(Fields(map)) => map,
            Self::Text(text) => {
                return Err(Malformed::NotAnObject {
                    field: redact::shown(name).to_owned(),
                    looks: lookalike::recognise(text.expose()),
                });
            }
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

/// A text without fields, after "it".
const PLAIN: &str = "is one plain text, so leave `fields` out";

/// A stored secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field was named, and the secret is one plain text.
    #[error("the secret has no field `{field}`: it {}", looks.unwrap_or(PLAIN))]
    NotAnObject {
        /// The field asked for.
        field: String,
        /// What the text is instead, where that can be told.
        looks: Option<&'static str>,
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
mod tests;
