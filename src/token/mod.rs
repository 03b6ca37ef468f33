//! Keeps a token valid: it is obtained when it is first needed, renewed before it expires, and replaced when
//! it was rejected.
//!
//! One [`TokenManager`] keeps one token for all callers. Only one of them obtains, renews or replaces it at a
//! time, and those that waited for that share the outcome, good or bad, so that many callers make one
//! sign-in. A token is obtained in a task of its own: a caller that is cancelled does not leave a credential
//! half used. Renewal happens in the background while the current token is still valid.
//!
//! An [`Issuer`] knows how to sign in. A [`Standing`] reports whether signing in works, once for each change.

mod lease;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::Instant;

use crate::upstream::{Failure, Upstream, carried_over};

pub use lease::Lease;
pub use standing::Standing;

/// The urgency of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// There is no valid token: the caller waits for one.
    Now,
    /// The current token is still valid and is renewed ahead of time.
    Soon,
}

/// The outcome of a sign-in or a renewal.
pub enum Issued<T> {
    /// A new token.
    New(T, Lease),
    /// A longer lifetime for the current token.
    Renewed(Lease),
}

/// A request to an [`Issuer`].
pub struct Ask<'a, I: Issuer> {
    /// The current token, if it may be renewed.
    pub held: Option<&'a Held<I::Token>>,
    /// The urgency.
    pub need: Need,
    /// The error of the last sign-in, if it failed.
    pub trouble: Option<&'a I::Error>,
}

/// Obtains tokens from a service.
#[async_trait]
pub trait Issuer: Send + Sync + Sized + 'static {
    /// The type of the token.
    type Token: Send + Sync + 'static;
    /// The error of a sign-in that failed.
    type Error: Failure + Clone + Send + Sync + 'static;
    /// The state that one sign-in leaves for the next.
    type Means: Default + Send + 'static;

    /// `true` if a new token is known to be accepted by the service. If not, the caller reports that with
    /// [`TokenManager::works`].
    const PROVES: bool;

    /// Returns the upstream of the service.
    fn upstream(&self) -> &Upstream;

    /// Returns the name of the sign-in method, for logs.
    fn method(&self) -> &'static str;

    /// Returns the error of a sign-in that was interrupted.
    fn broken_off() -> Self::Error;

    /// Returns `true` if an error is an outage, which the upstream reports and which says nothing about
    /// signing in.
    fn is_outage(error: &Self::Error) -> bool;

    /// Returns an error if no sign-in may be attempted now.
    fn circuit_open(&self, _: &mut Self::Means, _: &Ask<'_, Self>) -> Option<Self::Error> {
        None
    }

    /// Obtains a token, or a longer lifetime for the current one.
    ///
    /// # Errors
    /// Returns the reason why there is none.
    async fn issue(
        &self,
        means: &mut Self::Means,
        ask: Ask<'_, Self>,
    ) -> Result<Issued<Self::Token>, Self::Error>;
}

/// A token and its remaining lifetime.
pub struct Held<T> {
    /// The token; the same one after a renewal.
    pub token: Arc<T>,
    /// The lifetime of the token.
    pub lease: Lease,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self {
            token: Arc::clone(&self.token),
            lease: self.lease,
        }
    }
}

/// Keeps the token of one service for all callers.
pub struct TokenManager<I: Issuer>(Arc<Inner<I>>);

struct Inner<I: Issuer> {
    issuer: I,
    held: watch::Sender<Option<Held<I::Token>>>,
    turn: Arc<Mutex<Turn<I>>>,
    standing: Standing<I::Error>,
}

/// The state that only the task which changes the token may access.
struct Turn<I: Issuer> {
    means: I::Means,
    /// The time and the error of the last sign-in, if it failed.
    failed: Option<(Instant, I::Error)>,
}

impl<I: Issuer> TokenManager<I> {
    /// Creates a manager without a token: the first caller signs in.
    pub fn new(issuer: I) -> Self {
        let standing = Standing::new(issuer.method());
        Self(Arc::new(Inner {
            issuer,
            held: watch::Sender::new(None),
            turn: Arc::new(Mutex::new(Turn {
                means: I::Means::default(),
                failed: None,
            })),
            standing,
        }))
    }

    /// Returns the issuer of the tokens.
    pub fn issuer(&self) -> &I {
        &self.0.issuer
    }

    /// Returns the current token, if it has not expired.
    pub fn current(&self) -> Option<Arc<I::Token>> {
        self.0.living().map(|held| held.token)
    }

    /// Returns a token that is believed to be valid, signing in if there is none.
    ///
    /// # Errors
    /// Returns the error of the sign-in.
    pub async fn token(&self) -> Result<Arc<I::Token>, I::Error> {
        let Some(held) = self.0.living() else {
            return self.sign_in(None).await;
        };
        if held.lease.is_due(Instant::now())
            && let Ok(turn) = Arc::clone(&self.0.turn).try_lock_owned()
        {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.renew(turn).await });
        }
        Ok(held.token)
    }

    /// Returns a token in place of `refused`, which the service rejected. Signs in unless another caller has
    /// done so already.
    ///
    /// # Errors
    /// Returns the error of the sign-in.
    pub async fn after(&self, refused: &Arc<I::Token>) -> Result<Arc<I::Token>, I::Error> {
        self.forget(refused);
        self.sign_in(Some(Arc::clone(refused))).await
    }

    /// Stops using the token `refused`, which the service rejected.
    pub fn forget(&self, refused: &Arc<I::Token>) {
        self.0.held.send_if_modified(|held| {
            held.take_if(|held| Arc::ptr_eq(&held.token, refused))
                .is_some()
        });
    }

    /// Records that the service accepts the token, which lives for `life`.
    pub fn works(&self, life: Option<Duration>) {
        self.0.standing.works(self.0.issuer.upstream(), life);
    }

    /// Records that the service rejected a token.
    pub fn failed(&self, error: &I::Error) {
        self.0.failed(error);
    }

    /// Returns the error of the last sign-in, if it failed.
    pub fn trouble(&self) -> Option<I::Error> {
        self.0.standing.trouble()
    }

    /// Renews the token whenever that is due, even if there are no callers. Never returns.
    pub async fn tend(&self) {
        let mut changes = self.0.held.subscribe();
        loop {
            let held = changes.borrow_and_update().clone();
            let due = held.and_then(|held| held.lease.due());
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    return;
                },
                () = until_due => {
                    let turn = Arc::clone(&self.0.turn).lock_owned().await;
                    self.0.renew(turn).await;
                }
            }
        }
    }

    async fn sign_in(&self, refused: Option<Arc<I::Token>>) -> Result<Arc<I::Token>, I::Error> {
        let asked = Instant::now();
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(carried_over(async move {
            let mut turn = inner.turn.lock().await;
            if let Some(held) = inner.living()
                && !refused.is_some_and(|refused| Arc::ptr_eq(&refused, &held.token))
            {
                return Ok(held.token);
            }
            match &turn.failed {
                Some((at, error)) if *at >= asked => Err(error.clone()),
                _ => inner.issue(&mut turn, None, Need::Now).await,
            }
        }));
        task.await.unwrap_or_else(|_| Err(I::broken_off()))
    }
}

impl<I: Issuer> Inner<I> {
    fn living(&self) -> Option<Held<I::Token>> {
        let held = self.held.borrow();
        held.as_ref()
            .filter(|held| held.lease.lives(Instant::now()))
            .cloned()
    }

    /// Renews the token if that is still due. If it fails, the old token stays in use.
    async fn renew(&self, mut turn: OwnedMutexGuard<Turn<I>>) {
        let held = self.held.borrow().clone();
        let Some(held) = held.filter(|held| held.lease.is_due(Instant::now())) else {
            return;
        };
        if let Err(error) = self.issue(&mut turn, Some(&held), Need::Soon).await {
            let asked = error.class().retry_after().unwrap_or_default();
            let quiet = self
                .issuer
                .upstream()
                .down_for()
                .unwrap_or_default()
                .max(asked);
            let lease = held.lease.postponed(quiet, Instant::now());
            self.held.send_if_modified(|now| match now {
                Some(now) if Arc::ptr_eq(&now.token, &held.token) => {
                    now.lease = lease;
                    true
                }
                _ => false,
            });
        }
    }

    async fn issue(
        &self,
        turn: &mut Turn<I>,
        held: Option<&Held<I::Token>>,
        need: Need,
    ) -> Result<Arc<I::Token>, I::Error> {
        let trouble = self.standing.trouble();
        let ask = Ask {
            held,
            need,
            trouble: trouble.as_ref(),
        };
        if let Some(error) = self.issuer.circuit_open(&mut turn.means, &ask) {
            if trouble.is_none() {
                self.failed(&error);
            }
            return Err(error);
        }
        let issued = self.issuer.issue(&mut turn.means, ask).await;
        let (token, lease) = match issued {
            Ok(Issued::New(token, lease)) => (Arc::new(token), lease),
            Ok(Issued::Renewed(lease)) => {
                let held = held.expect("what is renewed was held");
                (Arc::clone(&held.token), lease)
            }
            Err(error) => {
                self.failed(&error);
                turn.failed = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        turn.failed = None;
        let is_new = !held.is_some_and(|held| Arc::ptr_eq(&held.token, &token));
        if (I::PROVES && is_new) || (!is_new && trouble.is_some()) {
            self.standing.works(self.issuer.upstream(), lease.full());
        }
        let now = Held {
            token: Arc::clone(&token),
            lease,
        };
        self.held.send_replace(Some(now));
        Ok(token)
    }

    /// Records a failed sign-in. An outage is not recorded here, because the upstream reports it.
    fn failed(&self, error: &I::Error) {
        if !I::is_outage(error) {
            self.standing.failed(self.issuer.upstream(), error);
        }
    }
}
