//! Keeps the scheduler in step with the keys that this process has leased.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use parking_lot::Mutex;

use super::status_source::DaemonStatusSource;
use crate::config::Check;
use crate::membership::{SetAside, Worker, is_due};
use crate::model::{KeyId, Record};
use crate::runtime::{Runtime, RuntimeHandle};
use crate::scheduler::{First, Scheduler};
use crate::state::StateError;

/// The largest number of records that are read one by one; for more, all records are loaded at once.
const ONE_BY_ONE: usize = 32;

/// The keys of the current runtime that this process has leased, and their schedule.
pub struct Assignments {
    runtime: Arc<RuntimeHandle>,
    scheduler: Scheduler,
    status_source: Arc<DaemonStatusSource>,
    /// Keys that another process has reconciled and that can wait for their cron line.
    at_rest: Mutex<BTreeSet<KeyId>>,
    /// Locked while a schedule is built and handed over, so that the scheduler ends up with the newest one.
    order: Mutex<()>,
}

impl Assignments {
    /// Creates the assignments. Nothing is scheduled before the first [`renew`](Self::renew).
    pub fn new(
        runtime: &Arc<RuntimeHandle>,
        scheduler: &Scheduler,
        status_source: &Arc<DaemonStatusSource>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime: runtime.clone(),
            scheduler: scheduler.clone(),
            status_source: status_source.clone(),
            at_rest: Mutex::default(),
            order: Mutex::default(),
        })
    }

    /// Returns the scheduler that wakes the keys.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Schedules the keys that are configured and leased now.
    pub fn renew(&self) {
        let _order = self.order.lock();
        let at_rest = self.at_rest.lock();
        let first = |key: &KeyId| match at_rest.contains(key) {
            true => First::OnSchedule,
            false => First::Now,
        };
        self.scheduler.replace(self.runtime.load().schedule(first));
    }

    /// Returns those of `keys` that can wait for their cron line. A key whose record cannot be read is not
    /// among them, and is reconciled at once.
    async fn waiting(&self, runtime: &Runtime, keys: &[KeyId]) -> Vec<KeyId> {
        let store = &runtime.engine.store;
        let on_a_line = |key: &&KeyId| {
            let managed = runtime.managed_keys.get(*key);
            managed.is_some_and(|managed| matches!(managed.config.check, Check::Cron(_)))
        };
        let keys: Vec<&KeyId> = keys.iter().filter(on_a_line).collect();
        let mut records: HashMap<KeyId, Record> = HashMap::new();
        if keys.len() > ONE_BY_ONE {
            let all = store.load_all().await.unwrap_or_default();
            records.extend(all.into_iter().map(|record| (record.key.clone(), record)));
        } else {
            for key in &keys {
                // The membership task waits for this and has leases to renew: stop at the first read that fails.
                let Ok(record) = store.load(key).await else {
                    break;
                };
                records.insert((*key).clone(), record);
            }
        }
        let now = Utc::now();
        let waits = |key: &&&KeyId| {
            let (managed, record) = (&runtime.managed_keys[**key], records.get(**key));
            record.is_some_and(|record| {
                !is_due(
                    record,
                    &managed.config.settings,
                    &managed.config.origin,
                    now,
                )
            })
        };
        keys.iter()
            .filter(waits)
            .map(|key| (*key).clone())
            .collect()
    }
}

#[async_trait]
impl Worker for Assignments {
    fn configured(&self) -> BTreeSet<KeyId> {
        self.runtime.load().managed_keys.keys().cloned().collect()
    }

    fn set_aside(&self, keys: &[KeyId], most: usize) -> Vec<SetAside> {
        let runtime = self.runtime.load();
        let aside = |key: &KeyId| {
            let guard = runtime.set_aside(key)?;
            Some(SetAside {
                key: key.clone(),
                guard: guard.map(|guard| Box::new(guard) as Box<dyn Send>),
            })
        };
        keys.iter().filter_map(aside).take(most).collect()
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.runtime.load().engine.store.flush().await
    }

    async fn took(&self, keys: &[KeyId]) {
        let runtime = self.runtime.load();
        let waiting = self.waiting(&runtime, keys).await;
        self.at_rest.lock().extend(waiting);
        keys.iter().for_each(|key| runtime.announce_key(key));
        self.renew();
    }

    fn lost(&self, keys: &[KeyId]) {
        let runtime = self.runtime.load();
        {
            let mut at_rest = self.at_rest.lock();
            for key in keys {
                at_rest.remove(key);
                runtime.engine.told.forget(key);
                runtime.retire_key(key);
            }
        }
        self.renew();
    }

    fn check_now(&self, keys: &[KeyId]) {
        self.scheduler.changed(keys.to_vec());
    }

    fn state_answers(&self, answers: bool) {
        let was_away = self.runtime.set_stateless(!answers);
        if was_away && answers {
            self.scheduler.recovered(None);
        }
    }

    fn joined(&self) {
        if self.status_source.joined() {
            // Without a leased key `took` is never called, but the scheduler still needs its first, empty schedule.
            self.renew();
        }
    }
}
