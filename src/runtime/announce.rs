//! Which keys there are, for the metrics.

use chrono::Utc;

use super::Runtime;
use crate::engine::ManagedKey;
use crate::model::{KeyId, SourceId, WorkspaceId};
use crate::scheduler::pace;

impl Runtime {
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
