//! The channel of the changes made to keys, for notifications.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::managed_key::ManagedKey;
use crate::model::{Change, ChangeKind, Record, Version};

/// The number of changes kept for a slow listener. One that is slower misses some.
const KEPT: usize = 1_024;

/// Sends changes to all listeners. Without a listener they are dropped.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Arc<Change>>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Changes {
    /// Returns a receiver of the changes from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Change>> {
        self.0.subscribe()
    }

    /// Sends a change. `previous_version` is the version that was live before, or that is held now.
    pub(super) fn leave(
        &self,
        managed: &ManagedKey,
        kind: ChangeKind,
        record: &Record,
        previous_version: Option<&Version>,
        reason: Option<String>,
    ) {
        let settings = &managed.config.settings;
        // An error means that there is no receiver.
        let _ = self.0.send(Arc::new(Change {
            kind,
            at: chrono::Utc::now(),
            key: managed.key.clone(),
            source: managed.source.id().clone(),
            name: settings.name.clone(),
            workspace_id: settings.workspace_id.clone(),
            ai_llm_id: record.ai_llm_id.clone(),
            version: record.live.as_ref().map(|live| live.version.clone()),
            previous_version: previous_version.cloned(),
            reason,
        }));
    }
}
