//! The report that a daemon writes into the state about itself, for `status` and `health`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{ProviderId, RuleReport, ServiceHealth, SourceId};

/// The interval at which a daemon writes a report if nothing has changed.
pub const BEAT: Duration = Duration::from_secs(60);

/// The report of a daemon about itself. Its times are by the daemon's own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonReport {
    /// Its name among the replicas: its host, and the number of its process there.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The time at which it started.
    pub started_at: DateTime<Utc>,
    /// The address at which it answers over HTTP.
    pub listen: SocketAddr,
    /// The configuration in force.
    pub configuration: ConfigurationReport,
    /// The health of Flashback.
    pub flashback: ServiceHealth,
    /// The health of each source.
    pub sources: BTreeMap<SourceId, ServiceHealth>,
    /// The health of each provider that makes and revokes keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<ProviderId, ServiceHealth>,
    /// What discovery has come to, by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discovery: Vec<RuleReport>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// The absolute path of the file, or of the directory of files.
    pub path: PathBuf,
    /// The time at which it was loaded.
    pub loaded_at: DateTime<Utc>,
    /// The configuration that was refused since, if any.
    pub rejected: Option<Rejected>,
}

/// A new configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Since when the configuration on disk is refused.
    pub since: DateTime<Utc>,
    /// The first error in it; never a value.
    pub error: String,
}

/// A daemon, as the state knows it. Times are by the state's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDaemon {
    /// Its name among the replicas.
    pub name: String,
    /// `true` if it runs: it holds the lock of the state, or its lease is not over.
    pub alive: bool,
    /// The number of keys it has leased, if several processes share the keys.
    pub keys: Option<u32>,
    /// Its last report, if there is one that this program can read.
    pub last: Option<LastReport>,
}

/// The last report of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReport {
    /// The report.
    pub report: DaemonReport,
    /// The time at which it was written.
    pub at: DateTime<Utc>,
    /// `true` if the daemon wrote it when it stopped.
    pub stopped: bool,
}

/// The daemons that the state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemons {
    /// The time by the state's clock.
    pub now: DateTime<Utc>,
    /// The daemons that run; where none does, the last that did.
    pub all: Vec<KnownDaemon>,
}

impl Daemons {
    /// Returns what a state knows on which no daemon has ever run.
    pub fn none(now: DateTime<Utc>) -> Self {
        Self {
            now,
            all: Vec::new(),
        }
    }
}

impl DaemonReport {
    /// Returns the report with the times of a clock that is ahead of the daemon's by `ahead`.
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
