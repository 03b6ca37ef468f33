//! What of a fleet this process works on, where several share the keys.

use std::sync::Arc;

use super::Runtime;
use crate::engine::{KeyGuard, ManagedKey};
use crate::model::KeyId;
use crate::scheduler::{First, Scheduled};

impl Runtime {
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
}
