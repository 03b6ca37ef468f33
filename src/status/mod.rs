//! How everything stands: the daemon, the state, the configuration, Flashback, the sources and the keys.
//!
//! It is what `status` and `/status` show, put together from what the state knows. A running daemon leaves its own
//! view there, and whether it runs is told by the state's lock or leases; so what is shown is true beside a
//! daemon, and after one that was killed.

mod daemon;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::daemon::{Daemon, DaemonStatus, Replica};
pub use self::service::{Service, Source};

use crate::config::{KeyConfig, StateConfig};
use crate::engine::report::KeyReport;
use crate::model::{Daemons, KeyId, ServiceStatus, SourceId};
use crate::state::{StateError, StateStore};

/// How everything stands. `--json` prints it as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What keeps the keys current.
    pub daemon: Daemon,
    /// What all of this was read from.
    pub state: State,
    /// What the daemon works by.
    pub configuration: Configuration,
    /// The target.
    pub flashback: Service,
    /// The sources, by their names.
    pub sources: Vec<Source>,
    /// The keys, by their names.
    pub keys: Vec<KeyReport>,
    /// When this was, by the state's clock.
    #[serde(skip)]
    pub now: DateTime<Utc>,
}

/// The state that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// As `[state] url` names it; the path of a file is absolute.
    pub url: String,
    /// Whether there is one. Where there is none, nothing has ever worked on it.
    pub exists: bool,
}

/// The configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// The file or directory that the daemon works by or, without one, that was read for this.
    pub path: PathBuf,
    /// When the daemon loaded it.
    pub loaded_at: Option<DateTime<Utc>>,
    /// Since when there has been a newer one that it refuses.
    pub rejected_since: Option<DateTime<Utc>>,
    /// What is wrong with the one that is there now; never a value.
    pub error: Option<String>,
    /// Another one that was read for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_path: Option<PathBuf>,
}

/// What is configured.
pub struct Configured<'a> {
    /// Where that stands.
    pub path: &'a Path,
    /// Where the state is.
    pub state: &'a StateConfig,
    /// The sources.
    pub sources: Vec<SourceId>,
    /// The keys.
    pub keys: &'a BTreeMap<KeyId, Arc<KeyConfig>>,
}

/// What a [`Status`] is made of.
pub struct Parts {
    /// The state.
    pub state: State,
    /// The configuration that was read for this.
    pub path: PathBuf,
    /// What is wrong with that, where anything is.
    pub error: Option<String>,
    /// The sources in it.
    pub sources: Vec<SourceId>,
    /// What the state knows of daemons.
    pub daemons: Daemons,
    /// The rows of the keys.
    pub rows: Vec<KeyReport>,
}

impl State {
    /// The state that a configuration names.
    pub fn new(config: &StateConfig, exists: bool) -> Self {
        let url = match config {
            StateConfig::Sqlite { path } => format!("sqlite://{}", absolute(path).display()),
            StateConfig::Postgres(postgres) => postgres.to_string(),
        };
        Self { url, exists }
    }
}

/// The path as it is from every directory.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Status {
    /// Reads how things stand by what is configured.
    ///
    /// # Errors
    /// [`StateError`].
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

    /// Puts together what is known.
    pub fn new(parts: Parts) -> Self {
        let Parts { mut rows, .. } = parts;
        let standing = rows.iter().filter_map(|row| row.standing.as_ref());
        let checked: Vec<_> = standing
            .filter_map(|standing| standing.checked_at)
            .collect();
        let daemon = Daemon::new(&parts.daemons, &checked);
        if daemon.status != DaemonStatus::Running {
            // Nobody has promised that check.
            for standing in rows.iter_mut().filter_map(|row| row.standing.as_mut()) {
                standing.next_check = None;
            }
        }
        Self {
            flashback: Service::flashback(&parts.daemons),
            sources: Source::all(&parts.daemons, parts.sources),
            configuration: configuration(&parts.daemons, parts.path, parts.error),
            state: parts.state,
            now: parts.daemons.now,
            daemon,
            keys: rows,
        }
    }

    /// Whether nothing is wrong that somebody should know of.
    pub fn is_well(&self) -> bool {
        let sources = self.sources.iter().map(|source| &source.service);
        let mut services = sources.chain([&self.flashback]);
        let is_wrong =
            |row: &KeyReport| row.standing.as_ref().is_some_and(|of| of.state.is_wrong());
        self.state.exists
            && self.daemon.is_well()
            && services.all(|service| service.health.status != ServiceStatus::Down)
            && !self.keys.iter().any(is_wrong)
    }
}

/// Of several replicas the one that matters most: one that refuses what is there now.
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
