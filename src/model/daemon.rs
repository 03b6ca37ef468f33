//! What a daemon leaves in the state for whoever asks how things stand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{ServiceHealth, SourceId};

/// How often a daemon leaves a report where nothing has changed.
pub const BEAT: Duration = Duration::from_secs(60);

/// How a daemon stands, as it says itself. Times are by its own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Itself among the replicas: its host, and its number there.
    pub name: String,
    /// Of which version it is.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Where it answers over HTTP.
    pub listen: SocketAddr,
    /// What it works by.
    pub configuration: ConfigurationReport,
    /// The target.
    pub flashback: ServiceHealth,
    /// The sources.
    pub sources: BTreeMap<SourceId, ServiceHealth>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// The file, or the directory of files; absolute.
    pub path: PathBuf,
    /// When it was loaded.
    pub loaded_at: DateTime<Utc>,
    /// What became of it since, where that was refused.
    pub rejected: Option<Rejected>,
}

/// A new configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Since when there has been one that is refused.
    pub since: DateTime<Utc>,
    /// The first thing that is wrong with it; never a value.
    pub error: String,
}

/// What the state knows of a daemon. Times are by the state's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDaemon {
    /// What it is called among the replicas.
    pub name: String,
    /// It holds the lock of the state, or its lease is not over.
    pub alive: bool,
    /// How many keys it holds, where several processes share them.
    pub keys: Option<u32>,
    /// What it left last; nothing where it is of a version that leaves nothing.
    pub last: Option<LastReport>,
}

/// The last that a daemon left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReport {
    /// How it stood.
    pub report: DaemonReport,
    /// When it left that.
    pub at: DateTime<Utc>,
    /// It left that when it stopped.
    pub stopped: bool,
}

/// What the state knows of daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemons {
    /// The time by the state's clock.
    pub now: DateTime<Utc>,
    /// Those that run, and the last that did.
    pub all: Vec<KnownDaemon>,
}

impl Daemons {
    /// Of a state on which none has ever run.
    pub fn none() -> Self {
        Self {
            now: Utc::now(),
            all: Vec::new(),
        }
    }
}

impl DaemonReport {
    /// The same by a clock that is ahead of the daemon's by `ahead`.
    #[must_use]
    pub fn by_clock(mut self, ahead: TimeDelta) -> Self {
        let configuration = &mut self.configuration;
        let rejected = configuration.rejected.as_mut();
        let services = self.sources.values_mut().chain([&mut self.flashback]);
        let times = [&mut self.started_at, &mut configuration.loaded_at];
        let times = times
            .into_iter()
            .chain(rejected.map(|rejected| &mut rejected.since))
            .chain(services.filter_map(|service| service.since.as_mut()));
        for time in times {
            *time += ahead;
        }
        self
    }
}
