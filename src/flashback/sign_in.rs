//! The ways to sign in: with a given token, by login, or with a refresh token in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::FlashbackError;
use super::answer::{self, Odd, Tokens};
use super::exchange::{Call, Exchange};
use super::pace::Pace;
use super::reader::Whole;
use super::refresh_file::Slot;
use super::{second_factor, totp, wire};
use crate::credential::{Credential as _, FromFile, SharedCredential};
use crate::secret::Secret;
use crate::token::Need;
use crate::upstream::Failure as _;

/// The credentials with which the rotator signs in to Flashback.
pub enum Auth {
    /// A bearer token.
    Token(SharedCredential),
    /// `POST /user/login`, and `POST /user/refresh` while that works.
    Login {
        /// The account.
        email: SharedCredential,
        /// Its password.
        password: SharedCredential,
        /// The base32 seed of its second factor, with which `POST /mfa/verify-login` follows.
        totp: Option<SharedCredential>,
    },
    /// `POST /user/refresh` with the token in this file, where the next one is written.
    RefreshToken(PathBuf),
}

impl Auth {
    /// Returns the word for it in the log.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Login { .. } => "login",
            Self::RefreshToken(_) => "refresh_token",
        }
    }
}

/// The results of a sign-in that the next one uses.
#[derive(Default)]
pub(super) struct Means {
    /// `Login`: the refresh token its answer gave.
    pub refresh: Option<Secret>,
    /// `Login`: the step of the last code of the second factor. A code works once.
    step: Option<u64>,
    /// `RefreshToken`: a next token that could not be written down yet.
    unsaved: Option<Secret>,
    /// The error of the last sign-in that was tried, until one works.
    pub reason: Option<FlashbackError>,
}

/// A bearer token, and how long it is valid if that is known.
type Bearer = (Secret, Option<Duration>);

/// Signs in to Flashback.
pub(super) struct SignIn {
    /// The credentials.
    pub auth: Auth,
    /// Sends the requests.
    pub exchange: Arc<Exchange>,
    /// Limits how often.
    pub pace: Mutex<Pace>,
}

impl SignIn {
    /// Signs in.
    pub async fn tokens(&self, means: &mut Means, need: Need) -> Result<Bearer, FlashbackError> {
        match &self.auth {
            Auth::Token(credential) => fetch(credential).await.map(|token| (token, None)),
            Auth::Login {
                email,
                password,
                totp,
            } => {
                let account = (email, password, totp.as_ref());
                self.log_in(account, means, need).await
            }
            Auth::RefreshToken(path) => self.refresh_from_file(path, means, need).await,
        }
    }

    async fn log_in(
        &self,
        (email, password, totp): (
            &SharedCredential,
            &SharedCredential,
            Option<&SharedCredential>,
        ),
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
                    error @ (FlashbackError::Unavailable { .. }
                    | FlashbackError::CircuitOpen { .. }),
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
            identifies: true,
            signs_in: true,
            ..Call::new(Method::POST, &["user", "login"])
        };
        let read = |body: &[u8], _: &[&Secret]| {
            if totp.is_none() && second_factor::is_asked_by(body, false) {
                return Err(Odd::SecondFactor);
            }
            answer::read_tokens(body, unix_now())
        };
        let mut tokens = self.obtain("login", &call, None, need, read).await?;
        if let Some(seed) = totp {
            let seed = fetch(seed).await?;
            tokens = self.verify(&seed, &tokens.access, means, need).await?;
        }
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
                FlashbackError::SignIn {
                    what,
                    status,
                    retry_after,
                } => FlashbackError::SignIn {
                    what: format!("{what}: put a new refresh token into {}", path.display()),
                    status,
                    retry_after,
                },
                other => other,
            })?;
        if let Some(next) = tokens.refresh
            && !next.is_same(&token)
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
            identifies: true,
            signs_in: true,
            ..Call::new(Method::POST, &["user", "refresh"])
        };
        let read = |body: &[u8], _: &[&Secret]| answer::read_tokens(body, unix_now());
        self.obtain("refresh", &call, None, need, read).await
    }

    /// Answers the second factor of a login, whose token is a limited one until then.
    async fn verify(
        &self,
        seed: &Secret,
        limited: &Secret,
        means: &mut Means,
        need: Need,
    ) -> Result<Tokens, FlashbackError> {
        let first = self.verify_once(seed, limited, means, need).await;
        match first {
            // Another process with this account may have used the code of this step.
            Err(FlashbackError::SignIn { status, .. }) if is_refusal(&status) => {
                self.verify_once(seed, limited, means, need).await
            }
            other => other,
        }
    }

    async fn verify_once(
        &self,
        seed: &Secret,
        limited: &Secret,
        means: &mut Means,
        need: Need,
    ) -> Result<Tokens, FlashbackError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut step = now.as_secs() / totp::STEP;
        // A step further ahead is of a clock that was set back, and is not waited for.
        if let Some(used) = means.step
            && (step..=step + 1).contains(&used)
        {
            step = used + 1;
            let begins = Duration::from_secs(step * totp::STEP);
            tokio::time::sleep(begins.saturating_sub(now)).await;
        }
        means.step = Some(step);
        let code = wire::code(seed, step * totp::STEP)
            .map_err(|error| cannot_have(&format!("`totp`: {error}")))?;
        let call = Call {
            body: Some(wire::verify_body(&code)),
            sent: vec![&code],
            identifies: true,
            signs_in: true,
            ..Call::new(Method::POST, &["mfa", "verify-login"])
        };
        let read = |body: &[u8], _: &[&Secret]| second_factor::read_verified(body, unix_now());
        self.obtain("verify-login", &call, Some(limited), need, read)
            .await
    }

    /// Makes one of the calls that give tokens. Its success does not end an outage: the token may still be refused.
    async fn obtain(
        &self,
        operation: &'static str,
        call: &Call<'_>,
        bearer: Option<&Secret>,
        need: Need,
        read: impl Fn(&[u8], &[&Secret]) -> Result<Tokens, Odd> + Send + Sync,
    ) -> Result<Tokens, FlashbackError> {
        let exchange = async {
            // A code belongs to the login before it, and has a pace of its own.
            let counted = operation != "verify-login";
            if counted {
                self.pace().called(Instant::now());
            }
            let result = self.exchange.send(call, bearer, &Whole(&read)).await;
            if counted && matches!(&result, Err(error) if error.status() == "connect") {
                self.pace().not_connected();
            }
            match result {
                Err(error) if need == Need::Now => Err(self.as_sign_in(operation, error)),
                other => other,
            }
        };
        let result = self.exchange.upstream.prepare(operation, exchange).await;
        result.map_err(|error| self.as_sign_in(operation, error))
    }

    /// Returns what limits how often it signs in.
    pub fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock()
    }

    /// Returns the error of a sign-in that failed, with the time of the next; an outage stays one.
    fn as_sign_in(&self, operation: &str, error: FlashbackError) -> FlashbackError {
        let asked = second_factor::is_asked(&error);
        let (status, what) = match error {
            FlashbackError::Refused { .. } if asked && operation != "verify-login" => {
                ("mfa".to_owned(), second_factor::NEEDED.to_owned())
            }
            FlashbackError::Refused { status, what } => {
                let what = format!("{operation} was refused ({status}): {what}");
                (status.to_string(), what)
            }
            FlashbackError::NotFound { what } => (
                "404".to_owned(),
                format!("{operation} was refused (404): {what}"),
            ),
            FlashbackError::Faulty { what, status, .. } if status == "unsuccessful" => {
                let what = format!("{operation} was refused ({status}): {what}");
                (status, what)
            }
            FlashbackError::Faulty { what, status, .. } => {
                (status, format!("{operation} failed: {what}"))
            }
            other => return other,
        };
        let what = match operation {
            "verify-login" => format!("{what}: check `totp`, and this machine's clock"),
            _ => what,
        };
        FlashbackError::SignIn {
            what,
            status,
            retry_after: self.pace().wait(Instant::now()),
        }
    }
}

/// Returns `true` if a status is that of a code that was not accepted.
fn is_refusal(status: &str) -> bool {
    matches!(status, "400" | "401" | "403" | "unsuccessful")
}

async fn fetch(credential: &SharedCredential) -> Result<Secret, FlashbackError> {
    let fetched = credential.fetch().await;
    fetched.map_err(|error| cannot_have(&error.to_string()))
}

/// Returns the error of a credential that the rotator itself needs and cannot have.
pub(super) fn cannot_have(what: &str) -> FlashbackError {
    FlashbackError::SignIn {
        what: what.to_owned(),
        status: "credential".to_owned(),
        retry_after: None,
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

/// Returns the seconds since 1970, which answers state times in.
fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
