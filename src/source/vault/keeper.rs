//! Obtains and renews the tokens of one Vault, and distinguishes a dead token from a denial by a policy.
//!
//! Both give a 403. So Vault is asked about the token itself, and the answer is remembered for a while, so that many
//! denied keys cause one question.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;
use vaultrs::api::EndpointMiddleware;
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest};

use super::refusal::{is_denial, sign_in_refused, token_refused, unexpected};
use super::sign_in::{Login, VaultCredentials};
use super::token::{About, Grant, Granted, LookedUp, Token, life};
use super::wire::{Answer, Wire};
use crate::retry::Class;
use crate::source::contract::SourceError;
use crate::token::{Ask, Held, Issued, Issuer, Lease, Need, TokenManager};
use crate::upstream::{Failure, Upstream};

/// The time for which a token that Vault knew is not asked about again.
const KNOWN_GOOD: Duration = Duration::from_secs(10);

/// The shortest time between replacements of a token whose policies do not allow it to look itself up. After a 403 it
/// cannot be distinguished from a dead one.
const BLIND: Duration = Duration::from_secs(5 * 60);

/// Keeps the token of one source fresh.
pub(super) struct Keeper {
    tokens: TokenManager<SignIn>,
    doubting: Mutex<()>,
}

/// Signs in to one Vault.
struct SignIn {
    wire: Wire,
    namespace: Option<String>,
    credentials: VaultCredentials,
    upstream: Upstream,
}

/// A sign-in that fails while the old token still works: a refusal must not open the circuit.
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
    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        Self(SourceError::circuit_open(retry_in, cause))
    }
}

impl Keeper {
    /// Does nothing yet: the first call signs in.
    pub fn new(
        address: &str,
        namespace: Option<String>,
        ca_file: Option<PathBuf>,
        credentials: VaultCredentials,
        upstream: Upstream,
    ) -> Self {
        let wire = Wire::new(address, ca_file, credentials.identity());
        Self {
            tokens: TokenManager::new(SignIn {
                wire,
                namespace,
                credentials,
                upstream,
            }),
            doubting: Mutex::default(),
        }
    }

    /// Returns the upstream of this Vault.
    pub fn upstream(&self) -> &Upstream {
        self.tokens.issuer().upstream()
    }

    /// Returns the name of the sign-in method.
    pub fn method(&self) -> &'static str {
        self.tokens.issuer().method()
    }

    /// Returns a token that is believed to work.
    pub async fn token(&self) -> Result<Arc<Token>, SourceError> {
        self.tokens.token().await
    }

    /// Renews or replaces the token whenever that is due. Never returns.
    pub async fn tend(&self) {
        self.tokens.tend().await;
    }

    /// Checks `token` after a 403. Returns another token if it is dead, and `None` if it is valid and a policy denies
    /// the request.
    pub async fn doubt(&self, token: &Arc<Token>) -> Result<Option<Arc<Token>>, SourceError> {
        let _one_question = self.doubting.lock().await;
        if let Some(current) = self.tokens.current()
            && !Arc::ptr_eq(&current, token)
        {
            return Ok(Some(current));
        }
        if token.is_trusted() || self.look_up(token).await?.is_some() {
            return Ok(None);
        }
        self.tokens.after(token).await.map(Some)
    }

    /// Checks a new token after a 403. If it may not look itself up, the next denials are attributed to a policy.
    pub async fn vet(&self, fresh: &Token) {
        if let Ok(None) = self.look_up(fresh).await {
            fresh.trust(BLIND);
        }
    }

    /// Looks `token` up. Returns `None` if Vault denies that, as it does for a dead token.
    pub async fn look_up(&self, token: &Token) -> Result<Option<About>, SourceError> {
        let call = async {
            let answer = token.call(LookupTokenSelfRequest {}).await?;
            match answer.status {
                200..=299 => Ok(Some(answer.json::<LookedUp>()?.data)),
                status if is_denial(status) => Ok(None),
                _ => Err(unexpected(&answer, "looking the token up")),
            }
        };
        let about = self.upstream().call("lookup_self", call).await?;
        if about.is_some() {
            token.trust(KNOWN_GOOD);
        }
        Ok(about)
    }
}

#[async_trait]
impl Issuer for SignIn {
    type Token = Token;
    type Error = SourceError;
    /// The number of tokens so far.
    type Means = u64;
    const PROVES: bool = true;

    fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    fn method(&self) -> &'static str {
        self.credentials.method()
    }

    fn broken_off() -> SourceError {
        SourceError::SignIn {
            what: "the sign-in was stopped half-way".to_owned(),
            status: "stopped".to_owned(),
        }
    }

    fn is_outage(error: &SourceError) -> bool {
        !matches!(
            error,
            SourceError::SignIn { .. } | SourceError::Denied { .. } | SourceError::Invalid { .. }
        )
    }

    async fn issue(
        &self,
        generation: &mut u64,
        ask: Ask<'_, Self>,
    ) -> Result<Issued<Token>, SourceError> {
        if let Some(held) = ask.held
            && let Some(lease) = self.renew(held).await?
        {
            return Ok(Issued::Renewed(lease));
        }
        let (token, lease) = self.acquire(*generation + 1, ask.need).await?;
        *generation += 1;
        Ok(Issued::New(token, lease))
    }
}

impl SignIn {
    /// Asks for the same life again. `None` where that cannot be had and a new token must be.
    async fn renew(&self, held: &Held<Token>) -> Result<Option<Lease>, SourceError> {
        let Some(increment) = held.lease.increment() else {
            return Ok(None);
        };
        let request = RenewTokenSelfRequest {
            increment: Some(format!("{}s", increment.as_secs())),
        };
        let asked_at = Instant::now();
        let call = async {
            let answer = held.token.call(request).await?;
            match answer.status {
                200..=299 => Ok(answer.json::<Granted>()?.auth),
                400..=404 => Ok(None),
                _ => Err(unexpected(&answer, "renewing the token")),
            }
        };
        let grant = self.upstream.call("renew_self", call).await?;
        Ok(grant.and_then(|grant| held.lease.renewed(asked_at, grant.life(), grant.renewable)))
    }

    async fn acquire(&self, generation: u64, need: Need) -> Result<(Token, Lease), SourceError> {
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
                let token = Token::new(generation, self.wire.clone(), middle);
                let about = self.recognise(&token, need).await?;
                let lease = Lease::adopted(
                    asked_at,
                    life(about.ttl),
                    Duration::from_secs(about.creation_ttl),
                    about.renewable == Some(true),
                );
                Ok((token, lease))
            }
            Login::Request(request) => {
                let call = async {
                    let answer = request.send(&self.wire.alone(), &middle).await?;
                    granted(&self.credentials, &answer)
                };
                let mut grant = self.call_gently("login", need, call).await?;
                middle.token = std::mem::take(&mut grant.client_token);
                let lease = Lease::new(asked_at, grant.life(), grant.renewable);
                Ok((Token::new(generation, self.wire.clone(), middle), lease))
            }
        }
    }

    /// Looks up a token from the configuration, to validate it and to learn its lifetime.
    async fn recognise(&self, token: &Token, need: Need) -> Result<About, SourceError> {
        let call = async {
            let answer = token.call(LookupTokenSelfRequest {}).await?;
            match answer.status {
                200..=299 => Ok(answer.json::<LookedUp>()?.data),
                status if is_denial(status) => Err(token_refused(&answer)),
                _ => Err(sign_in_refused(&answer, &self.credentials.asked(), None)),
            }
        };
        self.call_gently("lookup_self", need, call).await
    }

    /// Makes a call that obtains a token. Its refusal counts as an outage if no other token works.
    async fn call_gently<T>(
        &self,
        operation: &'static str,
        need: Need,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        if need == Need::Now {
            return self.upstream.call(operation, call).await;
        }
        let gentle = async { call.await.map_err(Gentle) };
        self.upstream
            .call(operation, gentle)
            .await
            .map_err(|Gentle(error)| error)
    }
}

/// Returns the token in the answer to a sign-in.
pub(super) fn granted(
    credentials: &VaultCredentials,
    answer: &Answer,
) -> Result<Grant, SourceError> {
    let asked = credentials.asked();
    let refused = |what| SourceError::SignIn {
        what: format!("{asked}: {what}"),
        status: answer.status.to_string(),
    };
    if !matches!(answer.status, 200..=299) {
        let unless = credentials.what_a_denial_may_mean();
        return Err(sign_in_refused(answer, &asked, unless));
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
