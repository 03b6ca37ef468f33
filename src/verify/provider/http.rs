//! The providers that speak HTTP with a key in a header.

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{self, Answer, Asked};
use super::not_taken::NotTaken;
use crate::model::{AiType, Settings as KeySettings};
use crate::outbound::{CallError, Outbound, Settings};
use crate::secret::Credentials;

/// The longest list of models that is read: a gateway's may name thousands.
const LONGEST_LIST: usize = 8 << 20;

/// The longest refusal that is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// The version of Anthropic's API that its documentation names
/// (<https://platform.claude.com/docs/en/api/versioning>).
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// The way to all providers. Each question goes over a connection of its own: it holds the key.
pub(super) struct Http(Outbound);

impl Default for Http {
    fn default() -> Self {
        Self(Outbound::new(Settings {
            user_agent: Some(concat!("flashback-rotator/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..Settings::default()
        }))
    }
}

/// One question, with the key in it.
pub(super) struct Question {
    asked: Asked,
    ai_type: AiType,
    url: Url,
    host: String,
    header: HeaderName,
    key: HeaderValue,
}

impl Question {
    /// Returns the host that it is sent to, with the port if it is not the scheme's default.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the request, as metrics name it.
    pub(super) fn operation(&self) -> &'static str {
        self.asked.operation()
    }
}

impl Http {
    /// Returns the request for the provider's list of models, or for the key itself, with this key.
    pub(super) fn question(
        &self,
        settings: &KeySettings,
        credentials: &Credentials,
    ) -> Result<Question, NotTaken> {
        let url = address(settings).ok_or_else(|| {
            NotTaken::unclear("the endpoint cannot be asked".to_owned(), "endpoint")
        })?;
        let secret = credentials.secret.expose();
        let (header, text) = match settings.ai_type {
            AiType::Anthropic => (HeaderName::from_static("x-api-key"), None),
            AiType::Google => (HeaderName::from_static("x-goog-api-key"), None),
            AiType::Openai | AiType::Other | AiType::Aws => (
                AUTHORIZATION,
                Some(Zeroizing::new(format!("Bearer {secret}"))),
            ),
        };
        let mut key = HeaderValue::from_str(text.as_ref().map_or(secret, |text| text.as_str()))
            .map_err(|_| {
                let what = "the key has characters that no header can hold".to_owned();
                NotTaken::unclear(what, "unsendable")
            })?;
        key.set_sensitive(true);
        Ok(Question {
            asked: asked(&url),
            ai_type: settings.ai_type,
            host: url.authority().to_owned(),
            url,
            header,
            key,
        })
    }

    /// Sends it and judges the answer.
    pub(super) async fn ask(&self, question: &Question) -> Result<(), NotTaken> {
        let host = &question.host;
        let mut sending = Request::get(question.url.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(&question.header, &question.key);
        if question.ai_type == AiType::Anthropic {
            sending = sending.header("anthropic-version", ANTHROPIC_VERSION);
        }
        let sending = sending.body(Bytes::new()).map_err(|_| {
            NotTaken::unclear("the endpoint cannot be asked".to_owned(), "endpoint")
        })?;
        let silent = |error: CallError| silent(&error, host);
        let answer = self.0.send_alone(sending).await.map_err(silent)?;
        let status = answer.status();
        let limit = match status.is_success() {
            true => LONGEST_LIST,
            false => LONGEST_REFUSAL,
        };
        let is_page = answer
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let body = match answer.body(limit).await {
            Ok(body) => Some(body),
            Err(CallError::TooLong(_)) => None,
            Err(error) => return Err(silent(error)),
        };
        Answer {
            asked: question.asked,
            ai_type: question.ai_type,
            host,
            status: status.as_u16(),
            is_page,
            body: body.as_deref().map(Vec::as_slice),
        }
        .judge()
    }
}

/// Returns the address of what is asked for below the key's endpoint. Anthropic's and Google's default endpoints end
/// before the API's version and a gateway's may end after it, so it is added if it is missing.
fn address(settings: &KeySettings) -> Option<Url> {
    let mut url = Url::parse(&settings.endpoint).ok()?;
    let last = url.path_segments()?.rev().find(|part| !part.is_empty());
    let is_versioned = last.is_some_and(answer::is_version);
    let page = asked(&url).page();
    let (version, query) = match settings.ai_type {
        AiType::Anthropic => (Some("v1"), Some(("limit", "1"))),
        AiType::Google => (Some("v1beta"), Some(("pageSize", "1"))),
        AiType::Openai | AiType::Other | AiType::Aws => (None, None),
    };
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(version.filter(|_| !is_versioned))
        .push(page);
    if let Some((name, value)) = query {
        url.query_pairs_mut().append_pair(name, value);
    }
    Some(url)
}

/// Returns what a provider is asked for. OpenRouter lists its models to everybody and says of a key what it is
/// (<https://openrouter.ai/docs/api-reference/api-keys/get-current-key>).
fn asked(url: &Url) -> Asked {
    match url.host_str() {
        Some("openrouter.ai") => Asked::Key,
        _ => Asked::Models,
    }
}

/// Returns the outcome for a missing or incomplete answer.
fn silent(error: &CallError, host: &str) -> NotTaken {
    let (what, status) = (format!("{host}: {error}"), error.status());
    match error {
        CallError::Certificates(_) | CallError::Unsendable => NotTaken::unclear(what, status),
        _ => NotTaken::silent(what, status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkspaceId;

    #[test]
    fn the_list_of_models_is_found_below_any_endpoint() {
        let cases = [
            (
                AiType::Openai,
                "https://api.openai.com/v1",
                "https://api.openai.com/v1/models",
            ),
            (
                AiType::Openai,
                "https://api.openai.com/v1/",
                "https://api.openai.com/v1/models",
            ),
            (
                AiType::Other,
                "http://gw:8080/openai/v1",
                "http://gw:8080/openai/v1/models",
            ),
            (
                AiType::Other,
                "https://gw.example.com",
                "https://gw.example.com/models",
            ),
            (
                AiType::Other,
                "https://openrouter.ai/api/v1",
                "https://openrouter.ai/api/v1/key",
            ),
            (
                AiType::Anthropic,
                "https://api.anthropic.com",
                "https://api.anthropic.com/v1/models?limit=1",
            ),
            (
                AiType::Anthropic,
                "https://gw.example.com/anthropic/",
                "https://gw.example.com/anthropic/v1/models?limit=1",
            ),
            (
                AiType::Anthropic,
                "https://gw.example.com/anthropic/v1",
                "https://gw.example.com/anthropic/v1/models?limit=1",
            ),
            (
                AiType::Google,
                "https://generativelanguage.googleapis.com",
                "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1",
            ),
            (
                AiType::Google,
                "https://generativelanguage.googleapis.com/v1",
                "https://generativelanguage.googleapis.com/v1/models?pageSize=1",
            ),
            (
                AiType::Google,
                "https://gw.example.com/gemini/v1beta/",
                "https://gw.example.com/gemini/v1beta/models?pageSize=1",
            ),
        ];
        for (ai_type, endpoint, expected) in cases {
            let settings = KeySettings {
                workspace_id: WorkspaceId::new("w"),
                name: "n".to_owned(),
                ai_type,
                endpoint: endpoint.to_owned(),
                target: crate::model::Target::Configuration,
            };
            let found = address(&settings).map(String::from);
            assert_eq!(found.as_deref(), Some(expected), "{endpoint}");
        }
    }
}
