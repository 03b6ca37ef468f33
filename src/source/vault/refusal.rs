//! Converts Vault's refusals to errors.
//!
//! Vault's error texts can quote the request, so none is passed on. A known text is replaced by the rotator's own
//! words.

use serde::Deserialize;

use super::wire::Answer;
use crate::retry::{Class, class_of_status};
use crate::source::contract::SourceError;

/// The body of an answer that is not a success. A missing secret has an empty list of errors.
#[derive(Default, Deserialize)]
struct Refusal {
    errors: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
}

/// Texts of Vault and OpenBao that say more than a status, and our words for them. Found by asking
/// OpenBao 2.7, whose texts are Vault's.
const KNOWN: &[(&str, &str)] = &[
    ("vault is sealed", "it is sealed"),
    ("not initialized", "it is not initialized"),
    ("no handler for route", "nothing is mounted there"),
    ("namespace not found", "there is no such namespace"),
    (
        "could not load backend configuration",
        "the auth method is not configured (`vault write auth/MOUNT/config …`)",
    ),
    (
        "active cluster node not found",
        "no node of the cluster is active",
    ),
    (
        "upgrading from non-versioned",
        "the mount is being upgraded to KV 2",
    ),
];

/// The same for sign-ins.
const KNOWN_OF_SIGN_IN: &[(&str, &str)] = &[
    (
        "invalid role or secret id",
        "the role id or the secret id is wrong, used up or expired",
    ),
    (
        "invalid secret id",
        "the secret id is wrong, used up or expired",
    ),
    ("invalid role id", "the role id is wrong"),
    ("invalid role name", "there is no such role"),
    ("could not be found", "there is no such role"),
    (
        "service account name not authorized",
        "the role does not take this service account: see its `bound_service_account_names`",
    ),
    (
        "namespace not authorized",
        "the role does not take this pod's namespace: see its `bound_service_account_namespaces`",
    ),
    (
        "invalid username or password",
        "the user name or the password is wrong",
    ),
    (
        "audience",
        "the JWT has another audience than the role wants",
    ),
    ("claim", "the JWT's claims are not those the role wants"),
    ("expired", "the JWT has expired"),
    (
        "signature",
        "the JWT's signature does not match the method's keys",
    ),
    (
        "certificate",
        "no certificate role matches the client's certificate",
    ),
];

impl Refusal {
    fn of(answer: &Answer) -> Self {
        answer.json().unwrap_or_default()
    }

    fn says(&self, text: &str) -> bool {
        let lists = [&self.errors, &self.warnings];
        lists
            .into_iter()
            .flatten()
            .flatten()
            .any(|line| line.to_ascii_lowercase().contains(text))
    }

    fn in_our_words(&self, known: &[(&str, &'static str)]) -> Option<&'static str> {
        let found = known.iter().find(|(text, _)| self.says(text));
        found.map(|(_, words)| *words)
    }
}

/// The meaning of a 404 that contains no version.
pub(super) enum Absent {
    /// No secret at this path.
    Secret,
    /// No engine at the mount, or no such namespace; the text says which.
    Engine(&'static str),
    /// The engine there is the other KV version.
    IsVersioned,
    /// The answer is not from Vault.
    Foreign,
}

/// Distinguishes the kinds of 404.
pub(super) fn absent(answer: &Answer) -> Absent {
    let refusal = Refusal::of(answer);
    if refusal.says("versioned k/v secrets engine") {
        return Absent::IsVersioned;
    }
    match (refusal.in_our_words(KNOWN), &refusal.errors) {
        (Some(words), _) => Absent::Engine(words),
        (None, Some(errors)) if errors.is_empty() => Absent::Secret,
        _ => Absent::Foreign,
    }
}

/// Returns the error for an answer that is neither a success nor expected by the caller. `asked` is a clause:
/// "reading `secret/metadata/llm/openai`".
pub(super) fn unexpected(answer: &Answer, asked: &str) -> SourceError {
    let code = answer.status;
    let status = code.to_string();
    if let 300..=399 = code {
        let place = answer.redirect.as_deref().unwrap_or("another address");
        return SourceError::Unavailable {
            what: format!(
                "{asked}: redirected to {place} ({code}), where the token is not sent: point `address` at the active node or at a load balancer in front of it"
            ),
            status,
            retry_after: None,
        };
    }
    let words = match Refusal::of(answer).in_our_words(KNOWN) {
        Some(words) => format!("{asked}: {words} ({code})"),
        None => match code {
            429 => format!("{asked}: a rate limit quota was reached (429)"),
            503 => format!("{asked}: it is sealed, in standby or in maintenance (503)"),
            _ => format!("{asked}: status {code}"),
        },
    };
    match class_of_status(code, answer.retry_after) {
        Class::Outage { retry_after } => SourceError::Unavailable {
            what: words,
            status,
            retry_after,
        },
        Class::Transient { .. } | Class::Refused => SourceError::Protocol {
            what: words,
            status,
        },
    }
}

/// Returns the error for a denied path, with the permission that is needed.
pub(super) fn denied(answer: &Answer, needs: &str) -> SourceError {
    SourceError::Denied {
        what: format!("the token's policies lack {needs} ({})", answer.status),
        status: answer.status.to_string(),
    }
}

/// Returns `true` if a status says that the token, or its policies, are not enough. Vault answers 403 to
/// both; 401 comes from proxies that guard it.
pub(super) fn is_denial(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// Returns the error for a token that may not look itself up. Only the form of Vault's text shows if Vault knows the
/// token.
pub(super) fn token_refused(answer: &Answer) -> SourceError {
    let code = answer.status;
    let why = match Refusal::of(answer).says("1 error occurred") {
        true => {
            "it is a response-wrapping token, which must be unwrapped first (`vault unwrap`; it worked once, so make a new one), or its policies lack `read` on `auth/token/lookup-self`"
        }
        false => {
            "it is expired, revoked, of another namespace, or its policies lack `read` on `auth/token/lookup-self`"
        }
    };
    SourceError::SignIn {
        what: format!("the token was refused ({code}): {why}"),
        status: code.to_string(),
    }
}

/// Returns the error for a sign-in that gave no token. `unless` is another possible cause of a denial besides a method
/// that is not mounted.
pub(super) fn sign_in_refused(answer: &Answer, asked: &str, unless: Option<&str>) -> SourceError {
    let code = answer.status;
    let refusal = Refusal::of(answer);
    let words = refusal
        .in_our_words(KNOWN)
        .or_else(|| refusal.in_our_words(KNOWN_OF_SIGN_IN));
    match code {
        400..=407 | 409..=411 | 413..=424 | 426..=428 => SourceError::SignIn {
            what: match words {
                Some(words) => format!("{asked}: {words} ({code})"),
                None if refusal.errors.is_none() => format!(
                    "{asked}: what answered is not Vault: {code} {}; check `address`",
                    answer.described()
                ),
                None if is_denial(code) => format!(
                    "{asked}: refused ({code}): is the method mounted there? `vault auth list` shows it{}",
                    unless.map_or_else(String::new, |unless| format!(". {unless}"))
                ),
                None => format!("{asked}: refused ({code})"),
            },
            status: code.to_string(),
        },
        _ => unexpected(answer, asked),
    }
}
