//! The providers that speak HTTP with a key in a header.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;
use zeroize::Zeroizing;

use super::NotTaken;
use super::answer::{self, Answer};
use crate::cause;
use crate::model::{AiType, Settings};
use crate::secret::{Credentials, append};

/// Connecting takes no longer than this; the lane limits the whole call.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest list of models that is read: a gateway's may name thousands.
const LONGEST_LIST: usize = 8 << 20;

/// The longest refusal that is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// The version of Anthropic's API that its documentation names
/// (<https://platform.claude.com/docs/en/api/versioning>).
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// The client for all providers, made when it is first needed.
#[derive(Default)]
pub(super) struct Http(OnceLock<Option<reqwest::Client>>);

/// One question, with the key in it.
pub(super) struct Request {
    ai_type: AiType,
    url: Url,
    host: String,
    header: HeaderName,
    key: HeaderValue,
}

impl Request {
    /// Whom it is for: host, and port where it is not the scheme's.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

impl Http {
    /// The provider's list of models, asked for with this key.
    pub(super) fn request(
        &self,
        settings: &Settings,
        credentials: &Credentials,
    ) -> Result<Request, NotTaken> {
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
        Ok(Request {
            ai_type: settings.ai_type,
            host: url.authority().to_owned(),
            url,
            header,
            key,
        })
    }

    /// Sends it and judges the answer.
    pub(super) async fn ask(&self, request: &Request) -> Result<(), NotTaken> {
        let host = &request.host;
        let mut sending = self
            .client()?
            .get(request.url.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(&request.header, &request.key);
        if request.ai_type == AiType::Anthropic {
            sending = sending.header("anthropic-version", ANTHROPIC_VERSION);
        }
        let response = sending.send().await.map_err(|error| silent(&error, host))?;
        let status = response.status();
        let limit = match status.is_success() {
            true => LONGEST_LIST,
            false => LONGEST_REFUSAL,
        };
        let is_page = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let body = body_of(response, limit)
            .await
            .map_err(|error| silent(&error, host))?;
        Answer {
            ai_type: request.ai_type,
            host,
            status: status.as_u16(),
            is_page,
            body: body.as_deref().map(Vec::as_slice),
        }
        .judge()
    }

    fn client(&self) -> Result<&reqwest::Client, NotTaken> {
        let make = || {
            reqwest::Client::builder()
                .user_agent(concat!("flashback-rotator/", env!("CARGO_PKG_VERSION")))
                // The key is for this host and no other.
                .redirect(Policy::none())
                .connect_timeout(CONNECT)
                .build()
                .ok()
        };
        self.0.get_or_init(make).as_ref().ok_or_else(|| {
            let what = "TLS cannot be set up: are the system's CA certificates installed?";
            NotTaken::unclear(what.to_owned(), "setup")
        })
    }
}

/// The list of models below the key's endpoint. Anthropic's and Google's default endpoints end
/// before the API's version and a gateway's may end behind it, so it is added where it is missing.
fn address(settings: &Settings) -> Option<Url> {
    let mut url = Url::parse(&settings.endpoint).ok()?;
    let last = url.path_segments()?.rev().find(|part| !part.is_empty());
    let is_versioned = last.is_some_and(answer::is_version);
    let (version, page) = match settings.ai_type {
        AiType::Anthropic => (Some("v1"), Some(("limit", "1"))),
        AiType::Google => (Some("v1beta"), Some(("pageSize", "1"))),
        AiType::Openai | AiType::Other | AiType::Aws => (None, None),
    };
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(version.filter(|_| !is_versioned))
        .push("models");
    if let Some((name, value)) = page {
        url.query_pairs_mut().append_pair(name, value);
    }
    Some(url)
}

/// The body, in memory that is wiped: a broken server may repeat the key in it. `None` where it is
/// longer than `limit`.
async fn body_of(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, reqwest::Error> {
    let mut body = Zeroizing::new(Vec::with_capacity(4096));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        append(&mut body, &chunk);
    }
    Ok(Some(body))
}

/// No answer, or not the whole of one.
fn silent(error: &reqwest::Error, host: &str) -> NotTaken {
    let why = cause::of_connection(error).map_or_else(String::new, |why| format!(": {why}"));
    match (error.is_timeout(), error.is_connect()) {
        (true, _) => NotTaken::silent(format!("no answer in time from {host}"), "timeout"),
        (_, true) => NotTaken::silent(format!("no connection to {host}{why}"), "connect"),
        _ => NotTaken::silent(format!("the connection to {host} broke{why}"), "broken"),
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
            let settings = Settings {
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
