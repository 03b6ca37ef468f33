//! What a provider says of a call that it refuses.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::contract::ProviderError;
use super::fields;
use crate::secret::Secret;
use crate::words;

/// The refusal of a call by the API itself, and not by a server in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code of the error: a word of the API's.
    pub code: Option<String>,
    /// The reason, for people.
    pub what: String,
    /// The credential is known, and does not have the permission.
    pub lacks_permission: bool,
}

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            what: format!("{}: {}", refusal.status, refusal.what),
            status: refusal.status.to_string(),
        }
    }
}

/// The error object that all of them have:
///
/// - OpenAI: `{"error": {"message", "type", "param", "code"}}`
///   (<https://platform.openai.com/docs/guides/error-codes>)
/// - OpenRouter: `{"error": {"code": 401, "message"}}` (<https://openrouter.ai/docs/api-reference/errors>)
/// - Anthropic: `{"type": "error", "error": {"type", "message"}}` (<https://platform.claude.com/docs/en/api/errors>)
/// - Google: `{"error": {"code": 403, "message", "status"}}` (<https://cloud.google.com/apis/design/errors>)
/// - Azure: `{"error": {"code", "message"}}`
///   (<https://learn.microsoft.com/azure/azure-resource-manager/management/common-deployment-errors>)
#[derive(Deserialize)]
struct Answer {
    error: Words,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default, deserialize_with = "fields::any_secret")]
    message: Option<Secret>,
    #[serde(default)]
    code: Option<Code>,
    #[serde(default)]
    status: Option<Code>,
    #[serde(default)]
    r#type: Option<Code>,
}

/// A word; numbers repeat the HTTP status.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Word(String),
    Other(IgnoredAny),
}

/// Reads a refusal; `None` if it is not the API's. `sent` is the credential of the call.
pub(super) fn read(status: u16, body: &[u8], sent: &str) -> Option<Refusal> {
    let Answer { error } = serde_json::from_slice(body).ok()?;
    let message = error.message.as_ref().map_or("", Secret::expose);
    let word = |code: Option<Code>| match code {
        Some(Code::Word(word)) => Some(word).filter(|word| words::is_plain(word)),
        Some(Code::Other(IgnoredAny)) | None => None,
    };
    let code = word(error.code)
        .or_else(|| word(error.status))
        .or_else(|| word(error.r#type));
    let said = words::shown(message, &[sent]);
    let what = match (&code, said.is_empty()) {
        (Some(code), true) => code.clone(),
        (Some(code), false) => format!("{said} ({code})"),
        (None, true) => "it gives no reason".to_owned(),
        (None, false) => said,
    };
    // OpenAI: "You have insufficient permissions for this operation. Missing scopes: …", with 401 or 403.
    let lacks_permission =
        message.contains("insufficient permissions") || message.contains("Missing scopes");
    Some(Refusal {
        status,
        code,
        what,
        lacks_permission,
    })
}
