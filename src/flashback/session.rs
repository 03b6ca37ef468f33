//! The access token in use: when to sign in for another, and what a refusal of it means.
//!
//! A [`TokenManager`] keeps the token alive. Beyond that, Flashback may refuse a token that it has just given: a sign-in
//! counts as successful once a call with its token was accepted.
//!
//! Trouble with signing in belongs to the account and not to a key. It begins with a sign-in that
//! fails or a fresh token that is refused, is logged once, and ends when Flashback accepts a token.
//! Until then callers get its error at once, and sign-ins are tried at the [pace](super::pace) of a
//! human being.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::FlashbackError;
use super::exchange::Exchange;
use super::pace::Pace;
use super::second_factor;
use super::sign_in::{Auth, Means, SignIn, cannot_have};
use crate::secret::Secret;
use crate::token::{Ask, Issued, Issuer, Lease, Need, TokenManager};
use crate::upstream::Upstream;

/// A token that Flashback is expected to take.
pub(super) struct Access {
    /// The bearer token.
    pub token: Secret,
    /// Its lifetime, if known.
    life: Option<Duration>,
    /// `true` if Flashback has accepted it.
    accepted: AtomicBool,
}

/// The sign-in in use, and what the next one needs.
pub(super) struct Session(TokenManager<SignIn>);

impl Session {
    pub fn new(auth: Auth, exchange: Arc<Exchange>) -> Self {
        Self(TokenManager::new(SignIn {
            auth,
            exchange,
            pace: Mutex::new(Pace::default()),
        }))
    }

    /// Returns the word for how it signs in.
    pub fn method(&self) -> &'static str {
        self.0.issuer().auth.method()
    }

    /// Returns the access in use.
    pub async fn access(&self) -> Result<Arc<Access>, FlashbackError> {
        self.0.token().await
    }

    /// Returns the error for a 401 to a call with `access`: [`FlashbackError::Refused`] if another sign-in may help,
    /// and [`FlashbackError::SignIn`] if no way of signing in is left.
    pub async fn refused(&self, access: &Arc<Access>) -> FlashbackError {
        if let Auth::Token(credential) = &self.0.issuer().auth {
            let unchanged = match credential.fetch().await {
                Ok(token) => token.is_same(&access.token),
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

    /// Returns the access to use after `refused` got a 401: a new one, unless another caller has one already.
    pub async fn renewed(&self, refused: &Arc<Access>) -> Result<Arc<Access>, FlashbackError> {
        self.0.issuer().pace().refused();
        self.0.after(refused).await
    }

    /// Notes that Flashback has accepted an access, which ends the trouble with signing in.
    pub fn accepted(&self, access: &Access) {
        if !access.accepted.swap(true, Ordering::Relaxed) {
            self.0.issuer().pace().accepted();
            self.0.works(access.life);
        }
    }

    /// Gives an access up that was refused although it is fresh, and returns the error.
    pub fn give_up(&self, access: &Arc<Access>, what: &str, status: &str) -> FlashbackError {
        self.0.forget(access);
        let error = FlashbackError::SignIn {
            what: what.to_owned(),
            status: status.to_owned(),
            retry_after: self.0.issuer().pace().wait(Instant::now()),
        };
        self.0.failed(&error);
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
        match &self.0.issuer().auth {
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

    /// Returns the error with its cause: if calls are not made because Flashback cannot be signed in to, that error.
    pub fn explained(&self, error: FlashbackError) -> FlashbackError {
        match (error, &self.0.trouble()) {
            (FlashbackError::CircuitOpen { retry_in, .. }, Some(trouble)) => {
                after(trouble, retry_in)
            }
            (error, _) => error,
        }
    }
}

#[async_trait]
impl Issuer for SignIn {
    type Token = Access;
    type Error = FlashbackError;
    type Means = Means;
    const PROVES: bool = false;

    fn upstream(&self) -> &Upstream {
        &self.exchange.upstream
    }

    fn method(&self) -> &'static str {
        self.auth.method()
    }

    fn broken_off() -> FlashbackError {
        FlashbackError::SignIn {
            what: "the sign-in was stopped half-way".to_owned(),
            status: "stopped".to_owned(),
            retry_after: None,
        }
    }

    fn is_outage(error: &FlashbackError) -> bool {
        matches!(
            error,
            FlashbackError::CircuitOpen { .. } | FlashbackError::Unavailable { .. }
        )
    }

    /// Returns an error if no further sign-in is allowed yet: that of the last sign-in, or that tokens are accepted and
    /// then refused.
    fn circuit_open(&self, means: &mut Means, ask: &Ask<'_, Self>) -> Option<FlashbackError> {
        let wait = self.pace().wait(Instant::now())?;
        let error = match ask.trouble.or(means.reason.as_ref()) {
            Some(known) => after(known, wait),
            None => FlashbackError::SignIn {
                what: "access tokens are accepted and then refused (401), again and again"
                    .to_owned(),
                status: "401".to_owned(),
                retry_after: Some(wait),
            },
        };
        if ask.need == Need::Now {
            self.exchange.upstream.report(&error);
        }
        Some(error)
    }

    async fn issue(
        &self,
        means: &mut Means,
        ask: Ask<'_, Self>,
    ) -> Result<Issued<Access>, FlashbackError> {
        if ask.trouble.is_some() {
            // It gave a token that was refused, or was refused itself: what is left is the login.
            means.refresh = None;
        }
        let (token, life) = match self.tokens(means, ask.need).await {
            Ok(bearer) => bearer,
            Err(error) => {
                if !matches!(error, FlashbackError::CircuitOpen { .. }) {
                    means.reason = Some(error.clone());
                }
                return Err(error);
            }
        };
        means.reason = None;
        let now = Instant::now();
        let lease = match life {
            Some(life) => Lease::new(now, Some(life), false),
            None => Lease::unknown(now),
        };
        let known = ask.held.is_some_and(|held| {
            held.token.token.is_same(&token) && held.token.accepted.load(Ordering::Relaxed)
        });
        Ok(match known {
            true => Issued::Renewed(lease),
            false => Issued::New(
                Access {
                    token,
                    life,
                    accepted: AtomicBool::new(false),
                },
                lease,
            ),
        })
    }
}

/// Returns the error of a sign-in with another wait.
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
