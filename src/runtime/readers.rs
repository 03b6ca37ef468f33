//! Groups keys that read the same secret: a version is acknowledged to its source once all of them have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, KeyConfig};
use crate::model::{KeyId, SourceId};

/// The enabled keys that read each secret, of sources that accept acknowledgements.
pub struct Readers(BTreeMap<(SourceId, String), Arc<[KeyId]>>);

impl Readers {
    /// Groups the keys of a configuration.
    pub fn new(config: &Config) -> Self {
        let mut readers: BTreeMap<_, Vec<KeyId>> = BTreeMap::new();
        // Only sources that record live versions need the groups.
        let told = |key: &KeyConfig| {
            let source = config.sources.get(&key.origin.source);
            key.enabled && source.is_some_and(|source| source.acknowledge)
        };
        for (id, key) in config.keys.iter().filter(|(_, key)| told(key)) {
            let secret = (key.origin.source.clone(), key.origin.path.clone());
            readers.entry(secret).or_default().push(id.clone());
        }
        let shared = |(secret, keys): (_, Vec<KeyId>)| (secret, Arc::from(keys));
        Self(readers.into_iter().map(shared).collect())
    }

    /// Returns the keys that read the same secret as `key`, including itself.
    pub fn of(&self, key: &KeyConfig) -> Arc<[KeyId]> {
        let readers = self
            .0
            .get(&(key.origin.source.clone(), key.origin.path.clone()));
        readers.cloned().unwrap_or_default()
    }
}
