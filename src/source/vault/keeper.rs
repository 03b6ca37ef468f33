//! Keeps a token that works: acquired when it is first needed, renewed before it ends, replaced when
//! it cannot be renewed or has died.
//!
//! One thing happens to the token at a time ([`Keeper::turn`]), and everybody who waited for that
//! looks again before acting, so that many keys make one sign-in. A 403 is told apart from a dead
//! token by asking Vault about the token itself, and the answer is remembered for a while, so that
//! many refused keys make one question.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use vaultrs::api::EndpointMiddleware;
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest};

use super::lease::Lease;
use super::refusal::{is_denial, sign_in_refused, unexpected};
use super::sign_in::{Login, VaultCredentials};
use super::token::{About, Grant, Granted, LookedUp, Token};
use super::wire::{Answer, Wire};
use crate::lane::{Failure, Lane};
use crate::model::SourceId;
use crate::retry::Class;
use crate::source::SourceError;
use crate::telemetry::event;

/// A token that Vault knew is not asked about again for this long.
const KNOWN_GOOD: Duration = Duration::from_secs(10);

/// A token whose policies do not let it look itself up cannot be told from a dead one; after a 403
/// it is replaced, but no more often than this.
const BLIND: Duration = Duration::from_secs(5 * 60);

/// The token in use and the life it has left.
#[derive(Clone)]
struct Session {
    token: Arc<Token>,
    lease: Lease,
}

/// Keeps the token of one source fresh.
pub(super) struct Keeper {
    source: SourceId,
    wire: Wire,
    namespace: Option<String>,
    credentials: VaultCredentials,
    lane: Lane,
    session: watch::Sender<Option<Session>>,
    turn: tokio::sync::Mutex<Turn>,
}

/// What whoever changes the token must hold.
#[derive(Default)]
struct Turn {
    generation: u64,
    /// The last sign-in failed, and that was said.
    failing: bool,
}

/// A sign-in that fails while the old token still works: a refusal must not hold the lane back.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Gentle(SourceError);

impl Failure for Gentle {
    fn class(&self) -> Class {
        match &self.0 {
            SourceError::SignIn { .. } => Class::Refused,
            other => other.class(),
        }
    }
    fn status(&self) -> String {
        self.0.status()
    }
    fn timed_out(after: Duration) -> Self {
        Self(SourceError::timed_out(after))
    }
    fn held_back(retry_in: Duration) -> Self {
        Self(SourceError::held_back(retry_in))
    }
}

impl Keeper {
    /// Does nothing yet: the first call signs in.
    pub fn new(
        source: SourceId,
        address: &str,
        namespace: Option<String>,
        ca_file: Option<PathBuf>,
        credentials: VaultCredentials,
        lane: Lane,
    ) -> Self {
        let wire = Wire::new(address, ca_file, credentials.identity());
        Self {
            source,
            wire,
            namespace,
            credentials,
            lane,
            session: watch::Sender::new(None),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The way to this Vault.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The sign-in method's name.
    pub fn method(&self) -> &'static str {
        self.credentials.method()
    }

    /// A token that is thought to work.
    pub async fn token(&self) -> Result<Arc<Token>, SourceError> {
        if let Some(token) = self.living() {
            return Ok(token);
        }
        let mut turn = self.turn.lock().await;
        match self.living() {
            Some(token) => Ok(token),
            None => self.sign_in(&mut turn).await,
        }
    }

    /// After a 403: another token where `token` turns out to be dead, none where it is well and
    /// a policy is what refuses.
    pub async fn doubt(&self, token: &Token) -> Result<Option<Arc<Token>>, SourceError> {
        let mut turn = self.turn.lock().await;
        if let Some(current) = self.living()
            && current.generation != token.generation
        {
            return Ok(Some(current));
        }
        if token.is_trusted() || self.look_up(token).await?.is_some() {
            return Ok(None);
        }
        self.session.send_replace(None);
        self.sign_in(&mut turn).await.map(Some)
    }

    /// After a 403 to a token that has just been made: whether it can be asked about. Where it
    /// cannot, the next refusals are put down to policy.
    pub async fn vet(&self, fresh: &Token) {
        if let Ok(None) = self.look_up(fresh).await {
            fresh.trust(BLIND);
        }
    }

    /// What Vault says of `token`; `None` where it refuses to say, which it does of a dead one.
    pub async fn look_up(&self, token: &Token) -> Result<Option<About>, SourceError> {
        let call = async {
            let answer = token.call(LookupTokenSelfRequest {}).await?;
            match answer.status {
                200..=299 => Ok(Some(answer.json::<LookedUp>()?.data)),
                status if is_denial(status) => Ok(None),
                _ => Err(unexpected(&answer, "looking the token up")),
            }
        };
        let about = self.lane.call("lookup_self", call).await?;
        if about.is_some() {
            token.trust(KNOWN_GOOD);
        }
        Ok(about)
    }

    /// Renews the token, or replaces it, whenever that is due; never ends.
    pub async fn tend(&self) {
        let mut changes = self.session.subscribe();
        loop {
            let session = changes.borrow_and_update().clone();
            let due = session.as_ref().and_then(|session| session.lease.due());
            match (session, due) {
                (Some(session), Some(due)) => tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep_until(due) => self.refresh(&session).await,
                },
                _ => {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn living(&self) -> Option<Arc<Token>> {
        let session = self.session.borrow();
        let session = session.as_ref()?;
        session
            .lease
            .lives(Instant::now())
            .then(|| Arc::clone(&session.token))
    }

    async fn refresh(&self, due: &Session) {
        let mut turn = self.turn.lock().await;
        let Some(session) = self.session.borrow().clone() else {
            return;
        };
        if session.token.generation != due.token.generation {
            return;
        }
        let result = match self.renew(&session).await {
            Ok(Some(lease)) => {
                let token = Arc::clone(&session.token);
                self.session.send_replace(Some(Session { token, lease }));
                return;
            }
            Ok(None) => self.sign_in(&mut turn).await.map(drop),
            Err(error) => Err(error),
        };
        if result.is_err() {
            // The lane has reported an outage, or the sign-in a refusal; the old token serves on.
            let quiet = self.lane.down_for().unwrap_or_default();
            let lease = session.lease.postponed(quiet, Instant::now());
            let token = session.token;
            self.session.send_replace(Some(Session { token, lease }));
        }
    }

    /// Asks for the same life again. `None` where that cannot be had and a new token must be.
    async fn renew(&self, session: &Session) -> Result<Option<Lease>, SourceError> {
        let Some(increment) = session.lease.increment() else {
            return Ok(None);
        };
        let request = RenewTokenSelfRequest {
            increment: Some(format!("{}s", increment.as_secs())),
        };
        let asked_at = Instant::now();
        let call = async {
            let answer = session.token.call(request).await?;
            match answer.status {
                200..=299 => Ok(answer.json::<Granted>()?.auth),
                400..=404 => Ok(None),
                _ => Err(unexpected(&answer, "renewing the token")),
            }
        };
        let grant = self.lane.call("renew_self", call).await?;
        Ok(grant.and_then(|grant| {
            session
                .lease
                .renewed(asked_at, grant.lease_duration, grant.renewable)
        }))
    }

    /// Signs in, and says so once for each success and each streak of failures.
    async fn sign_in(&self, turn: &mut Turn) -> Result<Arc<Token>, SourceError> {
        let method = self.method();
        match self.acquire(turn.generation + 1).await {
            Ok(session) => {
                turn.generation += 1;
                turn.failing = false;
                self.lane.signed_in(true);
                let ttl_seconds = session.lease.full().map(|life| life.as_secs());
                tracing::info!(event = event::SIGNED_IN, source = %self.source, method, ttl_seconds, "signed in");
                let token = Arc::clone(&session.token);
                self.session.send_replace(Some(session));
                Ok(token)
            }
            Err(error) => {
                // An outage is the lane's to report.
                let outage = matches!(
                    error,
                    SourceError::Unavailable { .. } | SourceError::HeldBack { .. }
                );
                if !outage {
                    self.lane.signed_in(false);
                }
                if !outage && !std::mem::replace(&mut turn.failing, true) {
                    tracing::error!(event = event::SIGN_IN_FAILED, source = %self.source, method, %error, "cannot sign in");
                }
                Err(error)
            }
        }
    }

    async fn acquire(&self, generation: u64) -> Result<Session, SourceError> {
        let login = self.credentials.prepare().await?;
        let mut middle = EndpointMiddleware {
            token: String::new(),
            version: "v1".to_owned(),
            wrap: None,
            namespace: self.namespace.clone(),
        };
        let asked_at = Instant::now();
        match login {
            Login::Token(text) => {
                middle.token = text;
                let token = Arc::new(Token::new(generation, self.wire.clone(), middle));
                let about = self.recognise(&token).await?;
                let lease = Lease::adopted(
                    asked_at,
                    about.ttl,
                    about.creation_ttl,
                    about.renewable == Some(true),
                );
                Ok(Session { token, lease })
            }
            Login::Request(request) => {
                let call = async {
                    let answer = request.send(&self.wire.alone(), &middle).await?;
                    self.granted(&answer)
                };
                let mut grant = self.call_gently("login", call).await?;
                middle.token = std::mem::take(&mut grant.client_token);
                let lease = Lease::new(asked_at, grant.lease_duration, grant.renewable);
                let token = Arc::new(Token::new(generation, self.wire.clone(), middle));
                Ok(Session { token, lease })
            }
        }
    }

    /// Looks up a token that was given to us, which tells its life and whether it is one.
    async fn recognise(&self, token: &Token) -> Result<About, SourceError> {
        let call = async {
            let answer = token.call(LookupTokenSelfRequest {}).await?;
            match answer.status {
                200..=299 => Ok(answer.json::<LookedUp>()?.data),
                status if is_denial(status) => Err(SourceError::SignIn {
                    what: format!(
                        "the token was refused ({status}): it is expired, revoked, of another namespace, or its policies lack `read` on `auth/token/lookup-self`"
                    ),
                    status: status.to_string(),
                }),
                _ => Err(sign_in_refused(&answer, &self.credentials.asked())),
            }
        };
        self.call_gently("lookup_self", call).await
    }

    fn granted(&self, answer: &Answer) -> Result<Grant, SourceError> {
        let asked = self.credentials.asked();
        let refused = |what| SourceError::SignIn {
            what: format!("{asked}: {what}"),
            status: answer.status.to_string(),
        };
        if !matches!(answer.status, 200..=299) {
            return Err(sign_in_refused(answer, &asked));
        }
        let grant = answer.json::<Granted>()?.auth;
        let grant = grant.ok_or_else(|| refused("the answer holds no token"))?;
        if grant.client_token.is_empty() {
            return Err(refused(
                "no token was given: a second factor is asked for, which a daemon has not",
            ));
        }
        if http::HeaderValue::from_str(&grant.client_token).is_err() {
            return Err(refused("the answer's token cannot be one"));
        }
        Ok(grant)
    }

    /// A call that gets a token: its refusal counts as an outage where no other token works.
    async fn call_gently<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        if self.living().is_none() {
            return self.lane.call(operation, call).await;
        }
        let gentle = async { call.await.map_err(Gentle) };
        self.lane
            .call(operation, gentle)
            .await
            .map_err(|Gentle(error)| error)
    }
}
