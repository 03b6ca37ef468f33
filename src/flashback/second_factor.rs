//! Recognises that an account needs a second factor, and sends it.
//!
//! The reference documents `POST /mfa/verify-login` and its fields, but not how the answer to a login shows that it is
//! needed. This may be a field of the answer, the text of a refusal, or a token that is refused afterwards. Each of
//! these is recognised.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::FlashbackError;
use super::answer::{DOCUMENTED_LIFE, Odd, Tokens, jwt_expiry, parse};
use crate::secret::Secret;

/// The detail of a [`FlashbackError::Refused`] whose body asks for a second factor.
const ASKED: &str = "it asks for a second factor (MFA)";

/// The error of an account that needs what the configuration does not have.
pub(super) const NEEDED: &str = "the account needs a second factor (MFA): set `totp` in \
    [flashback.auth] to the base32 seed of its authenticator, or use an account without one";

/// Returns the refusal that asks for a second factor.
pub(super) fn asked(status: u16) -> FlashbackError {
    FlashbackError::Refused {
        status,
        what: ASKED.to_owned(),
    }
}

/// Returns `true` if an error is that refusal.
pub(super) fn is_asked(error: &FlashbackError) -> bool {
    matches!(error, FlashbackError::Refused { what, .. } if what == ASKED)
}

/// Returns `true` if an answer's body asks for a second factor: by a field, or in the words of a refusal.
pub(super) fn is_asked_by(body: &[u8], refusal: bool) -> bool {
    // Nothing else of the answer is kept: it may hold tokens, and these would not be wiped.
    #[derive(Deserialize)]
    struct Answer {
        success: Option<Value>,
        #[serde(rename = "mfaRequired")]
        camel: Option<Value>,
        #[serde(rename = "mfa_required")]
        snake: Option<Value>,
        user: Option<Value>,
        message: Option<Value>,
        error: Option<Value>,
        error_message: Option<Value>,
        error_code: Option<Value>,
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return false;
    };
    let user = |field: &str| answer.user.as_ref()?.get(field);
    let flags = [
        answer.camel.as_ref(),
        answer.snake.as_ref(),
        user("mfaRequired"),
        user("mfa_required"),
    ];
    let words = [
        &answer.message,
        &answer.error,
        &answer.error_message,
        &answer.error_code,
    ];
    let refused = refusal || answer.success == Some(Value::Bool(false));
    let mut words = words.into_iter().flatten().filter_map(Value::as_str);
    flags.contains(&Some(&Value::Bool(true))) || (refused && words.any(mentions))
}

/// Returns `true` if a text is about a second factor.
fn mentions(text: &str) -> bool {
    const NAMES: [&str; 3] = ["mfa", "2fa", "totp"];
    let plain = text.to_lowercase().replace(['-', '_'], " ");
    let mut words = plain.split(|c: char| !c.is_alphanumeric());
    words.any(|word| NAMES.iter().any(|name| word.starts_with(name)))
        || ["second factor", "two factor", "multi factor"]
            .iter()
            .any(|phrase| plain.contains(phrase))
}

/// Reads the answer to `POST /mfa/verify-login` at `now` (Unix time in seconds).
pub(super) fn read_verified(body: &[u8], now: f64) -> Result<Tokens, Odd> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Verified {
        success: Option<bool>,
        full_access_token: Option<String>,
        refresh_token: Option<String>,
    }
    let answer: Verified = parse(body)?;
    if answer.success == Some(false) {
        return Err(Odd::Unsuccessful(Some(Zeroizing::new(
            "the code was not accepted".to_owned(),
        ))));
    }
    let given = |text: Option<String>| text.filter(|token| !token.is_empty());
    let access = given(answer.full_access_token).ok_or_else(|| Odd::lacks("fullAccessToken"))?;
    let life = jwt_expiry(&access).map_or(0.0, |at| at - now);
    Ok(Tokens {
        life: match Duration::try_from_secs_f64(life) {
            Ok(life) if !life.is_zero() => life.min(DOCUMENTED_LIFE),
            _ => DOCUMENTED_LIFE,
        },
        refresh: given(answer.refresh_token).map(Secret::new),
        access: Secret::new(access),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_each_way_to_ask_and_nothing_else() {
        for (body, refusal) in [
            (
                r#"{"success":true,"accessToken":"t","user":{"mfaRequired":true}}"#,
                false,
            ),
            (r#"{"success":true,"mfaRequired":true}"#, false),
            (r#"{"mfa_required":true,"accessToken":"t"}"#, false),
            (r#"{"success":false,"error_code":"MFA_REQUIRED"}"#, false),
            (
                r#"{"success":false,"message":"Second factor needed"}"#,
                true,
            ),
            (r#"{"error":"Two-factor authentication is required"}"#, true),
            (r#"{"message":"complete 2FA first"}"#, true),
        ] {
            assert!(is_asked_by(body.as_bytes(), refusal), "{body}");
        }
        for (body, refusal) in [
            (
                r#"{"success":true,"accessToken":"t","user":{"mfaRequired":false}}"#,
                false,
            ),
            (
                r#"{"success":true,"message":"MFA was passed","accessToken":"t"}"#,
                false,
            ),
            (
                r#"{"success":false,"message":"Invalid email or password"}"#,
                true,
            ),
            (
                r#"{"success":false,"message":"You have no access to this workspace"}"#,
                true,
            ),
            ("<html>MFA</html>", true),
            ("", true),
        ] {
            assert!(!is_asked_by(body.as_bytes(), refusal), "{body}");
        }
    }

    #[test]
    fn reads_the_full_token_and_nothing_less() {
        let read = |body: &str| read_verified(body.as_bytes(), 0.0);
        let tokens = read(r#"{"success":true,"fullAccessToken":"a","refreshToken":"r"}"#);
        let tokens = tokens.expect("tokens");
        assert_eq!(tokens.access.expose(), "a");
        assert_eq!(tokens.refresh.expect("one").expose(), "r");
        assert_eq!(tokens.life, DOCUMENTED_LIFE);
        for odd in [
            "",
            "{}",
            r#"{"success":true,"accessToken":"limited"}"#,
            r#"{"success":false,"fullAccessToken":"a"}"#,
        ] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }
}
