//! Readers of successful answers, which check them against the API's contract.
//!
//! An answer that breaks the contract becomes an [`Odd`], which quotes nothing of the body.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::reason::reason;
use super::wire;
use crate::model::AiLlmId;
use crate::redact::{self, Pieces};
use crate::secret::Secret;
use crate::words;

/// The result of a validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validation {
    /// The provider takes the credentials.
    Valid,
    /// The provider rejects them, or cannot be reached; with the part of Flashback's reason that may be shown.
    Invalid(String),
}

/// The lifetime of an access token if the answer does not give it: the hour that the platform documents.
pub(super) const DOCUMENTED_LIFE: Duration = Duration::from_secs(3600);
/// A longer validity than this is taken as this one.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A Unix time above this is in milliseconds: in seconds it would be in the year 5138.
const MILLISECONDS_ABOVE: f64 = 1e11;

/// A 2xx answer that does not mean success, or is not what the contract promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// The body is not what the contract promises; the text says why.
    NotTheContract(String),
    /// `{"success": false}`, with the server's unmasked reason if it gives one.
    Unsuccessful(Option<Zeroizing<String>>),
    /// The answer asks for a second factor.
    SecondFactor,
}

impl Odd {
    /// Returns the error of a body that lacks a field.
    pub fn lacks(field: &str) -> Self {
        Self::NotTheContract(format!("its JSON lacks `{field}`"))
    }
}

/// Parses an answer. The messages of serde are dropped, because they quote values.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Odd> {
    serde_json::from_slice(body).map_err(|error| parse_error(&error))
}

/// Returns the error of a body that could not be parsed.
pub(super) fn parse_error(error: &serde_json::Error) -> Odd {
    let place = format!("line {}, column {}", error.line(), error.column());
    Odd::NotTheContract(match error.classify() {
        serde_json::error::Category::Data => {
            format!("its JSON is not what the API promises ({place})")
        }
        _ => "its body is not JSON: does something else answer at base_url?".to_owned(),
    })
}

/// The field `success`, which every answer can have.
#[derive(Default, Deserialize)]
pub(super) struct Success {
    success: Option<bool>,
}

/// Takes an answer that says that it is no success for what it says.
pub(super) fn unless_unsuccessful(body: &[u8]) -> Result<Success, Odd> {
    let success: Success = parse(body)?;
    match success.success {
        Some(false) => Err(Odd::Unsuccessful(reason(body).and_then(|said| said.text))),
        Some(true) | None => Ok(success),
    }
}

/// Reads the answer to `POST /ai/llm/{id}/validate`, in which `success: false` is a result and not a failure.
pub(super) fn read_validated(body: &[u8], sent: &[&Secret]) -> Result<Validation, Odd> {
    match unless_unsuccessful(body) {
        Ok(Success {
            success: Some(true),
        }) => Ok(Validation::Valid),
        Ok(_) => Err(Odd::lacks("success")),
        Err(Odd::Unsuccessful(words)) => {
            Ok(Validation::Invalid(wire::said(words.as_deref(), sent)))
        }
        Err(odd) => Err(odd),
    }
}

/// Reads the answer to a `POST` that creates something, whose id is in `field`. Returns `None` if the API
/// accepted it but gives no usable id: the caller then finds it by its name.
pub(super) fn read_created(
    body: &[u8],
    field: &str,
    sent: &[&Secret],
) -> Result<Option<AiLlmId>, Odd> {
    read_updated(body)?;
    let body = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let id = body.get(field).and_then(serde_json::Value::as_str);
    let sent = Pieces::of(sent.iter().map(|secret| secret.expose()));
    Ok(id.and_then(|id| usable_id(id, &sent)))
}

/// Reads the answer to a `PUT` or a `DELETE`. Its 2xx is enough: it fails only if the body says `success: false` or is a
/// page of HTML, which is never the API's.
pub(super) fn read_updated(body: &[u8]) -> Result<(), Odd> {
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(Odd::NotTheContract("its body is a page".to_owned()));
    }
    match unless_unsuccessful(body) {
        Err(odd @ (Odd::Unsuccessful(_) | Odd::SecondFactor)) => Err(odd),
        Err(Odd::NotTheContract(_)) | Ok(_) => Ok(()),
    }
}

/// Returns an id if it can be used. It becomes part of a path, is logged and is stored: so it must not lead to
/// another path, repeat a secret that was sent, be too long or have characters that no id has.
pub(super) fn usable_id(id: &str, sent: &Pieces) -> Option<AiLlmId> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:~".contains(c);
    let usable = words::too_long(id).is_none()
        && fits_a_path(id)
        && id.chars().all(is_plain)
        && !redact::begins_like_a_key(id)
        && !sent.are_in(id);
    usable.then(|| AiLlmId::new(id))
}

/// Returns `true` if a text can be one segment of a path. `.` and `..` would lead to another path, encoded or not.
pub(super) fn fits_a_path(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
        && !id.chars().any(words::is_invisible)
        && words::too_long(id).is_none()
}

/// The tokens that a sign-in gives.
pub(super) struct Tokens {
    /// The access token for the calls.
    pub access: Secret,
    /// The refresh token for the next sign-in, if the answer has one.
    pub refresh: Option<Secret>,
    /// The lifetime of the access token.
    pub life: Duration,
}

/// Reads the answer to `POST /user/login` or `POST /user/refresh` at `now` (Unix time in seconds).
pub(super) fn read_tokens(body: &[u8], now: f64) -> Result<Tokens, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: Option<String>,
        refresh_token: Option<String>,
        expires_at: Option<serde_json::Value>,
    }
    unless_unsuccessful(body)?;
    let answer: Answer = parse(body)?;
    let given = |text: Option<String>| text.filter(|token| !token.is_empty());
    let access = given(answer.access_token).ok_or_else(|| Odd::lacks("accessToken"))?;
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

/// Returns how long a token is valid: by `expiresAt`, else by the token itself if it is a JWT, else the
/// documented hour. One that seems to have expired already points to a wrong clock rather than to a dead token:
/// it is given the documented hour, and a 401 corrects that.
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

/// Returns the claim `exp` of a JSON Web Token (RFC 7519, section 4.1.4). It is not verified: it is only a hint.
pub(super) fn jwt_expiry(token: &str) -> Option<f64> {
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

    fn created(body: &[u8], sent: &[&Secret]) -> Result<Option<AiLlmId>, Odd> {
        read_created(body, "aiLlmId", sent)
    }

    #[test]
    fn a_write_that_is_answered_2xx_is_done_unless_the_body_denies_it() {
        for body in [
            &br#"{"success":true,"aiLlmId":"x"}"#[..],
            b"",
            b"fine",
            b"{}",
            b"[]",
            br#"{"aiLlmId":"x"}"#,
            br#"{"success":"true"}"#,
        ] {
            assert_eq!(
                read_updated(body),
                Ok(()),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        assert_eq!(
            read_updated(br#"{"success":false,"message":"no","error_code":"E"}"#),
            Err(Odd::Unsuccessful(Some(Zeroizing::new("no (E)".into()))))
        );
        for page in ["<html>fine</html>", "\n <!DOCTYPE html>"] {
            let odd = read_updated(page.as_bytes());
            assert!(matches!(odd, Err(Odd::NotTheContract(_))), "{page}");
        }
    }

    #[test]
    fn an_id_is_taken_where_it_can_be_used() {
        let body = br#"{"success":true,"aiLlmId":"x","more":[]}"#;
        assert_eq!(created(body, &[]), Ok(Some(AiLlmId::new("x"))));
        let body = br#"{"aiLlmId":"x"}"#;
        assert_eq!(created(body, &[]), Ok(Some(AiLlmId::new("x"))));
        let long = format!(r#"{{"aiLlmId":"{}"}}"#, "i".repeat(70_000));
        for without in [
            "",
            "made",
            r#"{"success":true}"#,
            r#"{"success":true,"aiLlmId":7}"#,
            r#"{"success":true,"aiLlmId":""}"#,
            r#"{"success":true,"aiLlmId":".."}"#,
            &long,
        ] {
            assert_eq!(created(without.as_bytes(), &[]), Ok(None), "{without}");
        }
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
    fn an_id_that_repeats_a_secret_is_none() {
        let secret = Secret::new("canary-canary".into());
        for id in [
            "canary-canary",
            "id-of-canary-c",
            "Y2FuYXJ5LWNhbmFyeQ",
            "c.a.n.a.r.y-c.a.n.a.r.y",
            "yranac-yranac",
            "63-61-6e-61-72-79-2d-63",
            "no id at all",
        ] {
            let body = format!(r#"{{"success":true,"aiLlmId":"{id}"}}"#);
            assert_eq!(created(body.as_bytes(), &[&secret]), Ok(None), "{id}");
        }
    }

    #[test]
    fn error_for_a_malformed_answer_quotes_no_value() {
        let body = br#"{"success":"canary-canary"}"#;
        let Err(Odd::NotTheContract(words)) = read_validated(body, &[]) else {
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
            let _ = created(&body, &[]);
            let _ = read_updated(&body);
            let _ = read_validated(&body, &[]);
            let _ = read_tokens(&body, 0.0);
        }
    }
}
