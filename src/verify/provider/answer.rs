//! Interprets a provider's answer to a request with a key.
//!
//! Of a body no more is taken than whether it is a list of models, or which of the reasons below it
//! gives; nothing of it is repeated.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::not_taken::NotTaken;
use crate::model::AiType;

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its models.
    Models,
    /// The key itself, where everybody may list the models.
    Key,
}

impl Asked {
    /// Returns the last part of the path.
    pub(super) fn page(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Key => "key",
        }
    }

    /// Returns the request, as metrics name it.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Models => "GET /models",
            Self::Key => "GET /key",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Models => "list of models",
            Self::Key => "word about the key",
        }
    }
}

/// An answer to the question.
pub(super) struct Answer<'a> {
    pub asked: Asked,
    pub ai_type: AiType,
    pub host: &'a str,
    pub status: u16,
    /// The body is HTML, which no provider's API returns.
    pub is_page: bool,
    /// `None` where it is too long.
    pub body: Option<&'a [u8]>,
}

impl Answer<'_> {
    pub(super) fn judge(&self) -> Result<(), NotTaken> {
        let Self { host, status, .. } = self;
        let refusal = self.refusal();
        let unclear = |what: String| Err(NotTaken::unclear(what, &status.to_string()));
        let rejected = || {
            let what = format!("{status} from {host}");
            Err(NotTaken::rejected(what, &status.to_string()))
        };
        match status {
            200..=299 if self.is_given() => Ok(()),
            200..=299 => unclear(format!(
                "{status} from {host}, but without a {}",
                self.asked.describe()
            )),
            300..=399 => unclear(format!(
                "{status} from {host}: it points elsewhere, where the key is not sent"
            )),
            // Google says this of a key it does not know, and 403 of one that may not do this.
            400 if self.ai_type == AiType::Google && refusal.has_reason("API_KEY_INVALID") => {
                rejected()
            }
            401 | 403 => match refusal.excuse() {
                Some(excuse) => unclear(format!("{status} from {host}: {excuse}")),
                None if *status == 403 && self.is_page => unclear(format!(
                    "403 from {host} with a page for people: somebody in between answered"
                )),
                None => rejected(),
            },
            404 => unclear(format!(
                "404 from {host}: it has no {} there",
                self.asked.describe()
            )),
            429 => unclear(format!("429 from {host}: too many calls, or no credit")),
            _ => unclear(format!("{status} from {host}")),
        }
    }

    fn is_given(&self) -> bool {
        let Some(body) = self.body else {
            return false;
        };
        if self.asked == Asked::Key {
            return serde_json::from_slice::<AboutKey>(body).is_ok();
        }
        // Some gateways answer with the bare list.
        serde_json::from_slice::<Vec<IgnoredAny>>(body).is_ok()
            || serde_json::from_slice::<Listed>(body)
                .is_ok_and(|listed| listed.data.is_some() || listed.models.is_some())
    }

    fn refusal(&self) -> Refusal {
        let body = self.body.unwrap_or_default();
        match serde_json::from_slice(body) {
            Ok(OneOrMany::One(refusal)) => refusal,
            Ok(OneOrMany::Many(refusals)) => refusals.into_iter().next().unwrap_or_default(),
            Err(_) => Refusal::default(),
        }
    }
}

/// Returns `true` if the last part of an endpoint's path is the version of an API, such as `v1` or `v1beta`.
pub(super) fn is_version(part: &str) -> bool {
    let digit = part.strip_prefix('v').and_then(|rest| rest.chars().next());
    digit.is_some_and(|c| c.is_ascii_digit())
}

/// OpenAI's and Anthropic's `data`, Google's `models`.
#[derive(Deserialize)]
struct Listed {
    data: Option<Vec<IgnoredAny>>,
    models: Option<Vec<IgnoredAny>>,
}

/// OpenRouter's answer about a key.
#[derive(Deserialize)]
struct AboutKey {
    #[serde(rename = "data")]
    _data: BTreeMap<String, IgnoredAny>,
}

/// Google's gateways wrap their errors in a list at times.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    // First: an object's fields can be read off a list, too.
    Many(Vec<Refusal>),
    One(Refusal),
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Words,
}

/// The part of an error that OpenAI, Anthropic and Google have in common, and Google's details. A
/// server that puts something else there has said nothing that is understood.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    message: Option<String>,
    code: Option<serde_json::Value>,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    reason: Option<String>,
}

impl Refusal {
    fn has_reason(&self, reason: &str) -> bool {
        self.error
            .details
            .iter()
            .any(|detail| detail.reason.as_deref() == Some(reason))
    }

    /// Returns the reason why a refusal does not concern the key: the provider knows the key, and refuses the caller's
    /// location or this call. Flashback calls from another place and makes other calls.
    fn excuse(&self) -> Option<&'static str> {
        let code = self.error.code.as_ref().and_then(|code| code.as_str());
        let message = self.error.message.as_deref().unwrap_or_default();
        if message.contains("Missing scopes") {
            return Some("the key is known, and may not list models");
        }
        if code == Some("unsupported_country_region_territory") {
            return Some("the provider does not serve this place");
        }
        if code == Some("ip_not_authorized")
            || self.has_reason("API_KEY_IP_ADDRESS_BLOCKED")
            || self.has_reason("API_KEY_HTTP_REFERRER_BLOCKED")
        {
            return Some("the key is known, and may not be used from this address");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::not_taken::Kind;
    use super::*;

    fn judge(ai_type: AiType, status: u16, body: &str) -> Result<(), NotTaken> {
        Answer {
            asked: Asked::Models,
            ai_type,
            host: "api.example.com",
            status,
            is_page: body.starts_with('<'),
            body: Some(body.as_bytes()),
        }
        .judge()
    }

    fn kind(ai_type: AiType, status: u16, body: &str) -> Option<Kind> {
        judge(ai_type, status, body).err().map(|error| error.kind)
    }

    #[test]
    fn only_a_list_of_models_is_a_yes() {
        for body in [
            r#"{"object":"list","data":[{"id":"m"}]}"#,
            r#"{"models":[{"name":"models/m"}],"nextPageToken":"x"}"#,
            "[]",
        ] {
            assert_eq!(judge(AiType::Other, 200, body), Ok(()));
        }
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"error":{}}"#,
            r#"{"data":7}"#,
            "null",
        ] {
            let found = kind(AiType::Openai, 200, body);
            assert_eq!(found, Some(Kind::Unclear), "{body}");
        }
    }

    #[test]
    fn a_word_about_the_key_is_an_object() {
        let given = |body: &str| {
            let answer = Answer {
                asked: Asked::Key,
                ai_type: AiType::Other,
                host: "openrouter.ai",
                status: 200,
                is_page: false,
                body: Some(body.as_bytes()),
            };
            answer.judge().is_ok()
        };
        assert!(given(
            r#"{"data":{"label":"sk-or-v1-0e6...1c9","usage":0}}"#
        ));
        for body in ["", "[]", "{}", r#"{"data":[{"id":"m"}]}"#, r#"{"data":1}"#] {
            assert!(!given(body), "{body}");
        }
    }

    #[test]
    fn provider_answers_distinguish_a_rejected_key_from_other_refusals() {
        let google = |reason: &str| {
            format!(
                r#"{{"error":{{"code":400,"message":"m","status":"S","details":[{{"@type":"t","reason":"{reason}"}}]}}}}"#
            )
        };
        let rejected = [
            (AiType::Openai, 401, r#"{"error":{"message":"Incorrect API key provided: sk-ca**ry","code":"invalid_api_key"}}"#.to_owned()),
            (AiType::Anthropic, 401, r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#.to_owned()),
            (AiType::Anthropic, 403, r#"{"type":"error","error":{"type":"permission_error","message":"m"}}"#.to_owned()),
            (AiType::Google, 400, google("API_KEY_INVALID")),
            (AiType::Google, 400, format!("[{}]", google("API_KEY_INVALID"))),
            (AiType::Google, 403, google("API_KEY_SERVICE_BLOCKED")),
            (AiType::Other, 401, "canary".to_owned()),
            (AiType::Other, 403, String::new()),
            (AiType::Other, 401, r#"{"error":"no"}"#.to_owned()),
        ];
        for (ai_type, status, body) in rejected {
            let error = judge(ai_type, status, &body).expect_err("not taken");
            assert_eq!(error.kind, Kind::Rejected, "{body}");
            assert_eq!(error.what, format!("{status} from api.example.com"));
        }
        let unclear = [
            (AiType::Openai, 401, r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.model.read.","code":null}}"#.to_owned()),
            (AiType::Openai, 403, r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}"#.to_owned()),
            (AiType::Google, 403, google("API_KEY_IP_ADDRESS_BLOCKED")),
            (AiType::Google, 400, google("FAILED_PRECONDITION")),
            (AiType::Openai, 400, google("API_KEY_INVALID")),
            (AiType::Openai, 403, "<html>blocked</html>".to_owned()),
            (AiType::Openai, 404, String::new()),
            (AiType::Openai, 407, String::new()),
        ];
        for (ai_type, status, body) in unclear {
            let found = kind(ai_type, status, &body);
            assert_eq!(found, Some(Kind::Unclear), "{status} {body}");
        }
        for status in [302, 307, 408, 429, 500, 502, 503, 504, 529] {
            assert_eq!(kind(AiType::Openai, status, ""), Some(Kind::Unclear));
        }
    }

    #[test]
    fn a_version_ends_a_path() {
        assert!(is_version("v1") && is_version("v1beta") && is_version("v2"));
        assert!(!is_version("models") && !is_version("v") && !is_version("vertex"));
    }
}
