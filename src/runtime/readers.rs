//! Groups keys that read the same secret: a version is acknowledged to its source, and an old key is revoked, once all of
//! them have the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, KeyConfig};
use crate::model::{KeyId, SourceId};

type Secret = (SourceId, String);

/// The keys that read each secret of which that matters.
pub struct Readers {
    /// The enabled ones, of sources that accept acknowledgements.
    told: BTreeMap<Secret, Arc<[KeyId]>>,
    /// All of them, of secrets that are rotated, each with whether it is enabled.
    rotated: BTreeMap<Secret, Vec<(KeyId, bool)>>,
}

impl Readers {
    /// Groups the keys of a configuration.
    pub fn new(config: &Config) -> Self {
        let mut told: BTreeMap<_, Vec<KeyId>> = BTreeMap::new();
        let is_told = |key: &KeyConfig| {
            let source = config.sources.get(&key.origin.source);
            key.enabled && source.is_some_and(|source| source.acknowledge)
        };
        for (id, key) in config.keys.iter().filter(|(_, key)| is_told(key)) {
            told.entry(secret(key)).or_default().push(id.clone());
        }
        let rotated = config.keys.values().filter(|key| key.rotate.is_some());
        let mut rotated: BTreeMap<_, Vec<_>> =
            rotated.map(|key| (secret(key), Vec::new())).collect();
        for (id, key) in &config.keys {
            if let Some(readers) = rotated.get_mut(&secret(key)) {
                readers.push((id.clone(), key.enabled));
            }
        }
        let shared = |(secret, keys): (_, Vec<KeyId>)| (secret, Arc::from(keys));
        Self {
            told: told.into_iter().map(shared).collect(),
            rotated,
        }
    }

    /// Returns the keys that read the same secret as `key`, including itself.
    pub fn of(&self, key: &KeyConfig) -> Arc<[KeyId]> {
        self.told.get(&secret(key)).cloned().unwrap_or_default()
    }

    /// Returns the other keys that read the secret of the key `id`, if that is rotated by it.
    pub fn sharers(&self, id: &KeyId, key: &KeyConfig) -> Arc<[(KeyId, bool)]> {
        let all = self.rotated.get(&secret(key));
        let all = all.filter(|_| key.rotate.is_some());
        let others = all.into_iter().flatten().filter(|(other, _)| other != id);
        others.cloned().collect()
    }
}

fn secret(key: &KeyConfig) -> Secret {
    (key.origin.source.clone(), key.origin.path.clone())
}
