//! The bodies and headers of requests, as the API spells them.
//!
//! Secrets are exposed only here: for a request's body, its `Authorization`, the file of the next refresh token, and
//! comparisons that need the value.

use std::io::Write;

use bytes::Bytes;
use flashback_rotator_core::totp;
use http::header::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{AiType, Settings, TargetKind};
use crate::outbound::wiped_json;
use crate::secret::{Credentials, Secret};
use crate::words;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Configuration<'a> {
    name: &'a str,
    ai_type: AiType,
    endpoint: &'a str,
    /// `null` takes a left-over one away; in a `POST` there can be none.
    #[serde(skip_serializing_if = "Field::is_absent")]
    key: Field<'a>,
    secret: &'a str,
    /// `POST` only: a configuration cannot move to another workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<&'a str>,
}

/// A field that may be left out, or be `null`.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Absent,
    Null,
    Text(&'a str),
}

impl<'a> Field<'a> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn or(text: Option<&'a Secret>, none: Self) -> Self {
        text.map_or(none, |text| Self::Text(text.expose()))
    }
}

/// A stored key. Only the credentials of an existing one are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey<'a> {
    #[serde(skip_serializing_if = "Field::is_absent")]
    key: Field<'a>,
    secret: &'a str,
    #[serde(flatten)]
    made: Option<MadeKey<'a>>,
}

/// The settings of a new stored key, beside its credentials.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeKey<'a> {
    workspace_id: &'a str,
    provider: AiType,
    endpoint: &'a str,
    description: &'a str,
}

/// Returns the body of the `POST` that creates what `settings` describe.
pub(super) fn create_body(settings: &Settings, credentials: &Credentials) -> Bytes {
    match settings.target.kind() {
        TargetKind::Configuration => {
            configuration(settings, credentials, Some(settings.workspace_id.as_str()))
        }
        TargetKind::StoredKey => wiped_json(&StoredKey {
            // The contract asks for one, and a provider with one secret has none.
            key: Field::or(credentials.key.as_ref(), Field::Text("")),
            secret: credentials.secret.expose(),
            made: Some(MadeKey {
                workspace_id: settings.workspace_id.as_str(),
                provider: settings.ai_type,
                endpoint: &settings.endpoint,
                description: &settings.name,
            }),
        }),
    }
}

/// Returns the body of the `PUT`: every field of a configuration, or the credentials of a stored key.
pub(super) fn update_body(settings: &Settings, credentials: &Credentials) -> Bytes {
    match settings.target.kind() {
        TargetKind::Configuration => configuration(settings, credentials, None),
        TargetKind::StoredKey => wiped_json(&StoredKey {
            key: Field::or(credentials.key.as_ref(), Field::Absent),
            secret: credentials.secret.expose(),
            made: None,
        }),
    }
}

fn configuration(
    settings: &Settings,
    credentials: &Credentials,
    workspace_id: Option<&str>,
) -> Bytes {
    let left_over = match workspace_id {
        Some(_) => Field::Absent,
        None => Field::Null,
    };
    wiped_json(&Configuration {
        name: &settings.name,
        ai_type: settings.ai_type,
        endpoint: &settings.endpoint,
        key: Field::or(credentials.key.as_ref(), left_over),
        secret: credentials.secret.expose(),
        workspace_id,
    })
}

/// Returns the body of `POST /user/login`.
pub(super) fn login_body(email: &Secret, password: &Secret) -> Bytes {
    #[derive(Serialize)]
    struct Login<'a> {
        email: &'a str,
        password: &'a str,
    }
    wiped_json(&Login {
        email: email.expose(),
        password: password.expose(),
    })
}

/// Returns the body of `POST /user/refresh`. The reference and the official client name the field differently, so it is
/// sent under both names.
pub(super) fn refresh_body(token: &Secret) -> Bytes {
    #[derive(Serialize)]
    struct Refresh<'a> {
        #[serde(rename = "refreshToken")]
        camel: &'a str,
        #[serde(rename = "refresh_token")]
        snake: &'a str,
    }
    wiped_json(&Refresh {
        camel: token.expose(),
        snake: token.expose(),
    })
}

/// Returns the body of `POST /mfa/verify-login`.
pub(super) fn verify_body(code: &Secret) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Verify<'a> {
        mfa_type: &'static str,
        code: &'a str,
    }
    wiped_json(&Verify {
        mfa_type: "GOOGLE_AUTH",
        code: code.expose(),
    })
}

/// Returns the code of the second factor at this Unix time.
pub(super) fn code(seed: &Secret, unix_time: u64) -> Result<Secret, totp::NotASeed> {
    totp::code(seed.expose(), unix_time).map(Secret::new)
}

/// Returns the value of `Authorization: Bearer …`; `None` if the token cannot be in a header.
pub(super) fn bearer(token: &Secret) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose()).into_bytes());
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Writes a token to a file.
pub(super) fn write_token(token: &Secret, file: &mut impl Write) -> std::io::Result<()> {
    file.write_all(token.expose().as_bytes())
}

/// Returns the part of a server's reason for a failure that may be shown.
pub(super) fn said(words: Option<&String>, sent: &[&Secret]) -> String {
    words.map_or_else(
        || "it gives no reason".to_owned(),
        |words| shown(words, sent),
    )
}

/// Returns the part of a server's text that may be shown, given the secrets sent to it.
pub(super) fn shown(text: &str, sent: &[&Secret]) -> String {
    let sent: Vec<_> = sent.iter().map(|secret| secret.expose()).collect();
    words::shown(text, &sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AiLlmId, Target, WorkspaceId};

    fn settings(ai_type: AiType) -> Settings {
        Settings {
            workspace_id: WorkspaceId::new("w"),
            name: "n".into(),
            ai_type,
            endpoint: "https://e".into(),
            target: Target::Configuration,
        }
    }

    #[test]
    fn bodies_are_the_contracts() {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let pair = Credentials {
            key: Some(Secret::new("id".into())),
            secret: Secret::new("s\"\u{1}".into()),
        };
        assert_eq!(
            text(create_body(&settings(AiType::Aws), &pair)),
            r#"{"name":"n","aiType":"AWS","endpoint":"https://e","key":"id","secret":"s\"\u0001","workspaceId":"w"}"#
        );
        let single = Credentials { key: None, ..pair };
        assert_eq!(
            text(update_body(&settings(AiType::Openai), &single)),
            r#"{"name":"n","aiType":"OPENAI","endpoint":"https://e","key":null,"secret":"s\"\u0001"}"#
        );
        let stored = Settings {
            target: Target::StoredKey {
                id: Some(AiLlmId::new("k")),
            },
            ..settings(AiType::Openai)
        };
        assert_eq!(
            text(update_body(&stored, &single)),
            r#"{"secret":"s\"\u0001"}"#
        );
        assert_eq!(
            text(create_body(&stored, &single)),
            r#"{"key":"","secret":"s\"\u0001","workspaceId":"w","provider":"OPENAI","endpoint":"https://e","description":"n"}"#
        );
        assert_eq!(
            text(refresh_body(&Secret::new("r".into()))),
            r#"{"refreshToken":"r","refresh_token":"r"}"#
        );
        assert_eq!(
            text(verify_body(&Secret::new("012345".into()))),
            r#"{"mfaType":"GOOGLE_AUTH","code":"012345"}"#
        );
    }

    #[test]
    fn a_bearer_is_sensitive_and_a_broken_one_is_none() {
        let value = bearer(&Secret::new("canary".into())).expect("a header");
        assert!(!format!("{value:?}").contains("canary"));
        assert!(bearer(&Secret::new("a\nb".into())).is_none());
    }
}
