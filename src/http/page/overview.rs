//! What the page shows, before it is a page.

use chrono::{DateTime, Utc};

use crate::engine::report::KeyReport;
use crate::model::timeline::SLOTS;
use crate::model::{HistoryRow, Mark, Outage, ServiceHealth};

/// How many rows of the audit trail the page shows.
pub const EVENTS: u32 = 50;

/// What the page shows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When this was found out.
    pub at: DateTime<Utc>,
    /// When the process started.
    pub started_at: DateTime<Utc>,
    /// Whether the engine makes progress.
    pub live: bool,
    /// What is still missing after a start, for people; nothing once it was ready.
    pub missing: Vec<String>,
    /// Why the state cannot be used, where it cannot.
    pub state: Option<String>,
    /// Whether the newest configuration is refused, and an older one in force.
    pub refused: bool,
    /// Flashback, then the sources.
    pub services: Vec<Service>,
    /// The processes that share the keys; none where this one has all of them.
    pub replicas: Vec<Replica>,
    /// Every configured key.
    pub keys: Vec<Key>,
    /// The last [`EVENTS`] rows of the audit trail, newest first.
    pub events: Vec<HistoryRow>,
}

/// Flashback or a source.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name: a source's id, or "Flashback".
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Where it is: a host, a region, a directory.
    pub place: String,
    /// How many enabled keys need it.
    pub keys: usize,
    /// Whether it answers.
    pub health: ServiceHealth,
    /// The last outage that is over, since it was configured as it is.
    pub last_outage: Option<Outage>,
}

/// One of the processes that share the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// What it says of itself.
    pub name: String,
    /// How many keys it holds.
    pub keys: usize,
    /// Its lease is not over.
    pub alive: bool,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its row of `status`.
    pub row: KeyReport,
    /// Where in its source it is.
    pub path: String,
    /// The version the store was last seen to hold.
    pub seen: Option<String>,
    /// Why that version is held, if it is.
    pub held: Option<String>,
    /// Its last day, half an hour each.
    pub timeline: [Option<Mark>; SLOTS],
}
