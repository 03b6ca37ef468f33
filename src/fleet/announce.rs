//! Which keys there are, for the metrics.

use chrono::Utc;

use super::Fleet;
use crate::engine::Unit;
use crate::scheduler::pace;

impl Fleet {
    /// Tells the metrics which keys there are, in place of `old`'s: one that is never looked at
    /// must show, too.
    pub fn announce(&self, old: Option<&Self>) {
        let metrics = &self.engine.metrics;
        let place = |unit: &Unit| {
            let (source, settings) = (&unit.config.source, &unit.config.settings);
            (source.clone(), settings.workspace_id.clone())
        };
        for (key, unit) in old.iter().flat_map(|old| &old.units) {
            if self
                .units
                .get(key)
                .is_none_or(|new| place(new) != place(unit))
            {
                let (source, workspace) = place(unit);
                metrics.key_was(key, &source, &workspace);
            }
        }
        let now = Utc::now();
        for (key, unit) in &self.units {
            let (source, workspace) = place(unit);
            metrics.key(key, &source, &workspace);
            if old.is_none_or(|old| !old.units.contains_key(key)) {
                metrics.next_check(key, now, pace(&unit.config.check, now));
            }
        }
    }
}
