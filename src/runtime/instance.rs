//! What was built from a configuration, and what it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use chrono::Utc;

use crate::config::Config;
use crate::engine::{Engine, KeyGuard, ManagedKey};
use crate::model::{KeyId, ReceiverId, SourceId, WorkspaceId};
use crate::notify::Receiver;
use crate::scheduler::{First, Scheduled, pace};
use crate::source::Source;
use crate::upstream::UpstreamView;

/// Everything a configuration asks for.
pub struct Runtime {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// What looks at keys.
    pub engine: Arc<Engine>,
    /// The enabled keys.
    pub managed_keys: BTreeMap<KeyId, Arc<ManagedKey>>,
    /// The sources.
    pub sources: BTreeMap<SourceId, Arc<dyn Source>>,
    /// Who is told of what happens.
    pub receivers: BTreeMap<ReceiverId, Arc<Receiver>>,
    /// The way to each service, under the name that metrics show.
    pub upstreams: BTreeMap<String, UpstreamView>,
    /// Keys that left the configuration while somebody looked at them: one that comes back
    /// meanwhile must not be looked at twice at once.
    pub(super) gone: BTreeMap<KeyId, Weak<ManagedKey>>,
}

impl Runtime {
    /// Tells from now on which services are there, in the place of `old`: what calls of a lane that
    /// was replaced find is told no more, and a source that was removed is forgotten.
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

    /// A key of this configuration, or of an earlier one that somebody still looks at.
    pub(super) fn known(&self, key: &KeyId) -> Option<Arc<ManagedKey>> {
        let gone = || self.gone.get(key).and_then(Weak::upgrade);
        self.managed_keys.get(key).cloned().or_else(gone)
    }

    /// The known keys that are not among `units`.
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

    /// The keys that `keys` names, all of them where it is empty.
    pub fn named(&self, keys: &[KeyId]) -> Vec<KeyId> {
        if keys.is_empty() {
            return self.config.keys.keys().cloned().collect();
        }
        keys.iter()
            .filter(|key| self.config.keys.contains_key(*key))
            .cloned()
            .collect()
    }

    /// When each key that this process holds is looked at; `first` says it of those that come anew.
    pub fn schedule(&self, first: impl Fn(&KeyId) -> First) -> Vec<Scheduled> {
        let held = self.engine.leases.keys();
        let is_held = |(id, _): &(&KeyId, &Arc<ManagedKey>)| match &held {
            Some(held) => held.contains(*id),
            None => true,
        };
        let scheduled = |(id, managed): (&KeyId, &Arc<ManagedKey>)| Scheduled {
            key: id.clone(),
            check: managed.config.check.clone(),
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

    /// The right to work on a key; `None` where somebody has it. A key that nobody could work on has
    /// no turn.
    pub fn set_aside(&self, key: &KeyId) -> Option<Option<KeyGuard>> {
        match self.known(key) {
            Some(managed) => managed.try_guard().map(Some),
            None => Some(None),
        }
    }

    /// Tells the metrics which keys there are, in place of `old`'s: one that is never looked at
    /// must show, too.
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

    /// Tells the metrics of a key that this process holds from now on.
    pub fn announce_key(&self, key: &KeyId) {
        if let Some(managed) = self.managed_keys.get(key) {
            self.announce_info(managed);
            self.announce_next(managed);
        }
    }

    /// Takes everything back that the metrics tell of a key.
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
        let interval = pace(&managed.config.check, now);
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
