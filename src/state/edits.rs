//! Updates in Flashback, as the state keeps them: up to which time the events of each workspace were read, and the
//! updates that no key has looked into yet. Both are written together, so that each event is taken in once, whatever
//! crashes in between.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{AiLlmId, Edit};

/// An update, and what was updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The configuration or stored key that was updated.
    pub ai_llm_id: AiLlmId,
    /// The update.
    pub edit: Edit,
    /// When it was made, by Flashback's clock.
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

/// How far back events are asked for again: they may come late, and out of order. What was taken in is remembered for
/// as long, so that it is not taken in twice.
pub const OVERLAP: TimeDelta = TimeDelta::minutes(10);
