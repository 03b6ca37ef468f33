//! Which keys read the same secret: its store is told of a version when all of them have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, KeyConfig};
use crate::model::{KeyId, SourceId};

/// Which enabled keys read which secret.
pub struct Readers(BTreeMap<(SourceId, String), Arc<[KeyId]>>);

impl Readers {
    /// By the configuration.
    pub fn new(config: &Config) -> Self {
        let mut readers: BTreeMap<_, Vec<KeyId>> = BTreeMap::new();
        // Of a store that is told nothing nobody needs to know.
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

    /// Those that read what `key` reads, itself included.
    pub fn of(&self, key: &KeyConfig) -> Arc<[KeyId]> {
        let readers = self
            .0
            .get(&(key.origin.source.clone(), key.origin.path.clone()));
        readers.cloned().unwrap_or_default()
    }
}
