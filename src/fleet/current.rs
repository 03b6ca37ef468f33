//! The fleet of the moment, which a reload replaces.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Fleet;
use crate::engine::Next;
use crate::model::{KeyId, Order};
use crate::scheduler::{Looked, Looker, pace};

/// When a look is tried again that found somebody else at the key.
const AFTER_ANOTHER: Duration = Duration::from_secs(1);

/// The fleet of the moment, as the scheduler and the commands see it.
pub struct Current(arc_swap::ArcSwap<Fleet>);

impl Current {
    /// Begins with this one.
    pub fn new(fleet: Fleet) -> Self {
        Self(arc_swap::ArcSwap::from_pointee(fleet))
    }

    /// The fleet of the moment.
    pub fn load(&self) -> Arc<Fleet> {
        self.0.load_full()
    }

    /// Puts another in its place. Looks under way end on the one they began with.
    pub fn replace(&self, fleet: Fleet) {
        self.0.store(Arc::new(fleet));
    }
}

#[async_trait]
impl Looker for Current {
    async fn look(&self, key: &KeyId, planned: Option<DateTime<Utc>>) -> Looked {
        let fleet = self.load();
        let well = Looked {
            again_in: None,
            well: true,
        };
        let Some(unit) = fleet.units.get(key) else {
            return well;
        };
        // Somebody who has the turn (a `sync`) is looking at it right now; what comes of that is
        // seen by looking again.
        let Some(mut turn) = unit.try_turn() else {
            return Looked {
                again_in: Some(AFTER_ANOTHER),
                well: false,
            };
        };
        let look = fleet
            .engine
            .look(unit, &mut turn, Order::None, planned)
            .await;
        let next = match look.next {
            Next::OnSchedule => planned,
            Next::In(wait) => Some(Utc::now() + wait),
        };
        if let Some(at) = next {
            let interval = pace(&unit.config.check, at);
            fleet.engine.metrics.next_check(key, at, interval);
        }
        if !self.load().units.contains_key(key) {
            // It left the configuration meanwhile: its series must not come back with this.
            fleet.engine.metrics.forget_key(key);
        }
        let again_in = match look.next {
            Next::OnSchedule => None,
            Next::In(wait) => Some(wait),
        };
        Looked {
            again_in,
            well: look.well,
        }
    }
}
