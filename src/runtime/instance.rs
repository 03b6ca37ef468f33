//! The objects that were built from a configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use chrono::Utc;

use super::by_secret::BySecret;
use super::credential::credential;
use crate::config::{Check, Config};
use crate::credential::{SecretRef, SharedCredential};
use crate::engine::{Engine, KeyGuard, ManagedKey};
use crate::model::{EventsHealth, KeyId, ReceiverId, SourceId, WorkspaceId};
use crate::notify::Receiver;
use crate::scheduler::{First, Scheduled, pace};
use crate::source::Source;
use crate::trigger::{self, Feed, Trigger, TriggerError};
use crate::upstream::UpstreamView;

/// The objects that were built from a configuration: sources, target, receivers and keys.
pub struct Runtime {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Checks keys.
    pub engine: Arc<Engine>,
    /// The enabled keys.
    pub managed_keys: BTreeMap<KeyId, Arc<ManagedKey>>,
    /// The enabled keys by the secrets that they read.
    pub by_secret: BySecret,
    /// What the triggers have heard.
    pub feed: Arc<Feed>,
    /// The sources.
    pub sources: BTreeMap<SourceId, Arc<dyn Source>>,
    /// The receivers of notifications.
    pub receivers: BTreeMap<ReceiverId, Arc<Receiver>>,
    /// The upstream of each service, by the service's label in metrics.
    pub upstreams: BTreeMap<String, UpstreamView>,
    /// Keys that left the configuration during a check. If one comes back in the meantime, it must not be checked
    /// twice at once.
    pub(super) gone: BTreeMap<KeyId, Weak<ManagedKey>>,
}

impl Runtime {
    /// Reports the services of this runtime to the metrics in place of those of `old`. Upstreams that were replaced
    /// report nothing from now on, and sources that were removed are forgotten.
    pub fn report_services(&self, old: Option<&Self>) {
        let metrics = &self.engine.metrics;
        for (service, upstream) in old.iter().flat_map(|old| &old.upstreams) {
            let now = self.upstreams.get(service);
            if now.is_none_or(|now| !now.is(upstream)) {
                upstream.replaced();
            }
            if now.is_none() {
                metrics.forget_source(&SourceId::new(service));
            }
        }
        for (service, upstream) in &self.upstreams {
            metrics.service_up(service, upstream.is_up());
        }
    }

    /// Returns a key of this configuration, or of an earlier one whose check is still running.
    pub(super) fn known(&self, key: &KeyId) -> Option<Arc<ManagedKey>> {
        let gone = || self.gone.get(key).and_then(Weak::upgrade);
        self.managed_keys.get(key).cloned().or_else(gone)
    }

    /// Returns the known keys that are not among `managed_keys`.
    pub(super) fn left_by(
        &self,
        managed_keys: &BTreeMap<KeyId, Arc<ManagedKey>>,
    ) -> BTreeMap<KeyId, Weak<ManagedKey>> {
        let here = self
            .managed_keys
            .iter()
            .map(|(id, managed)| (id, Arc::downgrade(managed)));
        let earlier = self.gone.iter().map(|(id, managed)| (id, managed.clone()));
        here.chain(earlier)
            .filter(|(id, managed)| !managed_keys.contains_key(*id) && managed.strong_count() > 0)
            .map(|(id, managed)| (id.clone(), managed))
            .collect()
    }

    /// Returns the keys that `keys` names, or all keys if it is empty.
    pub fn named(&self, keys: &[KeyId]) -> Vec<KeyId> {
        if keys.is_empty() {
            return self.config.keys.keys().cloned().collect();
        }
        keys.iter()
            .filter(|key| self.config.keys.contains_key(*key))
            .cloned()
            .collect()
    }

    /// Returns the schedule of each key that this process has a lease on; `first` gives the first check of a key that
    /// is new.
    pub fn schedule(&self, first: impl Fn(&KeyId) -> First) -> Vec<Scheduled> {
        let held = self.engine.leases.keys();
        let is_held = |(id, _): &(&KeyId, &Arc<ManagedKey>)| match &held {
            Some(held) => held.contains(*id),
            None => true,
        };
        let scheduled = |(id, managed): (&KeyId, &Arc<ManagedKey>)| Scheduled {
            key: id.clone(),
            check: self.check_of(managed),
            source: managed.config.origin.source.clone(),
            workspace: managed.config.settings.workspace_id.clone(),
            first: first(id),
        };
        self.managed_keys
            .iter()
            .filter(is_held)
            .map(scheduled)
            .collect()
    }

    /// Returns the times at which a key is checked at present: less often while each change in its source is heard of.
    pub fn check_of(&self, managed: &ManagedKey) -> Check {
        let config = &managed.config;
        config.check_while(self.feed.is_up(&config.origin.source))
    }

    /// Returns the health of a source's events, if it has any.
    pub fn events(&self, id: &SourceId) -> Option<EventsHealth> {
        self.config.sources.get(id)?.events.as_ref()?;
        Some(EventsHealth {
            up: self.feed.is_up(id),
            error: self.feed.why_down(id),
        })
    }

    /// Resolves a secret reference of this configuration.
    pub fn credential(&self, reference: &SecretRef) -> SharedCredential {
        credential(reference, &self.sources)
    }

    /// Builds the trigger of a source.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if its settings cannot be those of a trigger, or if the source has none.
    pub fn trigger(&self, id: &SourceId) -> Result<Box<dyn Trigger>, TriggerError> {
        let source = self.config.sources.get(id);
        let Some((source, events)) = source.and_then(|it| Some((it, it.events.as_ref()?))) else {
            return Err(TriggerError("it is not configured any more".to_owned()));
        };
        events.build(trigger::Context {
            id,
            source: source.kind.as_ref(),
            secret: &|reference| self.credential(reference),
        })
    }

    /// Returns the guard of a key; `None` if another task has it. A key that is not known has no guard.
    pub fn set_aside(&self, key: &KeyId) -> Option<Option<KeyGuard>> {
        match self.known(key) {
            Some(managed) => managed.try_guard().map(Some),
            None => Some(None),
        }
    }

    /// Reports the keys to the metrics in place of those of `old`, so that a key which is never checked shows, too.
    pub fn announce(&self, old: Option<&Self>) {
        for (key, managed) in old.iter().flat_map(|old| &old.managed_keys) {
            let new = self.managed_keys.get(key);
            if new.is_none_or(|new| place(new) != place(managed)) {
                self.withdraw(managed);
            }
        }
        let leases = &self.engine.leases;
        for (key, managed) in self.managed_keys.iter().filter(|(key, _)| leases.has(key)) {
            self.announce_info(managed);
            if old.is_none_or(|old| !old.managed_keys.contains_key(key)) {
                self.announce_next(managed);
            }
        }
        if !leases.is_shared() {
            self.engine.metrics.sharing(1, self.managed_keys.len());
        }
    }

    /// Reports a key to the metrics that this process has a lease on from now on.
    pub fn announce_key(&self, key: &KeyId) {
        if let Some(managed) = self.managed_keys.get(key) {
            self.announce_info(managed);
            self.announce_next(managed);
        }
    }

    /// Removes everything about a key from the metrics.
    pub fn retire_key(&self, key: &KeyId) {
        if let Some(managed) = self.managed_keys.get(key) {
            self.withdraw(managed);
        }
        self.engine.metrics.forget_key(key);
    }

    fn announce_info(&self, managed: &ManagedKey) {
        let (source, workspace) = place(managed);
        self.engine.metrics.key(&managed.key, source, workspace);
    }

    fn announce_next(&self, managed: &ManagedKey) {
        let now = Utc::now();
        let interval = pace(&self.check_of(managed), now);
        self.engine.metrics.next_check(&managed.key, now, interval);
    }

    fn withdraw(&self, managed: &ManagedKey) {
        let (source, workspace) = place(managed);
        self.engine.metrics.key_was(&managed.key, source, workspace);
    }
}

fn place(managed: &ManagedKey) -> (&SourceId, &WorkspaceId) {
    (
        &managed.config.origin.source,
        &managed.config.settings.workspace_id,
    )
}
