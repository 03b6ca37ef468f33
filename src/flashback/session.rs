//! Sign-in and renewal.
//!
//! Everybody who makes a call asks for the [`Access`] of the moment. It is renewed behind the
//! callers' backs when two thirds of its life are over, so that no push waits for a sign-in; a
//! caller waits only where there is nothing usable. One sign-in runs at a time, and whoever waited
//! for it takes its outcome, good or bad. It runs in a task of its own: a caller that goes away
//! does not take a half-spent refresh token with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::Method;
use tokio::time::Instant;

use super::FlashbackError;
use super::exchange::{Call, Exchange};
use super::refresh_file::Slot;
use super::wire::{self, Tokens};
use crate::credential::{Credential as _, FromFile, SharedCredential};
use crate::secret::Secret;
use crate::telemetry::event;

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
    fn method(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Login { .. } => "login",
            Self::RefreshToken(_) => "refresh_token",
        }
    }
}

/// A bearer token is looked up again this long after the last time, in case its file changed.
const TOKEN_RECHECK: Duration = Duration::from_secs(5);

/// A token that Flashback is expected to take.
pub(super) struct Access {
    /// The bearer.
    pub token: Secret,
    /// From then on it is renewed behind the callers' backs.
    renew_at: Instant,
    /// From then on it is not used; `None` for a token whose end is not known.
    good_until: Option<Instant>,
}

/// The sign-in that is in force, and the means for the next.
pub(super) struct Session(Arc<Inner>);

struct Inner {
    auth: Auth,
    exchange: Arc<Exchange>,
    current: Mutex<Option<Arc<Access>>>,
    turn: Arc<tokio::sync::Mutex<Turn>>,
    failing: AtomicBool,
}

/// What the one who signs in works with.
#[derive(Default)]
struct Turn {
    /// `Login`: the refresh token its answer gave.
    refresh: Option<Secret>,
    /// `RefreshToken`: a next token that could not be written down yet.
    unsaved: Option<Secret>,
    /// How the last sign-in ended, if badly, and when.
    failed: Option<(Instant, FlashbackError)>,
    /// No renewal behind the callers' backs before this.
    not_before: Option<Instant>,
}

/// Whether somebody waits for a sign-in, or the token at hand is still good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing can be done without it: a refusal takes the lane down.
    Now,
    /// A refusal is for the log.
    Soon,
}

impl Session {
    pub fn new(auth: Auth, exchange: Arc<Exchange>) -> Self {
        Self(Arc::new(Inner {
            auth,
            exchange,
            current: Mutex::new(None),
            turn: Arc::default(),
            failing: AtomicBool::new(false),
        }))
    }

    /// How it signs in, in a word.
    pub fn method(&self) -> &'static str {
        self.0.auth.method()
    }

    /// The access of the moment.
    pub async fn access(&self) -> Result<Arc<Access>, FlashbackError> {
        let Some(access) = self.0.current() else {
            return self.sign_in(None).await;
        };
        let now = Instant::now();
        if access.good_until.is_some_and(|end| end <= now) {
            return self.sign_in(Some(access)).await;
        }
        if access.renew_at <= now {
            self.renew_behind();
        }
        Ok(access)
    }

    /// What a 401 to a call with `access` means: [`FlashbackError::Refused`] where another sign-in
    /// may help, [`FlashbackError::SignIn`] where nothing is left to try.
    pub async fn refused(&self, access: &Arc<Access>) -> FlashbackError {
        if let Auth::Token(credential) = &self.0.auth {
            let unchanged = match credential.fetch().await {
                Ok(token) => wire::same(&token, &access.token),
                Err(error) => return cannot_have(&error.to_string()),
            };
            if unchanged {
                return self.give_up(access, "the token was refused (401): replace it");
            }
        }
        FlashbackError::Refused {
            status: 401,
            what: "the access token was refused".to_owned(),
        }
    }

    /// The access after `refused` got a 401: another's, where somebody has it already.
    pub async fn renewed(&self, refused: &Arc<Access>) -> Result<Arc<Access>, FlashbackError> {
        self.0.forget(refused);
        self.sign_in(Some(Arc::clone(refused))).await
    }

    /// A fresh access was refused too.
    pub fn give_up(&self, access: &Arc<Access>, what: &str) -> FlashbackError {
        self.0.forget(access);
        let error = FlashbackError::SignIn {
            what: what.to_owned(),
            status: "401".to_owned(),
        };
        self.0.tell_failure(&error);
        error
    }

    async fn sign_in(&self, stale: Option<Arc<Access>>) -> Result<Arc<Access>, FlashbackError> {
        let asked = Instant::now();
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let mut turn = inner.turn.lock().await;
            if let Some(current) = inner.current()
                && !stale.is_some_and(|stale| Arc::ptr_eq(&stale, &current))
            {
                return Ok(current);
            }
            match &turn.failed {
                Some((at, error)) if *at >= asked => Err(error.clone()),
                _ => inner.sign_in(&mut turn, Need::Now).await,
            }
        });
        task.await.unwrap_or_else(|_| {
            Err(FlashbackError::SignIn {
                what: "the sign-in was stopped half-way".to_owned(),
                status: "stopped".to_owned(),
            })
        })
    }

    fn renew_behind(&self) {
        let Ok(mut turn) = Arc::clone(&self.0.turn).try_lock_owned() else {
            return;
        };
        if turn.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.sign_in(&mut turn, Need::Soon).await.map(drop) });
    }
}

impl Inner {
    fn current(&self) -> Option<Arc<Access>> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Access>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, access: &Arc<Access>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, access)) {
            *slot = None;
        }
    }

    async fn sign_in(&self, turn: &mut Turn, need: Need) -> Result<Arc<Access>, FlashbackError> {
        let result = match &self.auth {
            Auth::Token(credential) => fetch(credential).await.map(|token| (token, None)),
            Auth::Login { email, password } => self.log_in(email, password, turn, need).await,
            Auth::RefreshToken(path) => self.refresh_from_file(path, turn, need).await,
        };
        match result {
            Ok((token, life)) => {
                turn.failed = None;
                turn.not_before = None;
                Ok(self.install(token, life))
            }
            Err(error) => {
                self.tell_failure(&error);
                let now = Instant::now();
                turn.failed = Some((now, error.clone()));
                turn.not_before = Some(now + self.patience(now));
                Err(error)
            }
        }
    }

    /// The wait after a renewal that failed while the token at hand is still good.
    fn patience(&self, now: Instant) -> Duration {
        let left = self.current().and_then(|access| access.good_until);
        left.map_or(TOKEN_RECHECK, |end| {
            (end.saturating_duration_since(now) / 4).max(Duration::from_secs(1))
        })
    }

    fn install(&self, token: Secret, life: Option<Duration>) -> Arc<Access> {
        let now = Instant::now();
        let renew_after = life.map_or(TOKEN_RECHECK, |life| life * 2 / 3);
        let access = Arc::new(Access {
            token,
            renew_at: now + renew_after,
            good_until: life.map(|life| now + life),
        });
        let previous = self.slot().replace(Arc::clone(&access));
        let known = previous.is_some_and(|previous| wire::same(&previous.token, &access.token));
        let ended_a_failure = self.failing.swap(false, Ordering::Relaxed);
        if !known || ended_a_failure {
            tracing::info!(
                event = event::SIGNED_IN,
                service = self.exchange.lane.service(),
                method = self.auth.method(),
                ttl_seconds = life.map(|life| life.as_secs()),
                "signed in to Flashback"
            );
        }
        access
    }

    /// Once a streak. An outage is the lane's to report.
    fn tell_failure(&self, error: &FlashbackError) {
        if matches!(
            error,
            FlashbackError::HeldBack { .. } | FlashbackError::Unavailable { .. }
        ) || self.failing.swap(true, Ordering::Relaxed)
        {
            return;
        }
        tracing::error!(
            event = event::SIGN_IN_FAILED,
            service = self.exchange.lane.service(),
            method = self.auth.method(),
            error = %error,
            "cannot sign in to Flashback"
        );
    }

    async fn log_in(
        &self,
        email: &SharedCredential,
        password: &SharedCredential,
        turn: &mut Turn,
        need: Need,
    ) -> Result<(Secret, Option<Duration>), FlashbackError> {
        // Taken, not borrowed: a token works once, and whatever becomes of it the login is left.
        if let Some(refresh) = turn.refresh.take() {
            match self.refresh(&refresh, Need::Soon).await {
                Ok(tokens) => {
                    turn.refresh = tokens.refresh.or(Some(refresh));
                    return Ok((tokens.access, Some(tokens.life)));
                }
                Err(
                    error @ (FlashbackError::Unavailable { .. } | FlashbackError::HeldBack { .. }),
                ) => {
                    turn.refresh = Some(refresh);
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
        turn.refresh = tokens.refresh;
        Ok((tokens.access, Some(tokens.life)))
    }

    async fn refresh_from_file(
        &self,
        path: &Path,
        turn: &mut Turn,
        need: Need,
    ) -> Result<(Secret, Option<Duration>), FlashbackError> {
        if let Some(unsaved) = &turn.unsaved {
            let slot = open(path).await?;
            keep(path, slot, unsaved.clone()).await?;
            turn.unsaved = None;
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
            turn.unsaved = Some(next.clone());
            keep(path, slot, next).await?;
            turn.unsaved = None;
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
            let read = |body: &[u8]| wire::read_tokens(body, unix_now());
            match self.exchange.send(call, None, read).await {
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

fn cannot_have(what: &str) -> FlashbackError {
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
    done.map_err(std::io::Error::other)
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
