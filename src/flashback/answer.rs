//! What comes back: the answers, held against the API's contract.
//!
//! Everything an answer promises is checked here, and what does not keep the promise is an [`Odd`]
//! answer, which quotes nothing of the body.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::reason::reason;
use super::{Listed, Validation, scrub, wire};
use crate::model::{AiLlmId, AiType, Settings, WorkspaceId};
use crate::redact;
use crate::secret::Secret;

/// The life of an access token where its answer does not say: the platform's documented hour.
const DOCUMENTED_LIFE: Duration = Duration::from_secs(3600);
/// No stated life is believed past this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Above this, a Unix time is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS_ABOVE: f64 = 1e11;

/// A 2xx that is not the success the contract promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// Its body is not the contract's.
    NotTheContract(String),
    /// `{"success": false}`, with the server's words as they came.
    Unsuccessful(String),
}

/// Parses an answer. What serde says is kept out: it quotes values.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Odd> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Odd::NotTheContract(match error.classify() {
            serde_json::error::Category::Data => {
                format!("its JSON is not what the API promises ({place})")
            }
            _ => "its body is not JSON".to_owned(),
        })
    })
}

fn lacks(field: &str) -> Odd {
    Odd::NotTheContract(format!("its JSON lacks `{field}`"))
}

/// `{success}`, which any answer has.
#[derive(Deserialize)]
struct Outcome {
    success: Option<bool>,
}

/// Whether a body says that the call succeeded.
fn succeeded(body: &[u8]) -> Result<(), Odd> {
    match parse::<Outcome>(body)?.success {
        Some(true) => Ok(()),
        Some(false) => Err(Odd::Unsuccessful(error_words(body))),
        None => Err(lacks("success")),
    }
}

/// What a body gives as its reason, unmasked.
pub(super) fn error_words(body: &[u8]) -> String {
    reason(body)
        .and_then(|reason| reason.text)
        .map_or_else(|| "it gives no reason".to_owned(), |text| text.to_string())
}

/// The answer to `GET /ai/llm`: what is in `workspace` and of a type this program knows.
pub(super) fn read_list(
    body: &[u8],
    workspace: &WorkspaceId,
    sent: &[&Secret],
) -> Result<Vec<Listed>, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        ai_llms: Option<Vec<Entry>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        id: String,
        workspace_id: String,
        name: String,
        ai_type: String,
        endpoint: String,
    }

    succeeded(body)?;
    let entries = parse::<List>(body)?
        .ai_llms
        .ok_or_else(|| lacks("aiLlms"))?;
    let mut listed = Vec::new();
    for entry in entries {
        let id = usable_id(&entry.id, sent)?;
        let Some(ai_type) = known_type(&entry.ai_type) else {
            continue;
        };
        if entry.workspace_id != workspace.as_str() {
            continue;
        }
        listed.push(Listed {
            id,
            settings: Settings {
                workspace_id: workspace.clone(),
                name: entry.name,
                ai_type,
                endpoint: entry.endpoint,
            },
        });
    }
    Ok(listed)
}

fn known_type(text: &str) -> Option<AiType> {
    serde_json::from_value(serde_json::Value::from(text)).ok()
}

/// The answer to `POST /ai/llm/{id}/validate`: here `success: false` is a result and no failure. Its
/// words may be the provider's about a key that this request has not sent, so that a piece of it
/// would not be known again: of those no more is kept than plain words.
pub(super) fn read_validated(body: &[u8], sent: &[&Secret]) -> Result<Validation, Odd> {
    match succeeded(body) {
        Ok(()) => Ok(Validation::Valid),
        Err(Odd::Unsuccessful(words)) => {
            let words = wire::scrubbed(&words, sent);
            Ok(Validation::Invalid(scrub::words_only(&words)))
        }
        Err(odd) => Err(odd),
    }
}

/// The answer to `POST /ai/llm`.
pub(super) fn read_created(body: &[u8], sent: &[&Secret]) -> Result<AiLlmId, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Created {
        ai_llm_id: Option<String>,
    }
    succeeded(body)?;
    let id = parse::<Created>(body)?.ai_llm_id;
    usable_id(&id.ok_or_else(|| lacks("aiLlmId"))?, sent)
}

/// The answer to `PUT /ai/llm/{id}`.
pub(super) fn read_updated(body: &[u8]) -> Result<(), Odd> {
    succeeded(body)
}

/// An id becomes part of a path, so one that would lead elsewhere is none. It is also logged and
/// kept, so one that repeats a secret is none either.
fn usable_id(id: &str, sent: &[&Secret]) -> Result<AiLlmId, Odd> {
    let repeats = |secret: &&Secret| redact::repeats(id, secret.expose());
    if fits_a_path(id) && !sent.iter().any(repeats) {
        Ok(AiLlmId::new(id))
    } else {
        Err(Odd::NotTheContract("an id in it cannot be used".to_owned()))
    }
}

/// Whether a text can be one segment of a path: `.` and `..` lead elsewhere, encoded or not.
pub(super) fn fits_a_path(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.chars().any(char::is_control)
}

/// The answer to a sign-in.
pub(super) struct Tokens {
    /// For the calls.
    pub access: Secret,
    /// For the next sign-in, where there was one.
    pub refresh: Option<Secret>,
    /// How long the access token lives.
    pub life: Duration,
}

/// The answer to `POST /user/login` and `POST /user/refresh`, read at `now` (Unix time, seconds).
pub(super) fn read_tokens(body: &[u8], now: f64) -> Result<Tokens, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: Option<String>,
        refresh_token: Option<String>,
        expires_at: Option<serde_json::Value>,
    }
    if parse::<Outcome>(body)?.success == Some(false) {
        return Err(Odd::Unsuccessful(error_words(body)));
    }
    let answer: Answer = parse(body)?;
    let given = |text: Option<String>| text.filter(|token| !token.is_empty());
    let access = given(answer.access_token).ok_or_else(|| lacks("accessToken"))?;
    let expires_at = answer
        .expires_at
        .as_ref()
        .and_then(serde_json::Value::as_f64);
    Ok(Tokens {
        life: life(expires_at, &access, now),
        refresh: given(answer.refresh_token).map(Secret::new),
        access: Secret::new(access),
    })
}

/// How long a token lives: from `expiresAt`, else from the token itself where it is a JWT, else the
/// documented hour. A life that is over already shows a clock that is wrong, not a dead token: it
/// is taken for the documented hour, and a 401 puts it right.
fn life(expires_at: Option<f64>, token: &str, now: f64) -> Duration {
    let stated = match expires_at {
        Some(at) if at > MILLISECONDS_ABOVE => Some(at / 1000.0 - now),
        Some(at) => Some(at - now),
        None => jwt_expiry(token).map(|at| at - now),
    };
    match stated {
        Some(seconds) if seconds > 0.0 => {
            Duration::try_from_secs_f64(seconds).map_or(LONGEST_LIFE, |life| life.min(LONGEST_LIFE))
        }
        _ => DOCUMENTED_LIFE,
    }
}

/// `exp` of a JSON Web Token (RFC 7519, section 4.1.4), unverified: it is only a hint.
fn jwt_expiry(token: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = token.split('.').nth(1)?;
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.exp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(ai_type: AiType) -> Settings {
        Settings {
            workspace_id: WorkspaceId::new("w"),
            name: "n".into(),
            ai_type,
            endpoint: "https://e".into(),
        }
    }

    #[test]
    fn only_the_contracts_success_is_one() {
        assert_eq!(
            read_created(br#"{"success":true,"aiLlmId":"x","more":[]}"#, &[]),
            Ok(AiLlmId::new("x"))
        );
        for odd in [
            &b"<html>fine</html>"[..],
            b"",
            b"[]",
            br#"{"success":"true","aiLlmId":"x"}"#,
            br#"{"aiLlmId":"x"}"#,
            br#"{"success":true}"#,
            br#"{"success":true,"aiLlmId":7}"#,
            br#"{"success":true,"aiLlmId":""}"#,
            br#"{"success":true,"aiLlmId":".."}"#,
        ] {
            assert!(
                matches!(read_created(odd, &[]), Err(Odd::NotTheContract(_))),
                "{}",
                String::from_utf8_lossy(odd)
            );
        }
        assert_eq!(
            read_updated(br#"{"success":false,"message":"no","error_code":"E"}"#),
            Err(Odd::Unsuccessful("no (E)".into()))
        );
    }

    #[test]
    fn a_validation_says_yes_or_no_and_shows_no_key() {
        let read = |body: &str| read_validated(body.as_bytes(), &[]);
        assert_eq!(
            read(r#"{"success":true,"message":"fine"}"#),
            Ok(Validation::Valid)
        );
        let no = read(r#"{"success":false,"message":"Incorrect API key: sk-proj-canary1234"}"#);
        assert_eq!(no, Ok(Validation::Invalid("Incorrect API key: …".into())));
        for odd in ["", "{}", "<html>", r#"{"success":"no"}"#] {
            assert!(matches!(read(odd), Err(Odd::NotTheContract(_))), "{odd}");
        }
    }

    #[test]
    fn a_list_is_of_its_workspace_and_of_known_types() {
        let entry = |id: &str, workspace: &str, ai_type: &str| {
            serde_json::json!({"id": id, "workspaceId": workspace, "name": "n",
                "aiType": ai_type, "endpoint": "https://e", "key": null})
        };
        let body = serde_json::json!({"success": true, "aiLlms": [
            entry("1", "w", "OPENAI"), entry("2", "elsewhere", "OPENAI"), entry("3", "w", "MISTRAL"),
        ]});
        let listed = read_list(body.to_string().as_bytes(), &WorkspaceId::new("w"), &[]);
        assert_eq!(
            listed,
            Ok(vec![Listed {
                id: AiLlmId::new("1"),
                settings: settings(AiType::Openai)
            }])
        );
        let broken = br#"{"success":true,"aiLlms":[{"id":"1"}]}"#;
        assert!(read_list(broken, &WorkspaceId::new("w"), &[]).is_err());
        assert!(read_list(br#"{"success":true}"#, &WorkspaceId::new("w"), &[]).is_err());
    }

    #[test]
    fn an_id_that_repeats_a_secret_is_none() {
        let secret = Secret::new("canary-canary".into());
        for id in ["canary-canary", "id-of-canary-c", "Y2FuYXJ5LWNhbmFyeQ"] {
            let body = format!(r#"{{"success":true,"aiLlmId":"{id}"}}"#);
            let odd = read_created(body.as_bytes(), &[&secret]);
            assert!(matches!(odd, Err(Odd::NotTheContract(words)) if !words.contains("canary")));
        }
    }

    #[test]
    fn what_is_odd_quotes_no_value() {
        let body = br#"{"success":"canary-canary"}"#;
        let Err(Odd::NotTheContract(words)) = read_updated(body) else {
            panic!("odd");
        };
        assert!(!words.contains("canary"), "{words}");
    }

    #[test]
    fn a_life_is_read_from_seconds_milliseconds_a_jwt_or_the_documentation() {
        let now = 1_800_000_000.0;
        let seconds = |expires_at, token: &str| life(expires_at, token, now).as_secs();
        assert_eq!(seconds(Some(now + 90.0), ""), 90);
        assert_eq!(seconds(Some((now + 90.0) * 1000.0), ""), 90);
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(seconds(None, &jwt(r#"{"exp":1800000120}"#)), 120);
        assert_eq!(seconds(None, &jwt(r#"{"sub":"x"}"#)), 3600);
        assert_eq!(seconds(None, "opaque"), 3600);
        assert_eq!(seconds(Some(0.0), ""), 3600);
        assert_eq!(seconds(Some(f64::MAX), ""), LONGEST_LIFE.as_secs());
    }

    proptest! {
        #[test]
        fn no_answer_makes_a_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_created(&body, &[]);
            let _ = read_updated(&body);
            let _ = read_validated(&body, &[]);
            let _ = read_list(&body, &WorkspaceId::new("w"), &[]);
            let _ = read_tokens(&body, 0.0);
            let _ = error_words(&body);
        }
    }
}
