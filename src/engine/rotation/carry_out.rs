//! The steps of a rotation that change something: on record, at the provider, or in the source.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use uuid::Builder;

use super::find_out::FoundOut;
use super::{Rotator, Then, doubt, events, revoked};
use crate::engine::minted::MintedValue;
use crate::engine::problem::{BrokenOff, Fault};
use crate::failpoint;
use crate::lease::Lost;
use crate::model::{
    Action, HistoryRow, NextKey, OldKey, Outcome, ProviderKeyId, Rotation, Version,
};
use crate::provider::ProviderError;
use crate::rotation::{Question, Step};
use crate::secret::Credentials;
use crate::source::{Replacement, SourceError, StoreOutcome};
use crate::upstream::Failure as _;

impl Rotator<'_> {
    /// Carries out a step that is no question.
    pub(super) async fn carry_out(&mut self, step: Step) -> Result<Then, Fault> {
        match step {
            Step::Save(rotation, change) => {
                let before = self.rotation();
                self.save(*rotation, None).await?;
                failpoint::reach("rotation_saved");
                let (engine, managed) = (self.ask.engine, self.ask.managed);
                events::changed(managed, &before, &self.rotation(), &change);
                revoked::report_change(engine, managed, &before, self.record, &change);
                Ok(Then::GoOn)
            }
            Step::Ask(question) => self.ask(question).await,
            Step::Rest(rest) => Ok(Then::Rest(rest)),
            step => {
                // What was found out is of before, and the next decision must not go by it.
                self.found_out = FoundOut::begin();
                let then = self.take_effect(step).await;
                if self.found_out.newest.is_none() {
                    self.found_out = FoundOut::begin();
                }
                then
            }
        }
    }

    async fn take_effect(&mut self, step: Step) -> Result<Then, Fault> {
        match step {
            Step::Mint(next) => self.mint(next).await,
            Step::Store => self.store().await,
            Step::Discard(id) => self.discard(&id).await,
            Step::Disable(id) => self.disable(&id).await,
            Step::Enable(id) => self.enable(&id).await,
            Step::Delete(id) => self.delete(&id).await,
            Step::Save(..) | Step::Ask(_) | Step::Rest(_) => Ok(Then::GoOn),
        }
    }

    /// Runs a call with an effect at the provider or in the source, for as long as the key is leased.
    async fn effect<T>(&self, call: impl Future<Output = T>) -> Result<T, Fault> {
        let (engine, key) = (self.ask.engine, &self.ask.managed.key);
        let done = engine.leases.write(key, self.record.lease, call).await;
        done.map_err(|Lost| Fault::BrokenOff(BrokenOff::Lost))
    }

    async fn mint(&mut self, next: NextKey) -> Result<Then, Fault> {
        let managed = self.ask.managed;
        let may_store = managed.source.may_store(&managed.config.origin.path);
        if let Err(error) = self.ask.unless_stopped(may_store).await? {
            // Nothing is made that could not be stored.
            return self.source_failed(&error).await;
        }
        let NextKey::Minting { name, slot, .. } = &next else {
            return Ok(Then::GoOn);
        };
        let (name, slot) = (name.clone(), slot.clone());
        self.save(self.rotation().minting(next, Utc::now()), None)
            .await?;
        events::started(managed, self.config, &name);
        failpoint::reach("mint_intended");
        let begun = Instant::now();
        let minted = self
            .effect(self.provider.mint(&name, slot.as_ref()))
            .await?;
        failpoint::reach("mint_answered");
        let rotation = self.rotation();
        match minted {
            Ok(minted) => {
                let fingerprint = self
                    .ask
                    .engine
                    .fingerprinter
                    .credentials(&minted.credentials);
                self.guard.minted = Some(Box::new(MintedValue {
                    fingerprint,
                    credentials: Arc::new(minted.credentials),
                }));
                let token = Builder::from_random_bytes(rand::random()).into_uuid();
                let token = token.to_string();
                let next = rotation.minted(minted.id.clone(), fingerprint, token, Utc::now());
                let row = self.row(Action::Mint, &minted.id, begun.elapsed());
                self.save(next, row).await?;
                events::minted(managed, &minted.id, &name);
                failpoint::reach("mint_recorded");
                Ok(Then::GoOn)
            }
            Err(error) => {
                if error.is_certain() {
                    self.save(rotation.without_next(), None).await?;
                }
                self.provider_failed(None, &error).await
            }
        }
    }

    /// Returns the value that was made, if it is still in memory and is what the record is about.
    pub(super) fn value_of(&self, rotation: &Rotation) -> Option<Arc<Credentials>> {
        let minted = self.guard.minted.as_deref()?;
        match &rotation.next {
            Some(NextKey::Minted { fingerprint, .. }) if *fingerprint == minted.fingerprint => {
                Some(Arc::clone(&minted.credentials))
            }
            _ => None,
        }
    }

    async fn store(&mut self) -> Result<Then, Fault> {
        let managed = self.ask.managed;
        let rotation = self.rotation();
        let (
            Some(credentials),
            Some(NextKey::Minted {
                id,
                expected,
                token,
                doubtful,
                ..
            }),
        ) = (self.value_of(&rotation), &rotation.next)
        else {
            return Ok(Then::GoOn);
        };
        let (origin, doubtful) = (&managed.config.origin, *doubtful);
        let begun = Instant::now();
        let stored = {
            let replacement = Replacement {
                expected: expected.as_ref(),
                fields: &origin.fields,
                credentials: &credentials,
                token,
            };
            self.effect(managed.source.store(&origin.path, &replacement))
                .await?
        };
        failpoint::reach("store_answered");
        match stored {
            Ok(StoreOutcome::Stored(version)) => {
                let id = id.clone();
                self.stored(&id, version, begun.elapsed()).await
            }
            // It may be an earlier write of ours that is in the way.
            Ok(StoreOutcome::Conflict) if doubtful => {
                let why = "the source has another version than was expected";
                self.failed(None, why, None).await
            }
            Ok(StoreOutcome::Conflict) => self.ask(Question::Newest).await,
            Err(error) => self.source_failed(&error).await,
        }
    }

    async fn stored(
        &mut self,
        id: &ProviderKeyId,
        version: Version,
        elapsed: Duration,
    ) -> Result<Then, Fault> {
        let managed = self.ask.managed;
        self.guard.minted = None;
        let row = self.row(Action::Store, id, elapsed);
        let row = row.map(|row| HistoryRow {
            version: version.clone(),
            ..row
        });
        let next = self.rotation().stored(version.clone(), Utc::now());
        self.save(next, row).await?;
        events::stored(managed, id, &version);
        failpoint::reach("store_recorded");
        // Every key that reads the secret is woken, this one too.
        let feed = &self.ask.engine.feed;
        feed.found(managed.source.id(), &managed.config.origin.path, &version);
        Ok(Then::at(Utc::now(), None))
    }

    async fn discard(&mut self, id: &ProviderKeyId) -> Result<Then, Fault> {
        let begun = Instant::now();
        if let Err(error) = self.effect(self.provider.delete(id)).await? {
            return self.provider_failed(None, &error).await;
        }
        failpoint::reach("key_discarded");
        self.guard.minted = None;
        let row = self.row(Action::Revoke, id, begun.elapsed());
        let next = self.rotation().discarded(Utc::now());
        self.save(next, row).await?;
        events::discarded(self.ask.managed, id);
        Ok(Then::GoOn)
    }

    async fn disable(&mut self, id: &ProviderKeyId) -> Result<Then, Fault> {
        let begun = Instant::now();
        self.say_idle(id);
        if let Err(error) = self.effect(self.provider.disable(id)).await? {
            return self.provider_failed(Some(id), &error).await;
        }
        failpoint::reach("key_disabled");
        let row = self.row(Action::Disable, id, begun.elapsed());
        let before = self.rotation();
        self.save(before.disabled(id, Utc::now()), row).await?;
        let (engine, managed) = (self.ask.engine, self.ask.managed);
        events::disabled(managed, id);
        revoked::report(engine, managed, &before, self.record, id, "disabled");
        Ok(Then::GoOn)
    }

    async fn enable(&mut self, id: &ProviderKeyId) -> Result<Then, Fault> {
        let begun = Instant::now();
        if let Err(error) = self.effect(self.provider.enable(id)).await? {
            return self.provider_failed(Some(id), &error).await;
        }
        failpoint::reach("key_enabled");
        let row = self.row(Action::Enable, id, begun.elapsed());
        let next = self.rotation().enabled(id, doubt(), Utc::now());
        self.save(next, row).await?;
        events::enabled(self.ask.managed, id);
        Ok(Then::GoOn)
    }

    async fn delete(&mut self, id: &ProviderKeyId) -> Result<Then, Fault> {
        let begun = Instant::now();
        self.say_idle(id);
        if let Err(error) = self.effect(self.provider.delete(id)).await? {
            return self.provider_failed(Some(id), &error).await;
        }
        failpoint::reach("key_deleted");
        let row = self.row(Action::Revoke, id, begun.elapsed());
        let before = self.rotation();
        self.save(before.without(id, None, Utc::now()), row).await?;
        let (engine, managed) = (self.ask.engine, self.ask.managed);
        events::deleted(managed, id);
        revoked::report(engine, managed, &before, self.record, id, "deleted");
        Ok(Then::GoOn)
    }

    /// Logs that nobody uses an old key any more, before it is revoked.
    fn say_idle(&self, id: &ProviderKeyId) {
        let rotation = self.rotation();
        let is_active =
            |old: &&OldKey| old.key.id == *id && old.disabled_since().is_none() && !old.compromised;
        if let Some(old) = rotation.old.iter().find(is_active) {
            events::idle(self.ask.managed, old, self.config);
        }
    }

    /// Records that the provider does not answer, or refuses; the pass ends.
    pub(super) async fn provider_failed(
        &mut self,
        id: Option<&ProviderKeyId>,
        error: &ProviderError,
    ) -> Result<Then, Fault> {
        let why = format!("provider `{}`: {error}", self.config.provider);
        self.failed(id, &why, error.class().retry_after()).await
    }

    /// Records that the source does not answer, or refuses; the pass ends.
    pub(super) async fn source_failed(&mut self, error: &SourceError) -> Result<Then, Fault> {
        let why = format!("source `{}`: {error}", self.ask.managed.source.id());
        self.failed(None, &why, error.class().retry_after()).await
    }

    /// Records that a step about an old key, or about the next one, has failed; the pass ends.
    async fn failed(
        &mut self,
        id: Option<&ProviderKeyId>,
        why: &str,
        retry_after: Option<Duration>,
    ) -> Result<Then, Fault> {
        let before = self.rotation();
        let now = Utc::now();
        let next = before.failed(id, why, retry_after, now);
        let next_at = next.next_try(now);
        self.save(next, None).await?;
        events::stuck(self.ask.managed, &before, &self.rotation());
        Ok(Then::at(next_at, Some(why.to_owned())))
    }

    /// Returns the line of the audit trail for something that was done to a key of the provider.
    fn row(&self, action: Action, id: &ProviderKeyId, elapsed: Duration) -> Option<HistoryRow> {
        let managed = self.ask.managed;
        let live = self.record.live.as_ref().map(|live| live.version.clone());
        let version = live.or_else(|| self.record.seen.clone());
        Some(HistoryRow {
            at: Utc::now(),
            key: managed.key.clone(),
            source: managed.source.id().clone(),
            name: managed.config.settings.name.clone(),
            ai_llm_id: self.record.ai_llm_id.clone(),
            previous_version: None,
            version: version.unwrap_or_else(|| Version::new("-")),
            action,
            outcome: Outcome::Succeeded,
            elapsed,
            verified_by: None,
            reason: format!("the key {id} of the provider `{}`", self.config.provider),
            error: None,
        })
    }
}
