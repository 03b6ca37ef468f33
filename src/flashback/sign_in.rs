//! How to sign in: by a token at hand, by login, or by a refresh token in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Method;

use super::FlashbackError;
use super::answer::{self, Tokens};
use super::exchange::{Call, Exchange, Whole};
use super::refresh_file::Slot;
use super::wire;
use crate::credential::{Credential as _, FromFile, SharedCredential};
use crate::secret::Secret;

/// How the rotator signs in to Flashback.
pub enum Auth {
    /// A bearer token.
    Token(SharedCredential),
    /// `POST /user/login`, and `POST /user/refresh` while that works.
    Login {
        /// The account.
        email: SharedCredential,
        /// Its password.
        password: SharedCredential,
    },
    /// `POST /user/refresh` with the token in this file, where the next one is written.
    RefreshToken(PathBuf),
}

impl Auth {
    /// The word for logs.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Login { .. } => "login",
            Self::RefreshToken(_) => "refresh_token",
        }
    }
}

/// Whether somebody waits for a sign-in, or the token at hand is still good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing can be done without it: a refusal takes the lane down.
    Now,
    /// A refusal is for the log.
    Soon,
}

/// What one sign-in leaves for the next.
#[derive(Default)]
pub(super) struct Means {
    /// `Login`: the refresh token its answer gave.
    refresh: Option<Secret>,
    /// `RefreshToken`: a next token that could not be written down yet.
    unsaved: Option<Secret>,
}

/// A bearer token, and its life where that is known.
type Bearer = (Secret, Option<Duration>);

/// The way in.
pub(super) struct SignIn {
    /// Which way.
    pub auth: Auth,
    /// Where it is asked for.
    pub exchange: Arc<Exchange>,
}

impl SignIn {
    /// Signs in.
    pub async fn tokens(&self, means: &mut Means, need: Need) -> Result<Bearer, FlashbackError> {
        match &self.auth {
            Auth::Token(credential) => fetch(credential).await.map(|token| (token, None)),
            Auth::Login { email, password } => self.log_in(email, password, means, need).await,
            Auth::RefreshToken(path) => self.refresh_from_file(path, means, need).await,
        }
    }

    async fn log_in(
        &self,
        email: &SharedCredential,
        password: &SharedCredential,
        means: &mut Means,
        need: Need,
    ) -> Result<Bearer, FlashbackError> {
        // Taken, not borrowed: a token works once, and whatever becomes of it the login is left.
        if let Some(refresh) = means.refresh.take() {
            match self.refresh(&refresh, Need::Soon).await {
                Ok(tokens) => {
                    means.refresh = tokens.refresh.or(Some(refresh));
                    return Ok((tokens.access, Some(tokens.life)));
                }
                Err(
                    error @ (FlashbackError::Unavailable { .. } | FlashbackError::HeldBack { .. }),
                ) => {
                    means.refresh = Some(refresh);
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let (email, password) = (fetch(email).await?, fetch(password).await?);
        let call = Call {
            body: Some(wire::login_body(&email, &password)),
            sent: vec![&email, &password],
            ..Call::new(Method::POST, &["user", "login"])
        };
        let tokens = self.obtain("login", &call, need).await?;
        means.refresh = tokens.refresh;
        Ok((tokens.access, Some(tokens.life)))
    }

    async fn refresh_from_file(
        &self,
        path: &Path,
        means: &mut Means,
        need: Need,
    ) -> Result<Bearer, FlashbackError> {
        if let Some(unsaved) = &means.unsaved {
            let slot = open(path).await?;
            keep(path, slot, unsaved.clone()).await?;
            means.unsaved = None;
        }
        let token = FromFile(path.to_owned())
            .fetch()
            .await
            .map_err(|error| cannot_have(&error.to_string()))?;
        let slot = open(path).await?;
        let tokens = self
            .refresh(&token, need)
            .await
            .map_err(|error| match error {
                FlashbackError::SignIn { what, status } => FlashbackError::SignIn {
                    what: format!("{what}: put a new refresh token into {}", path.display()),
                    status,
                },
                other => other,
            })?;
        if let Some(next) = tokens.refresh
            && !wire::same(&next, &token)
        {
            means.unsaved = Some(next.clone());
            keep(path, slot, next).await?;
            means.unsaved = None;
        }
        Ok((tokens.access, Some(tokens.life)))
    }

    async fn refresh(&self, token: &Secret, need: Need) -> Result<Tokens, FlashbackError> {
        let call = Call {
            body: Some(wire::refresh_body(token)),
            sent: vec![token],
            ..Call::new(Method::POST, &["user", "refresh"])
        };
        self.obtain("refresh", &call, need).await
    }

    /// One of the two calls that give tokens.
    async fn obtain(
        &self,
        operation: &'static str,
        call: &Call<'_>,
        need: Need,
    ) -> Result<Tokens, FlashbackError> {
        let exchange = async {
            let read = |body: &[u8], _: &[&Secret]| answer::read_tokens(body, unix_now());
            match self.exchange.send(call, None, &Whole(read)).await {
                Err(error) if need == Need::Now => Err(as_sign_in(operation, error)),
                other => other,
            }
        };
        let result = self.exchange.lane.call(operation, exchange).await;
        result.map_err(|error| as_sign_in(operation, error))
    }
}

/// A refusal of the rotator's own credentials, told from trouble on the way.
fn as_sign_in(operation: &str, error: FlashbackError) -> FlashbackError {
    let (status, what) = match error {
        FlashbackError::Refused { status, what } => (status.to_string(), what),
        FlashbackError::NotFound { what } => ("404".to_owned(), what),
        FlashbackError::Faulty { what, status, .. } if status == "unsuccessful" => (status, what),
        other => return other,
    };
    FlashbackError::SignIn {
        what: format!("{operation} was refused ({status}): {what}"),
        status,
    }
}

async fn fetch(credential: &SharedCredential) -> Result<Secret, FlashbackError> {
    let fetched = credential.fetch().await;
    fetched.map_err(|error| cannot_have(&error.to_string()))
}

/// The rotator's own credential is not there.
pub(super) fn cannot_have(what: &str) -> FlashbackError {
    FlashbackError::SignIn {
        what: what.to_owned(),
        status: "credential".to_owned(),
    }
}

/// Opens the place for the next refresh token, before the old one is spent.
async fn open(path: &Path) -> Result<Slot, FlashbackError> {
    let owned = path.to_owned();
    blocking(path, move || Slot::open(&owned)).await
}

async fn keep(path: &Path, slot: Slot, token: Secret) -> Result<(), FlashbackError> {
    blocking(path, move || slot.keep(&token)).await
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, FlashbackError> {
    let done = tokio::task::spawn_blocking(work).await;
    // A task that panicked would tell with what words.
    done.map_err(|_| std::io::Error::other("the write was interrupted"))
        .flatten()
        .map_err(|error| {
            cannot_have(&format!(
                "the next refresh token must be written beside {}, and cannot: {error}",
                path.display()
            ))
        })
}

/// Seconds since 1970, to compare with what an answer states.
fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
