//! When to sign in: the access of the moment, and its renewal.
//!
//! Everybody who makes a call asks for the [`Access`] of the moment. It is renewed behind the
//! callers' backs when two thirds of its life are over, so that no push waits for a sign-in; a
//! caller waits only where there is nothing usable. One sign-in runs at a time, and whoever waited
//! for it takes its outcome, good or bad. It runs in a task of its own: a caller that goes away
//! does not take a half-spent refresh token with it.
//!
//! Trouble with signing in belongs to the account and not to a key. It begins with a sign-in that
//! fails or a fresh token that is refused, is logged once, and ends when Flashback accepts a token.
//! Until then callers get its error at once, and sign-ins are tried at the [pace](super::pace) of a
//! human being.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::FlashbackError;
use super::exchange::Exchange;
use super::pace::Pace;
use super::sign_in::{Auth, Means, Need, SignIn, cannot_have};
use super::{second_factor, wire};
use crate::secret::Secret;
use crate::telemetry::event;

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
    /// How long it lives, where that is known.
    life: Option<Duration>,
    /// Flashback took it.
    accepted: AtomicBool,
}

/// The sign-in that is in force, and the means for the next.
pub(super) struct Session(Arc<Inner>);

struct Inner {
    sign_in: SignIn,
    current: Mutex<Option<Arc<Access>>>,
    turn: Arc<tokio::sync::Mutex<Turn>>,
    /// Why Flashback cannot be signed in to, while that is so.
    trouble: Mutex<Option<FlashbackError>>,
}

/// What the one who signs in works with.
#[derive(Default)]
struct Turn {
    means: Means,
    /// How the last sign-in ended, if badly, and when.
    failed: Option<(Instant, FlashbackError)>,
    /// The error of the last one that was tried, until one works.
    reason: Option<FlashbackError>,
    /// No renewal behind the callers' backs before this.
    not_before: Option<Instant>,
}

impl Session {
    pub fn new(auth: Auth, exchange: Arc<Exchange>) -> Self {
        Self(Arc::new(Inner {
            sign_in: SignIn {
                auth,
                exchange,
                pace: Mutex::new(Pace::default()),
            },
            current: Mutex::new(None),
            turn: Arc::default(),
            trouble: Mutex::new(None),
        }))
    }

    /// How it signs in, in a word.
    pub fn method(&self) -> &'static str {
        self.0.sign_in.auth.method()
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
        if let Auth::Token(credential) = &self.0.sign_in.auth {
            let unchanged = match credential.fetch().await {
                Ok(token) => wire::same(&token, &access.token),
                Err(error) => return cannot_have(&error.to_string()),
            };
            if unchanged {
                return self.give_up(access, "the token was refused (401): replace it", "401");
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
        self.0.sign_in.pace().refused();
        self.sign_in(Some(Arc::clone(refused))).await
    }

    /// Flashback took it: what failed before is over.
    pub fn accepted(&self, access: &Access) {
        if !access.accepted.swap(true, Ordering::Relaxed) {
            self.0.sign_in.pace().accepted();
            self.0.tell_success(access.life);
        }
    }

    /// A fresh access was refused too.
    pub fn give_up(&self, access: &Arc<Access>, what: &str, status: &str) -> FlashbackError {
        self.0.forget(access);
        let error = FlashbackError::SignIn {
            what: what.to_owned(),
            status: status.to_owned(),
            retry_after: self.0.sign_in.pace().wait(Instant::now()),
        };
        self.0.tell_failure(&error);
        error
    }

    /// Classifies a second-factor request to a call with `access`: the token of a login is
    /// a limited one until that is answered. With any other token it is this call's refusal.
    pub fn second_factor(
        &self,
        access: &Arc<Access>,
        asked: FlashbackError,
        last: bool,
    ) -> FlashbackError {
        match &self.0.sign_in.auth {
            Auth::Login { totp: None, .. } => self.give_up(access, second_factor::NEEDED, "mfa"),
            Auth::Login { totp: Some(_), .. } if last => {
                let what = "Flashback asks for a second factor after it was answered";
                self.give_up(access, what, "mfa")
            }
            Auth::Login { totp: Some(_), .. } => FlashbackError::Refused {
                status: 401,
                what: "the access token is a limited one".to_owned(),
            },
            Auth::Token(_) | Auth::RefreshToken(_) => asked,
        }
    }

    /// The error in full: where Flashback is held back because it cannot be signed in to, that is
    /// the cause.
    pub fn explained(&self, error: FlashbackError) -> FlashbackError {
        match (error, &*self.0.trouble()) {
            (FlashbackError::HeldBack { retry_in }, Some(trouble)) => after(trouble, retry_in),
            (error, _) => error,
        }
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
                _ => inner.renew(&mut turn, Need::Now).await,
            }
        });
        task.await.unwrap_or_else(|_| {
            Err(FlashbackError::SignIn {
                what: "the sign-in was stopped half-way".to_owned(),
                status: "stopped".to_owned(),
                retry_after: None,
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
        tokio::spawn(async move { inner.renew(&mut turn, Need::Soon).await.map(drop) });
    }
}

impl Inner {
    fn current(&self) -> Option<Arc<Access>> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Access>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<FlashbackError>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, access: &Arc<Access>) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, access)) {
            *slot = None;
        }
    }

    async fn renew(&self, turn: &mut Turn, need: Need) -> Result<Arc<Access>, FlashbackError> {
        if let Some(wait) = self.sign_in.pace().wait(Instant::now()) {
            let error = self.too_often(turn, wait);
            turn.not_before = Some(Instant::now() + wait);
            if need == Need::Now {
                self.sign_in.exchange.lane.report(&error);
            }
            return Err(error);
        }
        if self.trouble().is_some() {
            // It gave a token that was refused, or was refused itself: what is left is the login.
            turn.means.refresh = None;
        }
        match self.sign_in.tokens(&mut turn.means, need).await {
            Ok((token, life)) => {
                turn.failed = None;
                turn.reason = None;
                turn.not_before = None;
                Ok(self.install(token, life))
            }
            Err(error) => {
                self.tell_failure(&error);
                let now = Instant::now();
                turn.failed = Some((now, error.clone()));
                if !matches!(error, FlashbackError::HeldBack { .. }) {
                    turn.reason = Some(error.clone());
                }
                turn.not_before = Some(now + self.patience(now));
                Err(error)
            }
        }
    }

    /// The error of a sign-in that is not tried: what was wrong with the last one.
    fn too_often(&self, turn: &Turn, wait: Duration) -> FlashbackError {
        let known = self.trouble().clone().or_else(|| turn.reason.clone());
        if let Some(error) = known {
            return after(&error, wait);
        }
        let error = FlashbackError::SignIn {
            what: "access tokens are accepted and then refused (401), again and again".to_owned(),
            status: "401".to_owned(),
            retry_after: Some(wait),
        };
        self.tell_failure(&error);
        error
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
        let mut slot = self.slot();
        let accepted = slot.as_ref().is_some_and(|held| {
            wire::same(&held.token, &token) && held.accepted.load(Ordering::Relaxed)
        });
        let access = Arc::new(Access {
            token,
            renew_at: now + renew_after,
            good_until: life.map(|life| now + life),
            life,
            accepted: AtomicBool::new(accepted),
        });
        *slot = Some(Arc::clone(&access));
        drop(slot);
        // A token at hand that could not be had for a while needs no second proof.
        if accepted && life.is_none() && self.trouble().is_some() {
            self.tell_success(life);
        }
        access
    }

    fn tell_success(&self, life: Option<Duration>) {
        *self.trouble() = None;
        self.sign_in.exchange.lane.signed_in(true);
        tracing::info!(
            event = event::SIGNED_IN,
            source = self.sign_in.exchange.lane.service(),
            method = self.sign_in.auth.method(),
            ttl_seconds = life.map(|life| life.as_secs()),
            "signed in to Flashback"
        );
    }

    /// Once a streak. An outage is the lane's to report.
    fn tell_failure(&self, error: &FlashbackError) {
        if matches!(
            error,
            FlashbackError::HeldBack { .. } | FlashbackError::Unavailable { .. }
        ) {
            return;
        }
        self.sign_in.exchange.lane.signed_in(false);
        if self.trouble().replace(error.clone()).is_some() {
            return;
        }
        tracing::error!(
            event = event::SIGN_IN_FAILED,
            source = self.sign_in.exchange.lane.service(),
            method = self.sign_in.auth.method(),
            error = %error,
            "cannot sign in to Flashback"
        );
    }
}

/// The error of a sign-in, with another wait.
fn after(error: &FlashbackError, wait: Duration) -> FlashbackError {
    match error {
        FlashbackError::SignIn { what, status, .. } => FlashbackError::SignIn {
            what: what.clone(),
            status: status.clone(),
            retry_after: Some(wait),
        },
        FlashbackError::Unavailable { what, status, .. } => FlashbackError::Unavailable {
            what: what.clone(),
            status: status.clone(),
            retry_after: Some(wait),
        },
        other => other.clone(),
    }
}
