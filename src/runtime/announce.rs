//! Which keys there are, for the metrics.

use chrono::Utc;

use super::Runtime;
use crate::engine::Unit;
use crate::model::{KeyId, SourceId, WorkspaceId};
use crate::scheduler::pace;

impl Runtime {
    /// Tells the metrics which keys there are, in place of `old`'s: one that is never looked at
    /// must show, too.
    pub fn announce(&self, old: Option<&Self>) {
        for (key, unit) in old.iter().flat_map(|old| &old.units) {
            let new = self.units.get(key);
            if new.is_none_or(|new| place(new) != place(unit)) {
                self.withdraw(unit);
            }
        }
        let holdings = &self.engine.holdings;
        for (key, unit) in self.units.iter().filter(|(key, _)| holdings.has(key)) {
            self.announce_info(unit);
            if old.is_none_or(|old| !old.units.contains_key(key)) {
                self.announce_next(unit);
            }
        }
        if !holdings.is_shared() {
            self.engine.metrics.sharing(1, self.units.len());
        }
    }

    /// Tells the metrics of a key that this process holds from now on.
    pub fn announce_key(&self, key: &KeyId) {
        if let Some(unit) = self.units.get(key) {
            self.announce_info(unit);
            self.announce_next(unit);
        }
    }

    /// Takes everything back that the metrics tell of a key.
    pub fn retire_key(&self, key: &KeyId) {
        if let Some(unit) = self.units.get(key) {
            self.withdraw(unit);
        }
        self.engine.metrics.forget_key(key);
    }

    fn announce_info(&self, unit: &Unit) {
        let (source, workspace) = place(unit);
        self.engine.metrics.key(&unit.key, source, workspace);
    }

    fn announce_next(&self, unit: &Unit) {
        let now = Utc::now();
        let interval = pace(&unit.config.check, now);
        self.engine.metrics.next_check(&unit.key, now, interval);
    }

    fn withdraw(&self, unit: &Unit) {
        let (source, workspace) = place(unit);
        self.engine.metrics.key_was(&unit.key, source, workspace);
    }
}

fn place(unit: &Unit) -> (&SourceId, &WorkspaceId) {
    (
        &unit.config.origin.source,
        &unit.config.settings.workspace_id,
    )
}
