//! The overall status: the daemon, the state, the configuration, Flashback, the sources, the providers and the keys.
//!
//! The command `status` and the endpoint `/status` show it. It is built from the state alone: a running daemon
//! leaves its own view there, and the state's lock or leases say whether the daemon runs. The status is
//! therefore true beside a daemon, and also after one that was killed.

mod daemon;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::daemon::{Daemon, DaemonStatus, Replica};
pub use self::service::{Provider, Service, Source};

use crate::config::{KeyConfig, StateConfig};
use crate::engine::report::KeyReport;
use crate::model::{Daemons, KeyId, LastReport, ProviderId, RuleReport, ServiceStatus, SourceId};
use crate::state::{StateError, StateStore};

/// The overall status, in the form that `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The processes that keep the keys current.
    pub daemon: Daemon,
    /// The state that was read.
    pub state: State,
    /// The configuration that the daemon works by.
    pub configuration: Configuration,
    /// Flashback.
    pub flashback: Service,
    /// The sources, by name.
    pub sources: Vec<Source>,
    /// The providers that make and revoke keys, by name: those of the daemons, and those that a key here is rotated by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
    /// What the rules of discovery have come to, by the daemon's report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discovery: Vec<RuleReport>,
    /// The keys, by name.
    pub keys: Vec<KeyReport>,
    /// The time of the status, by the state's clock.
    #[serde(skip)]
    pub now: DateTime<Utc>,
}

/// The state that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// The value of `[state] url`, with the path of a file made absolute.
    pub url: String,
    /// `true` if it exists; otherwise no process has ever worked on it.
    pub exists: bool,
}

/// The configuration and whether the daemon accepts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The file or directory that the daemon works by or, without a daemon, that was read for this status.
    pub path: PathBuf,
    /// The time at which the daemon loaded it.
    pub loaded_at: Option<DateTime<Utc>>,
    /// Since when the daemon has refused a newer one.
    pub rejected_since: Option<DateTime<Utc>>,
    /// The error in the newest one; it never contains a value.
    pub error: Option<String>,
    /// The path that was read for this status, if the daemon works by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_path: Option<PathBuf>,
}

/// The parts of a configuration that a status needs.
pub struct Configured<'a> {
    /// The path of the configuration.
    pub path: &'a Path,
    /// The location of its state.
    pub state: &'a StateConfig,
    /// The sources.
    pub sources: Vec<SourceId>,
    /// The keys.
    pub keys: &'a BTreeMap<KeyId, Arc<KeyConfig>>,
}

/// The parts of a [`Status`].
pub struct Parts {
    /// The state.
    pub state: State,
    /// The path of the configuration that was read for the status.
    pub path: PathBuf,
    /// The error in it, if there is one.
    pub error: Option<String>,
    /// The sources in it.
    pub sources: Vec<SourceId>,
    /// The daemons that the state knows of.
    pub daemons: Daemons,
    /// The reports of the keys.
    pub rows: Vec<KeyReport>,
}

impl State {
    /// Describes the state that a configuration names.
    pub fn new(config: &StateConfig, exists: bool) -> Self {
        let url = match config {
            StateConfig::Sqlite { path } => format!("sqlite://{}", absolute(path).display()),
            StateConfig::Postgres(postgres) => postgres.to_string(),
        };
        Self { url, exists }
    }
}

/// Returns a path in absolute form, or unchanged if that cannot be found out.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Status {
    /// Reads the status of what is configured from the state.
    ///
    /// # Errors
    /// Returns [`StateError`] if the state cannot be read.
    pub async fn read(
        store: &dyn StateStore,
        configured: Configured<'_>,
    ) -> Result<Self, StateError> {
        let daemons = store.daemons().await?;
        let records = store.load_all().await?;
        Ok(Self::new(Parts {
            state: State::new(configured.state, true),
            path: absolute(configured.path),
            error: None,
            sources: configured.sources,
            daemons,
            rows: KeyReport::of_records(configured.keys, records),
        }))
    }

    /// Builds a status from its parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { mut rows, .. } = parts;
        let standing = rows.iter().filter_map(|row| row.standing.as_ref());
        let checked: Vec<_> = standing
            .filter_map(|standing| standing.checked_at)
            .collect();
        let daemon = Daemon::new(&parts.daemons, &checked);
        if daemon.status != DaemonStatus::Running {
            // No daemon runs that would make this check.
            for standing in rows.iter_mut().filter_map(|row| row.standing.as_mut()) {
                standing.next_check = None;
            }
        }
        Self {
            flashback: Service::flashback(&parts.daemons),
            sources: Source::all(&parts.daemons, parts.sources),
            providers: Provider::all(&parts.daemons, rotated_by(&rows)),
            configuration: configuration(&parts.daemons, parts.path, parts.error),
            discovery: discovery(&parts.daemons),
            state: parts.state,
            now: parts.daemons.now,
            daemon,
            keys: rows,
        }
    }

    /// Checks that nothing needs attention: the state exists, the daemon runs, no service is down and no key
    /// is wrong.
    pub fn is_well(&self) -> bool {
        let sources = self.sources.iter().map(|source| &source.service);
        let providers = self.providers.iter().map(|provider| &provider.service);
        let mut services = sources.chain(providers).chain([&self.flashback]);
        let is_wrong = |row: &KeyReport| {
            let standing = row.standing.as_ref();
            let rotation = standing.and_then(|of| of.rotation.as_ref());
            let is_stuck = rotation.is_some_and(|rotation| rotation.trouble().is_some());
            is_stuck || standing.is_some_and(|of| of.state.is_wrong())
        };
        self.state.exists
            && self.daemon.is_well()
            && services.all(|service| service.health.status != ServiceStatus::Down)
            && !self.keys.iter().any(is_wrong)
    }
}

/// Returns the providers of the keys that are rotated.
fn rotated_by(rows: &[KeyReport]) -> impl Iterator<Item = ProviderId> {
    let standing = rows.iter().filter_map(|row| row.standing.as_ref());
    let rotations = standing.filter_map(|standing| standing.rotation.as_ref());
    rotations.map(|rotation| rotation.provider.clone())
}

/// Returns what the rules have come to, by the report of the first daemon that runs.
fn discovery(daemons: &Daemons) -> Vec<RuleReport> {
    let alive = daemons.all.iter().filter(|daemon| daemon.alive);
    let mut reports = alive.filter_map(|daemon| daemon.last.as_ref());
    let rules = |last: &LastReport| last.report.discovery.clone();
    reports.next().map(rules).unwrap_or_default()
}

/// Returns the configuration that matters most: that of a replica which refuses the newest one, if there is one.
fn configuration(daemons: &Daemons, path: PathBuf, error: Option<String>) -> Configuration {
    let alive = daemons.all.iter().filter(|daemon| daemon.alive);
    let reports = alive.filter_map(|daemon| daemon.last.as_ref());
    let mut in_force = reports.map(|last| &last.report.configuration);
    let first = in_force.clone().next();
    let Some(known) = in_force.find(|one| one.rejected.is_some()).or(first) else {
        return Configuration {
            path,
            loaded_at: None,
            rejected_since: None,
            error,
            other_path: None,
        };
    };
    let rejected = known.rejected.as_ref();
    let other = Some(path).filter(|path| *path != known.path);
    Configuration {
        path: known.path.clone(),
        loaded_at: Some(known.loaded_at),
        rejected_since: rejected.map(|rejected| rejected.since),
        error: rejected.map(|rejected| rejected.error.clone()).or(error),
        other_path: other,
    }
}

#[cfg(test)]
mod tests;
