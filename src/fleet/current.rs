//! The fleet of the moment, which a reload replaces.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Fleet;
use crate::engine::Next;
use crate::model::KeyId;
use crate::scheduler::{Looked, Looker};

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
        // Somebody who has the turn (a `sync`) is looking at it right now.
        let Some(mut turn) = unit.try_turn() else {
            return well;
        };
        let look = fleet.engine.look(unit, &mut turn, false, planned).await;
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
