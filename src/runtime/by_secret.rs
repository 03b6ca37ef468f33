//! Finds the keys that read a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::ManagedKey;
use crate::model::{KeyId, SourceId};

/// The enabled keys in the order of their secrets. A pointer each, because there may be many.
pub struct BySecret(Vec<Arc<ManagedKey>>);

impl BySecret {
    /// Orders keys by their secrets.
    pub fn new(keys: &BTreeMap<KeyId, Arc<ManagedKey>>) -> Self {
        let mut keys: Vec<_> = keys.values().cloned().collect();
        keys.sort_by(|one, other| secret(one).cmp(&secret(other)));
        Self(keys)
    }

    /// Returns the keys that read the secret at `path`.
    pub fn of(&self, source: &SourceId, path: &str) -> &[Arc<ManagedKey>] {
        let wanted = (source, path);
        let begin = self.0.partition_point(|key| secret(key) < wanted);
        let end = self.0[begin..].partition_point(|key| secret(key) == wanted);
        &self.0[begin..begin + end]
    }
}

fn secret(key: &ManagedKey) -> (&SourceId, &str) {
    (&key.config.origin.source, &key.config.origin.path)
}
