//! The data that the page shows.

use chrono::{DateTime, Utc};

use crate::engine::report::KeyReport;
use crate::model::timeline::SLOTS;
use crate::model::{HistoryRow, Mark, Outage, RuleReport, ServiceHealth};

/// The number of audit trail rows that the page shows.
pub const EVENTS: u32 = 50;

/// The data that the page shows.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The time at which this data was collected.
    pub at: DateTime<Utc>,
    /// The time at which the process started.
    pub started_at: DateTime<Utc>,
    /// `true` if the engine makes progress.
    pub live: bool,
    /// The parts that are not ready after a start, as text for people; empty once the process has been ready.
    pub missing: Vec<String>,
    /// The reason why the state cannot be used, if it cannot.
    pub state: Option<String>,
    /// `true` if the newest configuration was refused and a previous one is in force.
    pub refused: bool,
    /// Flashback, followed by the sources and by the providers.
    pub services: Vec<Service>,
    /// The processes that share the keys; empty where this one has all of them.
    pub replicas: Vec<Replica>,
    /// The rules of discovery.
    pub rules: Vec<RuleReport>,
    /// Every key, configured or discovered.
    pub keys: Vec<Key>,
    /// The last [`EVENTS`] rows of the audit trail, newest first.
    pub events: Vec<HistoryRow>,
}

/// Flashback, a source or a provider.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name: the id of a source or provider, or "Flashback".
    pub name: String,
    /// The kind of the service.
    pub kind: &'static str,
    /// Its location: a host, a region or a directory.
    pub place: String,
    /// The number of enabled keys that need it.
    pub keys: usize,
    /// `true` if it is a provider, which makes and revokes keys.
    pub makes_keys: bool,
    /// Its health.
    pub health: ServiceHealth,
    /// The latest outage that is over, since the service was last configured differently.
    pub last_outage: Option<Outage>,
}

/// One of the processes that share the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The replica's own name.
    pub name: String,
    /// The number of keys it has leased.
    pub keys: usize,
    /// `true` if its lease is still valid.
    pub alive: bool,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its report, as `status` shows it.
    pub row: KeyReport,
    /// Its path in its source.
    pub path: String,
    /// The version that the source was last seen to have.
    pub seen: Option<String>,
    /// The reason why that version is held, if it is.
    pub held: Option<String>,
    /// Its last day, in half hours.
    pub timeline: [Option<Mark>; SLOTS],
}
