//! The fields of a write and how they must look; the bodies of answers.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::model::AiType;

/// The SHA-256 of a text in hexadecimal digits: how the sandbox names secrets.
pub fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an operation answers.
pub(super) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"success": false, "message": message, "error_code": code});
        Self { status, body }
    }

    pub fn not_found() -> Self {
        Self::error(404, "NOT_FOUND", "AI LLM configuration not found")
    }

    pub fn bad(message: &str) -> Self {
        Self::error(400, "VALIDATION_ERROR", message)
    }
}

/// The fields that both writes know, checked; `None` where left out.
pub(super) struct Fields<'a> {
    pub name: Option<&'a str>,
    pub ai_type: Option<AiType>,
    pub endpoint: Option<&'a str>,
    pub key_sha256: Option<String>,
    pub secret_sha256: Option<String>,
}

impl<'a> Fields<'a> {
    pub fn read(body: &'a Map<String, Value>) -> Result<Self, Answer> {
        let name = text(body, "name")?;
        if name == Some("") {
            return Err(Answer::bad("name must not be empty"));
        }
        let ai_type = text(body, "aiType")?
            .map(|text| serde_json::from_value(Value::from(text)))
            .transpose()
            .map_err(|_| {
                Answer::bad("aiType must be one of OPENAI, GOOGLE, ANTHROPIC, AWS, OTHER")
            })?;
        let endpoint = text(body, "endpoint")?;
        if endpoint.is_some_and(|text| url::Url::parse(text).is_err()) {
            return Err(Answer::bad("endpoint must be a valid URL"));
        }
        Ok(Self {
            name,
            ai_type,
            endpoint,
            key_sha256: text(body, "key")?.map(sha256_hex),
            secret_sha256: text(body, "secret")?.map(sha256_hex),
        })
    }
}

/// A field that must be a text, where it is there.
pub(super) fn text<'a>(
    body: &'a Map<String, Value>,
    field: &str,
) -> Result<Option<&'a str>, Answer> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Answer::bad(&format!("{field} must be a string"))),
    }
}

/// A required field is not there.
pub(super) fn lacks(field: &str) -> Answer {
    Answer::bad(&format!("{field} is required"))
}
