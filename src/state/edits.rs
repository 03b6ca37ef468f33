//! Updates in Flashback, as the state keeps them: to which time each workspace's events were
//! read, and the updates that no key has looked into yet. Written together, they are read once,
//! whatever crashes in between.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{AiLlmId, Edit};

/// An update, and what was updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The configuration, or stored key.
    pub ai_llm_id: AiLlmId,
    /// The update.
    pub edit: Edit,
    /// When, by Flashback's clock.
    pub at: DateTime<Utc>,
}

/// Whose turn it is to ask about a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Another process has asked a moment ago.
    Another,
    /// This one's.
    Mine {
        /// Up to when the events were read, by Flashback's clock; `None` where they never were.
        read_to: Option<DateTime<Utc>>,
    },
}

/// Events are asked for again that are not older than this: they may come late, and out of order. So
/// long what was heard of is remembered, to be known again.
pub const OVERLAP: TimeDelta = TimeDelta::minutes(10);
