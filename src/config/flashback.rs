//! `[flashback]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::credential::{SecretRef, ValueRef};
use crate::setting::suggest::list;
use crate::setting::value_types::place::BASE_URL;
use crate::setting::value_types::secret::{SECRET, SECRET_FILE, VALUE};
use crate::setting::value_types::text::SHORT;
use crate::setting::value_types::time::WATCH;
use crate::setting::{Shape, ValueType, settings};

settings! {
    /// `[flashback]`, as it is written.
    pub table Flashback {
        /// Where Flashback's API is.
        base_url: String = BASE_URL, Default;
        /// The workspace of every key that names none.
        workspace_id: String = SHORT, Optional;
        /// How to sign in: `token`, or `email` and `password`, or `refresh_token`.
        auth: FlashbackAuth = AUTH, Required;
        /// How often Flashback is asked whether somebody else has changed credentials; "off" to not do it.
        watch_edits: Option<Duration> = WATCH, Default;
    }
}

/// `[flashback]`.
pub const FLASHBACK: ValueType<Flashback> = ValueType {
    shape: Shape::Table(Flashback::ALL),
    read: |input| {
        let read = Flashback::of(input)?;
        if let (Some(url), Some(span)) = (&read.base_url.value, read.base_url.span)
            && let Some(hint) = base_url_hint(url)
        {
            input.diagnostics.warn(Some(span), hint);
        }
        Some(read)
    },
};

/// Returns what the base URL of Flashback has that is no part of it.
fn base_url_hint(url: &str) -> Option<&'static str> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    (path.contains("/ai/") || path.ends_with("/ai"))
        .then_some("`base_url` goes on to one of the API's paths: write what comes before `/ai`")
}

/// The three ways to sign in to Flashback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlashbackAuth {
    /// A bearer token.
    Token(SecretRef),
    /// `POST /user/login`.
    Login {
        /// The e-mail address, which is not secret.
        email: ValueRef,
        /// The password.
        password: SecretRef,
        /// The base32 seed of a second factor.
        totp: Option<SecretRef>,
    },
    /// `POST /user/refresh`; the next token is written back to this file.
    RefreshToken(PathBuf),
}

settings! {
    /// A bearer token. It is read again when its file changes, and on a 401.
    TOKEN: SecretRef = "token", SECRET, Required;
    /// The e-mail address to log in with. Not secret: a plain text or a reference.
    EMAIL: ValueRef = "email", VALUE, Required;
    /// The password that belongs to `email`.
    PASSWORD: SecretRef = "password", SECRET, Required;
    /// The base32 seed of the account's second factor (TOTP), where it has one. Only beside `email` and `password`.
    TOTP: SecretRef = "totp", SECRET, Optional;
    /// A refresh token in a file. Each works once: the next one is written back, so the file must be writable. A process killed at that moment loses it; `email` and `password` cannot be lost.
    REFRESH_TOKEN: PathBuf = "refresh_token", SECRET_FILE, Required;
}

/// The warning about refresh tokens, which can be lost.
const ONE_USE: &str = "a refresh token works once, and each start and renewal uses one: a process that is killed between Flashback's answer and the write to the disk leaves a token that is used up, and somebody has to make a new one. `email` and `password` have no such moment";

const AUTH: ValueType<FlashbackAuth> = ValueType {
    shape: Shape::OneOf(&[&[&TOKEN], &[&EMAIL, &PASSWORD, &TOTP], &[&REFRESH_TOKEN]]),
    read: |input| {
        const WAYS: &str = "write `token`, or `email` and `password`, or `refresh_token`";
        let mut table = input.table("`[flashback.auth]` and its settings below it")?;
        table.only(ALL);
        let token = table.written(&TOKEN);
        let login = table.written(&EMAIL).or(table.written(&PASSWORD));
        let refresh = table.written(&REFRESH_TOKEN);
        if let (Some(span), None) = (table.written(&TOTP), login) {
            table.get(&TOTP);
            table
                .diagnostics
                .mistake(span, "`totp` belongs to `email` and `password`")
                .help("take it out: it answers the second factor of a login");
            return None;
        }
        match (token, login, refresh) {
            (Some(_), None, None) => table.get(&TOKEN).map(FlashbackAuth::Token),
            (None, Some(_), None) => {
                let (email, password) = (table.get(&EMAIL), table.get(&PASSWORD));
                Some(FlashbackAuth::Login {
                    email: email?,
                    password: password?,
                    totp: table.get(&TOTP),
                })
            }
            (None, None, Some(span)) => {
                table.diagnostics.warn(Some(span), ONE_USE);
                table.get(&REFRESH_TOKEN).map(FlashbackAuth::RefreshToken)
            }
            (None, None, None) => {
                let span = table.span;
                table
                    .diagnostics
                    .missing(span, "this does not say how to sign in to Flashback")
                    .help(WAYS);
                None
            }
            _ => {
                let written: Vec<_> = ALL
                    .iter()
                    .map(|setting| setting.name())
                    .filter(|name| table.tree.get(name).is_some())
                    .collect();
                let message = format!(
                    "{} are different ways to sign in",
                    list(written.iter().copied()).replace(" or ", " and ")
                );
                let span = table.span;
                table
                    .diagnostics
                    .mistake(span, message)
                    .help(format!("keep one: {WAYS}"));
                // Each is read all the same, so that its own mistakes are reported too.
                let password = table.written(&PASSWORD);
                token.and_then(|_| table.get(&TOKEN));
                password.and_then(|_| table.get(&PASSWORD));
                refresh.and_then(|_| table.get(&REFRESH_TOKEN));
                None
            }
        }
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_ends_before_the_paths_of_the_api() {
        for url in ["https://f.example.com/ai/llm", "https://f.example.com/ai"] {
            assert!(base_url_hint(url).is_some(), "{url}");
        }
        for url in ["https://ai.example.com", "https://f.example.com/gateway"] {
            assert_eq!(base_url_hint(url), None, "{url}");
        }
    }
}
