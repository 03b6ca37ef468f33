//! Passes over many keys, for `sync` and `plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::Runtime;
use crate::engine::row::Row;
use crate::model::{KeyId, Order};
use crate::state::StateError;
use crate::telemetry::panics::{Task, within};

/// Keys of one source and workspace that a `sync` or a `plan` works on at once: a slow one holds up
/// its own. The lanes bound what reaches a service.
const SYNC_AT_ONCE: usize = 128;

/// What is said of a key whose look panicked.
pub const PANICKED: &str = "the look at it panicked: this is a bug, please report it";

impl Runtime {
    /// One pass over the keys that `keys` names, with what is wanted of them: each is looked at
    /// until its round of tries is over and what was pushed has proven itself or not. `each` is
    /// called as each is done.
    pub async fn sync(
        &self,
        keys: &[KeyId],
        order: Order,
        each: &(dyn Fn(&Row) + Sync),
    ) -> Vec<Row> {
        let settle = async |key: KeyId| {
            let config = &self.config.keys[&key];
            let row = match self.units.get(&key) {
                Some(unit) => {
                    let settle = self.engine.settle(unit, order);
                    AssertUnwindSafe(within(Task::Look, Some(key.clone()), settle))
                        .catch_unwind()
                        .await
                        .unwrap_or_else(|_| Row::failed(&key, config, PANICKED))
                }
                None => Row::disabled(&key, config),
            };
            each(&row);
            row
        };
        let queue = |keys| {
            stream::iter(keys)
                .map(&settle)
                .buffer_unordered(SYNC_AT_ONCE)
        };
        let queues = self.queues(self.named(keys)).into_iter().map(queue);
        let mut rows: Vec<Row> = stream::select_all(queues.map(Box::pin)).collect().await;
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Returns these rows of a pass and, for each key that `keys` names and that has none, a failed one that says
    /// `why`.
    pub fn complete(&self, mut rows: Vec<Row>, keys: &[KeyId], why: &str) -> Vec<Row> {
        let done: BTreeSet<KeyId> = rows.iter().map(|row| row.key.clone()).collect();
        let named = self.named(keys).into_iter();
        let open = named.filter(|key| !done.contains(key));
        rows.extend(open.map(|key| Row::failed(&key, &self.config.keys[&key], why)));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// What a pass over the keys that `keys` names would do. Changes nothing.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn plan(
        &self,
        keys: &[KeyId],
        each: &(dyn Fn() + Sync),
    ) -> Result<Vec<Row>, StateError> {
        let plan = async |key: KeyId| {
            let row = match self.units.get(&key) {
                Some(unit) => self.engine.plan(unit).await,
                None => Ok(Row::disabled(&key, &self.config.keys[&key])),
            };
            each();
            row
        };
        let queue = |keys| stream::iter(keys).map(&plan).buffer_unordered(SYNC_AT_ONCE);
        let queues = self.queues(self.named(keys)).into_iter().map(queue);
        let planned = stream::select_all(queues.map(Box::pin));
        let mut rows: Vec<Row> = planned.try_collect().await?;
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
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
