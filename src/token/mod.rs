//! Keeps a token that works: got when it is first needed, renewed before it ends, replaced when it has
//! been refused.
//!
//! One [`TokenManager`] keeps one token for all callers. Whoever gets, renews or replaces it is alone, and
//! whoever waited for that takes its outcome, good or bad, so that many callers make one sign-in. Getting
//! one runs in a task of its own: a caller that goes away does not take a half-spent credential with it.
//! Renewal goes on behind the callers' backs while the token at hand is still good.
//!
//! What a sign-in is, an [`Issuer`] knows. Whether signing in works, a [`Standing`] says, once for each
//! change.

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

/// Whether a caller waits for a token, or the one at hand is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing can be done without it.
    Now,
    /// It is a renewal ahead of time.
    Soon,
}

/// The outcome of a sign-in or a renewal.
pub enum Issued<T> {
    /// Another token.
    New(T, Lease),
    /// More life for the token at hand.
    Renewed(Lease),
}

/// A request to an [`Issuer`].
pub struct Ask<'a, I: Issuer> {
    /// The token at hand, where it may be renewed.
    pub held: Option<&'a Held<I::Token>>,
    /// How urgent it is.
    pub need: Need,
    /// Why signing in has not worked since it last did.
    pub trouble: Option<&'a I::Error>,
}

/// Knows how to get a token.
#[async_trait]
pub trait Issuer: Send + Sync + Sized + 'static {
    /// The token.
    type Token: Send + Sync + 'static;
    /// Why there is none.
    type Error: Failure + Clone + Send + Sync + 'static;
    /// The state that one sign-in leaves for the next.
    type Means: Default + Send + 'static;

    /// Whether a token that was given is known to be accepted. Where it is not, the caller says so with
    /// [`TokenManager::works`].
    const PROVES: bool;

    /// The way to the service.
    fn upstream(&self) -> &Upstream;

    /// The name of the way to sign in, for logs.
    fn method(&self) -> &'static str;

    /// The error of a sign-in that was broken off.
    fn broken_off() -> Self::Error;

    /// Whether an error is an outage, which the lane reports, and says nothing about signing in.
    fn is_outage(error: &Self::Error) -> bool;

    /// Returns an error where no sign-in may be tried now.
    fn circuit_open(&self, _: &mut Self::Means, _: &Ask<'_, Self>) -> Option<Self::Error> {
        None
    }

    /// Gets a token, or more life for the one at hand.
    ///
    /// # Errors
    /// Why there is none.
    async fn issue(
        &self,
        means: &mut Self::Means,
        ask: Ask<'_, Self>,
    ) -> Result<Issued<Self::Token>, Self::Error>;
}

/// A token and the life it has left.
pub struct Held<T> {
    /// The token; the same one after a renewal.
    pub token: Arc<T>,
    /// When it ends.
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

/// Keeps the token of one service for all who call it.
pub struct TokenManager<I: Issuer>(Arc<Inner<I>>);

struct Inner<I: Issuer> {
    issuer: I,
    held: watch::Sender<Option<Held<I::Token>>>,
    turn: Arc<Mutex<Turn<I>>>,
    standing: Standing<I::Error>,
}

/// The state that only the task which changes the token may touch.
struct Turn<I: Issuer> {
    means: I::Means,
    /// How the last sign-in ended, if badly, and when.
    failed: Option<(Instant, I::Error)>,
}

impl<I: Issuer> TokenManager<I> {
    /// Does nothing yet: the first caller signs in.
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

    /// Returns who issues the tokens.
    pub fn issuer(&self) -> &I {
        &self.0.issuer
    }

    /// Returns the token at hand, if it has not ended.
    pub fn current(&self) -> Option<Arc<I::Token>> {
        self.0.living().map(|held| held.token)
    }

    /// Returns a token that is thought to work.
    ///
    /// # Errors
    /// Why there is none.
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

    /// Returns the token after `refused`: another's, where somebody has got one already.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn after(&self, refused: &Arc<I::Token>) -> Result<Arc<I::Token>, I::Error> {
        self.forget(refused);
        self.sign_in(Some(Arc::clone(refused))).await
    }

    /// Uses `refused` no more.
    pub fn forget(&self, refused: &Arc<I::Token>) {
        self.0.held.send_if_modified(|held| {
            held.take_if(|held| Arc::ptr_eq(&held.token, refused))
                .is_some()
        });
    }

    /// Takes note that the service accepts the token, which lives for `life`.
    pub fn works(&self, life: Option<Duration>) {
        self.0.standing.works(self.0.issuer.upstream(), life);
    }

    /// Takes note that a token was refused.
    pub fn failed(&self, error: &I::Error) {
        self.0.failed(error);
    }

    /// Returns why signing in has not worked since it last did.
    pub fn trouble(&self) -> Option<I::Error> {
        self.0.standing.trouble()
    }

    /// Renews the token whenever that is due, also while nobody calls; never ends.
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

    /// Renews the token where that is still due. Where it fails, the old one serves on.
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

    /// An outage is the lane's to report.
    fn failed(&self, error: &I::Error) {
        if !I::is_outage(error) {
            self.standing.failed(self.issuer.upstream(), error);
        }
    }
}
