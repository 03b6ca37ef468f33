//! The contents that a source holds under one path, and how credentials are taken out of them.
//!
//! A stored secret is either an object of fields or one plain text. Errors name fields, never values. A field
//! name that looks like a key is masked too, because it may be a key in the wrong place.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroize;

use crate::lookalike;
use crate::redact;
use crate::secret::{Credentials, Fingerprint, Fingerprinter, Secret};
use crate::words;

/// The largest number of fields that an error names.
const NAMED: usize = 8;

/// A stored secret. It is wiped from memory on drop.
pub enum Document {
    /// A single plain text.
    Text(Secret),
    /// An object of fields.
    Fields(Fields),
}

/// The credentials taken out of a document.
#[derive(Debug)]
pub struct Taken {
    /// The credentials, without surrounding white space.
    pub credentials: Credentials,
    /// `true` if white space was removed. This is worth a warning, since it was stored by mistake.
    pub trimmed: bool,
}

/// The fields of a stored secret.
pub struct Fields(serde_json::Map<String, Value>);

impl Document {
    /// Creates a document from the text that a source or a file contains. A JSON object becomes fields;
    /// anything else is the secret itself.
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

    /// Creates a document from an object that the source stores as such.
    pub fn from_fields(map: serde_json::Map<String, Value>) -> Self {
        Self::Fields(Fields(map))
    }

    /// Returns the digest of the whole document. The order of the fields does not matter.
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

    /// Takes the credentials out of the fields that the configuration names, and trims them: a trailing line
    /// break is the most common mistake when a key is stored by hand.
    ///
    /// # Errors
    /// Returns [`Malformed`], which names fields and never values.
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

    /// Returns `true` if the credentials in it are these. A key id that is not among the new ones is not compared.
    pub fn holds(&self, fields: &FieldMap, credentials: &Credentials) -> bool {
        let Ok(Taken {
            credentials: found, ..
        }) = self.credentials(fields)
        else {
            return false;
        };
        let is_same_key = match (&credentials.key, &found.key) {
            (Some(new), Some(found)) => new.is_same(found),
            (Some(_), None) => false,
            (None, _) => true,
        };
        is_same_key && credentials.secret.is_same(&found.secret)
    }

    /// Returns `true` if each number in it is whole, and one that a floating-point number holds exactly.
    fn survives_floats(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Fields(Fields(map)) => map.values().all(survives_floats),
        }
    }

    /// Returns the value of one field, which is named directly or by a JSON pointer.
    ///
    /// # Errors
    /// Returns [`Malformed`] if there is no such field, or if its value is not a text or is empty.
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

    /// Returns the secret of a document for which no field is configured.
    ///
    /// # Errors
    /// Returns [`Malformed`] unless the document is a plain text or has exactly one field, which contains a
    /// text.
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

fn survives_floats(value: &Value) -> bool {
    const LARGEST: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let size = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
            size.is_some_and(|size| size <= LARGEST)
        }
        Value::Array(items) => items.iter().all(survives_floats),
        Value::Object(map) => map.values().all(survives_floats),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Writes an object with its fields in name order, so that equal objects give equal bytes, whatever order
/// `serde_json` keeps them in.
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

/// The names of the stored fields that become Flashback's `key` and `secret`. A name that begins with `/` is
/// a JSON pointer (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FieldMap {
    /// The name of the field that becomes Flashback's `key`.
    pub key: Option<String>,
    /// The name of the field that becomes Flashback's `secret`. If it is not set, the document's only field
    /// does.
    pub secret: Option<String>,
}

/// The description of a plain text that is nothing more specific, as a clause after "it".
const PLAIN: &str = "is one plain text, so leave `fields` out";

/// The error of a stored secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field was requested, but the secret is one plain text.
    #[error("the secret has no field `{field}`: it {}", looks.unwrap_or(PLAIN))]
    NotAnObject {
        /// The requested field.
        field: String,
        /// A description of the text, if it was recognised.
        looks: Option<&'static str>,
    },
    /// The secret does not have the requested field.
    #[error("the secret has no field `{field}`; its fields are: {found}")]
    NoSuchField {
        /// The requested field.
        field: String,
        /// The names of the existing fields.
        found: String,
    },
    /// No field was requested, and the secret does not have exactly one.
    #[error(
        "which field is the secret? Name it with `fields = {{ secret = \"…\" }}`; its fields are: {found}"
    )]
    Ambiguous {
        /// The names of the existing fields.
        found: String,
    },
    /// The value of the field is not a text.
    #[error("the field `{field}` is {kind}, not a text")]
    NotText {
        /// The name of the field.
        field: String,
        /// The type of the value.
        kind: &'static str,
    },
    /// The field or the whole secret is empty.
    #[error("{}", match field { Some(name) => format!("the field `{name}` is empty"), None => "the secret is empty".to_owned() })]
    Empty {
        /// The name of the field, if one was requested.
        field: Option<String>,
    },
    /// New credentials have a key id, and no field is named for it.
    #[error(
        "the new key has an id, and no field for it: name one with `fields = {{ key = \"…\", secret = \"…\" }}`"
    )]
    NoFieldForKey,
    /// The source holds bytes where a text is needed.
    #[error("the secret is binary, not a text")]
    Binary,
}

mod rewrite;

pub use rewrite::{merge_patch, rewritten};

#[cfg(test)]
mod tests;
