//! Updates in Flashback, as the state keeps them: the time up to which the events of each workspace were read, and the
//! updates that no key has examined yet. Both are written together, so that each event is recorded once, even if the
//! process crashes.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{AiLlmId, Edit};

/// An update, and what was updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The configuration or stored key that was updated.
    pub ai_llm_id: AiLlmId,
    /// The update.
    pub edit: Edit,
    /// The time at which it was made, by Flashback's clock.
    pub at: DateTime<Utc>,
}

/// Which process is to ask about a workspace now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Another process has asked a moment ago.
    Another,
    /// This one is to ask.
    Mine {
        /// Up to when the events were read, by Flashback's clock; `None` where they never were.
        read_to: Option<DateTime<Utc>>,
    },
}

/// The span of time for which events are requested again, because they may arrive late and out of order. Recorded
/// events are remembered for as long, so that none is recorded twice.
pub const OVERLAP: TimeDelta = TimeDelta::minutes(10);
