//! A key of the demo that is rotated end to end: made at a provider, stored, delivered, verified, and the old one
//! revoked.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;

use super::configuration::MINTED;
use super::directory::text;
use super::show::{arrival, say, tell, until, until_known};
use crate::flashback::sandbox::Sandbox;
use crate::flashback::sandbox::provider::{Fake, FakeKey};
use crate::model::{KeyCommand, KeyId, RotateCommand, Rotation};
use crate::runtime::Runtime;
use crate::state::StateStore;

/// What is rotated, and where each step is seen.
pub struct Minting<'a> {
    /// The provider.
    pub provider: &'a Fake,
    /// Flashback.
    pub sandbox: &'a Sandbox,
    /// The file of the secret.
    pub secret: &'a Path,
    /// The running engine.
    pub runtime: Arc<Runtime>,
    /// Its state.
    pub store: &'a dyn StateStore,
}

impl Minting<'_> {
    /// Rotates the key, as `rotate` does, and shows each step as it is taken.
    ///
    /// # Errors
    /// Returns the reason, for people, if a step is not taken in time.
    pub async fn show(&self) -> Result<(), String> {
        let key = KeyId::new("code");
        let Err(error) = self.steps(&key).await else {
            return Ok(());
        };
        let record = self.store.load(&key).await.map_err(text)?;
        let rotation = record.rotation.as_deref();
        let why = rotation.and_then(|rotation| rotation.reasons().next());
        Err(match why.or(record.look.rotation.as_deref()) {
            Some(why) => format!("{error}: {why}"),
            None => error,
        })
    }

    async fn steps(&self, key: &KeyId) -> Result<(), String> {
        let adopted = |rotation: &Rotation| rotation.current.is_some();
        self.known(key, "the key is found at the provider", adopted)
            .await?;
        say(&format!(
            "\nNow the rotator makes the new key itself: `{MINTED}` has one of a provider, a local OpenAI.",
        ));
        let started = Instant::now();
        let at = Utc::now();
        let command = RotateCommand {
            compromised: false,
            even_if_broken: false,
            at,
        };
        let (runtime, asked) = (Arc::clone(&self.runtime), key.clone());
        let rotates = tokio::spawn(async move {
            let managed = &runtime.managed_keys[&asked];
            runtime
                .engine
                .settle(managed, KeyCommand::Rotate(command))
                .await
        });
        let new = until("a new key", || self.other_than_first()).await?;
        let line = "the provider has a second key, under a name that was on record before";
        tell(started, "minted", line);
        let is_stored = || std::fs::read_to_string(self.secret).is_ok_and(|now| now == new.value);
        until("the new key in the store", || is_stored().then_some(())).await?;
        tell(started, "stored", "the store has it; the old one works on");
        arrival(self.sandbox, MINTED, &new.value).await?;
        tell(started, "delivered", &format!("`{MINTED}` has it"));
        let verified = |rotation: &Rotation| rotation.times.verified_at > Some(at);
        self.known(key, "the verification", verified).await?;
        tell(started, "verified", "Flashback says that it works");
        let is_alone = || match &self.provider.keys()[..] {
            [only] => (only.value == new.value).then_some(()),
            _ => None,
        };
        until("the end of the old key", is_alone).await?;
        let line = "the overlap of 1 s is over and nobody uses the old key: deleted";
        tell(started, "revoked", line);
        let calls = self.provider.calls();
        let made = calls.iter().filter(|call| call.starts_with("POST")).count();
        if made != 1 {
            return Err(format!("{made} keys were made"));
        }
        rotates.await.map_err(text)?;
        Ok(())
    }

    /// Returns the key that the provider has made beside the first.
    fn other_than_first(&self) -> Option<FakeKey> {
        self.provider.keys().into_iter().nth(1)
    }

    /// Waits until the record of the rotation is so.
    async fn known(
        &self,
        key: &KeyId,
        what: &str,
        is_so: impl Fn(&Rotation) -> bool,
    ) -> Result<(), String> {
        let asked = async || {
            let record = self.store.load(key).await.map_err(text)?;
            let rotation = record.rotation.as_deref();
            Ok(rotation.is_some_and(&is_so).then_some(()))
        };
        until_known(what, asked).await
    }
}
