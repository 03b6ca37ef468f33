//! Passes over many keys, for `sync` and `plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::instance::Runtime;
use crate::engine::report::KeyReport;
use crate::model::{KeyCommand, KeyId};
use crate::state::StateError;
use crate::telemetry::panics::{Task, within};

/// Keys of one source and workspace that a `sync` or a `plan` works on at once: a slow one holds up
/// its own. The upstreams bound what reaches a service.
const SYNC_AT_ONCE: usize = 128;

/// The error of a key whose check panicked.
pub const PANICKED: &str = "the look at it panicked: this is a bug, please report it";

impl Runtime {
    /// Reconciles `keys` once, with this command. Each key is checked until its round of tries is over and the
    /// verification of a pushed value has ended. `each` is called for each key that is done.
    pub async fn sync(
        &self,
        keys: &[KeyId],
        command: KeyCommand,
        each: &(dyn Fn(&KeyReport) + Sync),
    ) -> Vec<KeyReport> {
        let settle = async |key: KeyId| {
            let config = &self.config.keys[&key];
            let report = match self.managed_keys.get(&key) {
                Some(managed) => {
                    let settle = self.engine.settle(managed, command);
                    AssertUnwindSafe(within(Task::Reconcile, Some(key.clone()), settle))
                        .catch_unwind()
                        .await
                        .unwrap_or_else(|_| KeyReport::failed(&key, config, PANICKED))
                }
                None => KeyReport::disabled(&key, config),
            };
            each(&report);
            report
        };
        let queue = |keys| {
            stream::iter(keys)
                .map(&settle)
                .buffer_unordered(SYNC_AT_ONCE)
        };
        let queues = self.queues(self.named(keys)).into_iter().map(queue);
        let mut reports: Vec<KeyReport> = stream::select_all(queues.map(Box::pin)).collect().await;
        reports.sort_by(|a, b| a.key.cmp(&b.key));
        reports
    }

    /// Returns these rows of a pass and, for each key that `keys` names and that has none, a failed one that says
    /// `why`.
    pub fn complete(
        &self,
        mut reports: Vec<KeyReport>,
        keys: &[KeyId],
        why: &str,
    ) -> Vec<KeyReport> {
        let done: BTreeSet<KeyId> = reports.iter().map(|report| report.key.clone()).collect();
        let named = self.named(keys).into_iter();
        let open = named.filter(|key| !done.contains(key));
        reports.extend(open.map(|key| KeyReport::failed(&key, &self.config.keys[&key], why)));
        reports.sort_by(|a, b| a.key.cmp(&b.key));
        reports
    }

    /// Returns what reconciling `keys` would do. Changes nothing.
    ///
    /// # Errors
    /// Returns [`StateError`].
    pub async fn plan(
        &self,
        keys: &[KeyId],
        each: &(dyn Fn() + Sync),
    ) -> Result<Vec<KeyReport>, StateError> {
        let plan = async |key: KeyId| {
            let report = match self.managed_keys.get(&key) {
                Some(managed) => self.engine.plan(managed).await,
                None => Ok(KeyReport::disabled(&key, &self.config.keys[&key])),
            };
            each();
            report
        };
        let queue = |keys| stream::iter(keys).map(&plan).buffer_unordered(SYNC_AT_ONCE);
        let queues = self.queues(self.named(keys)).into_iter().map(queue);
        let planned = stream::select_all(queues.map(Box::pin));
        let mut reports: Vec<KeyReport> = planned.try_collect().await?;
        reports.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(reports)
    }

    /// Keys that may hold each other up.
    fn queues(&self, keys: Vec<KeyId>) -> Vec<Vec<KeyId>> {
        let mut queues: BTreeMap<_, Vec<KeyId>> = BTreeMap::new();
        for key in keys {
            let config = &self.config.keys[&key];
            let queue = (&config.origin.source, &config.settings.workspace_id);
            queues.entry(queue).or_default().push(key);
        }
        queues.into_values().collect()
    }
}
