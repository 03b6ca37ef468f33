//! Adds to a configuration the keys that its rules have made.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::Config;
use crate::discovery::Problem;
use crate::discovery::plan::{self, Key, Taken};
use crate::model::{Discovered, KeyConfig, KeyId, Origin, RuleId, Target};

/// The discoveries of each rule.
pub type Discoveries = BTreeMap<RuleId, Discovered>;

impl Config {
    /// Returns this configuration with the keys of these discoveries in place of those that it had of others, and what
    /// keeps more from being keys.
    #[must_use]
    pub fn with(&self, discoveries: &Discoveries) -> (Self, Vec<(RuleId, Problem)>) {
        let written = || self.keys.iter().filter(|(_, key)| key.rule.is_none());
        let is_configuration = |key: &KeyConfig| key.settings.target == Target::Configuration;
        let taken = Taken {
            ids: written().map(|(id, _)| id).collect(),
            names: written()
                .filter(|(_, key)| is_configuration(key))
                .map(|(id, key)| ((&key.settings.workspace_id, &*key.settings.name), id))
                .collect(),
        };
        let rules = self.discover.iter().filter_map(|(id, config)| {
            let discovered = discoveries.get(id)?;
            (discovered.source == config.rule.source).then_some((&config.rule, discovered))
        });
        let (found, problems) = plan::keys(rules, taken);
        let found = found.into_iter().map(|key| self.discovered(key));
        let written = written().map(|(id, key)| (id.clone(), Arc::clone(key)));
        let keys = written.chain(found).collect();
        let mut config = self.clone();
        config.keys = keys;
        (config, problems)
    }

    /// Returns a key that was discovered. One that has not changed is the same as before.
    fn discovered(&self, key: Key<'_>) -> (KeyId, Arc<KeyConfig>) {
        let rule = &self.discover[&key.rule.id];
        let config = KeyConfig {
            settings: key.secret.settings.clone(),
            origin: Origin {
                source: rule.rule.source.clone(),
                path: key.path.to_owned(),
                fields: key.secret.fields.clone(),
            },
            check: rule.check.clone(),
            check_with_events: rule.check_with_events,
            verify: rule.verify,
            rotate: None,
            max_age: rule.max_age,
            enabled: true,
            may_create: true,
            rule: Some(rule.rule.id.clone()),
        };
        let before = self.keys.get(&key.id).filter(|before| ***before == config);
        let config = before.map_or_else(|| Arc::new(config), Arc::clone);
        (key.id, config)
    }
}
