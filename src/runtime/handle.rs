//! The runtime in use, which a reload replaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::instance::Runtime;
use crate::engine::{ManagedKey, Next};
use crate::model::{KeyCommand, KeyId};
use crate::scheduler::{Reconciler, Requeue, is_served, pace};

/// The wait before a check is tried again that found another task at the key.
const AFTER_ANOTHER: Duration = Duration::from_secs(1);

/// The runtime in use, as the scheduler and the commands see it.
pub struct RuntimeHandle {
    runtime: ArcSwap<Runtime>,
    stateless: AtomicBool,
}

impl RuntimeHandle {
    /// Starts with this runtime.
    pub fn new(runtime: Runtime) -> Self {
        Self {
            runtime: ArcSwap::from_pointee(runtime),
            stateless: AtomicBool::new(false),
        }
    }

    /// Returns the runtime in use.
    pub fn load(&self) -> Arc<Runtime> {
        self.runtime.load_full()
    }

    /// Replaces the runtime. Checks under way end on the one they began with.
    pub fn replace(&self, runtime: Runtime) {
        self.runtime.store(Arc::new(runtime));
    }

    /// Sets if the state is known to be unavailable. Checks are skipped then, because each would only fail and log.
    /// Returns the previous value.
    pub fn set_stateless(&self, stateless: bool) -> bool {
        self.stateless.swap(stateless, Ordering::Relaxed)
    }
}

#[async_trait]
impl Reconciler for RuntimeHandle {
    async fn reconcile(
        &self,
        key: &KeyId,
        planned: Option<DateTime<Utc>>,
        occurrence: Option<DateTime<Utc>>,
    ) -> Requeue {
        let runtime = self.load();
        let at_rest = |well| Requeue {
            again_in: None,
            well,
        };
        let Some(managed) = runtime.managed_keys.get(key) else {
            return at_rest(true);
        };
        if self.stateless.load(Ordering::Relaxed) {
            return at_rest(false);
        }
        // A check of the key is running, such as that of a `sync`. Its result is seen when this is called again.
        let Some(mut guard) = managed.try_guard() else {
            return Requeue {
                again_in: Some(AFTER_ANOTHER),
                well: false,
            };
        };
        if let Some(occurrence) = occurrence
            && served_by_another(&runtime, managed, occurrence).await
        {
            return at_rest(true);
        }
        let look = runtime
            .engine
            .reconcile(managed, &mut guard, KeyCommand::None, planned)
            .await;
        let next = match look.next {
            Next::OnSchedule => planned,
            Next::In(wait) => Some(Utc::now() + wait),
        };
        if let Some(at) = next {
            let interval = pace(&runtime.check_of(managed), at);
            runtime.engine.metrics.next_check(key, at, interval);
        }
        if !self.load().managed_keys.contains_key(key) || !runtime.engine.leases.has(key) {
            // It left the configuration meanwhile, or is another replica's: its series must not come
            // back with this.
            runtime.retire_key(key);
        }
        let again_in = match look.next {
            Next::OnSchedule => None,
            Next::In(wait) => Some(wait),
        };
        Requeue {
            again_in,
            well: look.well,
        }
    }
}

/// Returns `true` if there is nothing to do for an occurrence of a key's cron line, because the replica that had the
/// key before has checked it then.
async fn served_by_another(
    runtime: &Runtime,
    managed: &ManagedKey,
    occurrence: DateTime<Utc>,
) -> bool {
    if !runtime.engine.leases.is_shared() {
        return false;
    }
    let Ok(record) = runtime.engine.store.load(&managed.key).await else {
        return false;
    };
    let look = &record.look;
    look.problem.is_none() && is_served(&managed.config.check, occurrence, look.next_at)
}
