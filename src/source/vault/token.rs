//! A token, and the answers of Vault that contain or describe one.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustify::endpoint::Endpoint;
use serde::Deserialize;
use tokio::time::Instant;
use vaultrs::api::EndpointMiddleware;
use zeroize::Zeroize;

use super::wire::{Answer, Wire};
use crate::source::contract::SourceError;
use crate::words;

/// A token and the client it is used with.
pub(super) struct Token {
    /// Tells tokens apart without comparing them.
    pub generation: u64,
    wire: Wire,
    /// Holds the token as a plain `String`, as vaultrs wants it; wiped on drop.
    middle: EndpointMiddleware,
    /// The time until which a 403 is attributed to a policy without asking Vault.
    trusted_until: Mutex<Option<Instant>>,
}

impl Token {
    pub fn new(generation: u64, wire: Wire, middle: EndpointMiddleware) -> Self {
        Self {
            generation,
            wire,
            middle,
            trusted_until: Mutex::default(),
        }
    }

    /// Sends a request with this token.
    pub async fn call<E: Endpoint>(&self, request: E) -> Result<Answer, SourceError> {
        self.wire.call(&self.middle, request).await
    }

    /// Returns the part of Vault's text about this token that may be shown.
    fn shown(&self, text: &str) -> String {
        words::shown(text, &[&self.middle.token])
    }

    /// Says whose token it is, what it may do and how long it lives, by what Vault says about it.
    pub fn described(&self, about: About) -> String {
        let policies = about.policies.unwrap_or_default().join(", ");
        let [policies, name] = [policies, about.display_name].map(|text| self.shown(&text));
        let life = match life(about.ttl) {
            None => "never expires".to_owned(),
            Some(life) => format!("lives {}", humantime::format_duration(life)),
        };
        format!("as {name} with the policies {policies}; the token {life}")
    }

    /// Attributes a 403 to a policy for this time.
    pub fn trust(&self, time: Duration) {
        *self.trusted() = Some(Instant::now() + time);
    }

    /// Returns `true` if a 403 is attributed to a policy now.
    pub fn is_trusted(&self) -> bool {
        self.trusted().is_some_and(|until| Instant::now() < until)
    }

    fn trusted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.trusted_until.lock()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.middle.token.zeroize();
    }
}

/// The answer to a login or a renewal.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub auth: Option<Grant>,
}

/// A token that Vault has issued. vaultrs' own type is not used: it prints the token, and refuses answers without some
/// fields that are not needed here.
#[derive(Deserialize)]
pub(super) struct Grant {
    pub client_token: String,
    /// The lifetime in seconds; 0 for a token that never expires.
    pub lease_duration: u64,
    pub renewable: bool,
}

impl Grant {
    /// Returns the lifetime of the token; `None` if it never expires.
    pub fn life(&self) -> Option<Duration> {
        life(self.lease_duration)
    }
}

/// Converts a lifetime in Vault's seconds; 0 means that it never ends, as for the root token.
pub(super) fn life(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.client_token.zeroize();
    }
}

/// The answer to a look-up of a token.
#[derive(Deserialize)]
pub(super) struct LookedUp {
    pub data: About,
}

/// Vault's description of a token. The answer also contains the token, which is not read.
#[derive(Deserialize)]
pub(super) struct About {
    /// Seconds left; 0 for a token that never expires.
    pub ttl: u64,
    /// Seconds it was given at first.
    pub creation_ttl: u64,
    pub renewable: Option<bool>,
    /// Null where it has none.
    pub policies: Option<Vec<String>>,
    pub display_name: String,
}
