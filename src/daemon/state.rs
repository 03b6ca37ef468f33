//! Opens the state that the configuration names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use tokio::time::Instant;

use crate::config::{PostgresConfig, StateConfig};
use crate::failpoint;
use crate::lease::LeaseTable;
use crate::membership::Terms;
use crate::state::membership::{Member, Membership, Role};
use crate::state::postgres::Postgres;
use crate::state::sqlite::{Sqlite, on_host};
use crate::state::wakeups::Wakeups;
use crate::state::{StateError, StateStore};
use crate::telemetry::event;

/// The wait before a database that does not answer at the start is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The time limit of the wait for another process that works on the state file: a daemon that is being replaced
/// finishes a push first.
const PREDECESSOR: Duration = Duration::from_secs(30);

/// The interval at which the end of that process is checked.
const LOOK: Duration = Duration::from_millis(200);

/// An open state, and what is needed to share it.
#[derive(Clone)]
pub struct State {
    /// The state store.
    pub store: Arc<dyn StateStore>,
    /// The leases, which say which keys this process may work on.
    pub leases: Arc<LeaseTable>,
    /// The membership, where several processes may work on the state.
    pub shared: Option<Shared>,
}

/// The membership of a process in a state that several share.
#[derive(Clone)]
pub struct Shared {
    /// The processes that share the state.
    pub membership: Arc<dyn Membership>,
    /// The wakeups that they leave each other.
    pub wakeups: Arc<dyn Wakeups>,
    /// The terms on which this process takes part.
    pub terms: Terms,
}

impl State {
    /// Returns a state that no other process works on.
    pub fn unshared(store: Arc<dyn StateStore>) -> Self {
        Self {
            store,
            leases: Arc::new(LeaseTable::alone()),
            shared: None,
        }
    }

    /// Returns this process's name among those that share the state; `None` if it is not shared.
    pub fn name(&self) -> Option<String> {
        let shared = self.shared.as_ref()?;
        Some(shared.terms.member.name.clone())
    }

    /// Opens the state. A database that does not answer is waited for: it may be starting as well, and a
    /// process that exits is only started again.
    ///
    /// # Errors
    /// Returns [`StateError`] if a person has to fix the problem.
    pub async fn open(config: &StateConfig) -> Result<Self, StateError> {
        match config {
            StateConfig::Sqlite { path } => Ok(Self::unshared(Arc::new(open_file(path).await?))),
            StateConfig::Postgres(config) => {
                let store = wait_for(config).await?;
                Ok(Self::shared(Arc::new(store), config, Role::Daemon))
            }
        }
    }

    /// Returns the state over an open database, as a member with this role.
    pub fn shared(store: Arc<Postgres>, config: &PostgresConfig, role: Role) -> Self {
        let member = Member { name: name(), role };
        let lease = config.lease;
        Self {
            store: store.clone(),
            leases: Arc::new(LeaseTable::shared()),
            shared: Some(Shared {
                membership: store.clone(),
                wakeups: store,
                terms: Terms { member, lease },
            }),
        }
    }
}

/// Opens the state file, once another process that works on it has ended.
async fn open_file(path: &Path) -> Result<Sqlite, StateError> {
    let begun = Instant::now();
    let patience = failpoint::interval("FLASHBACK_ROTATOR_PREDECESSOR_MS", PREDECESSOR);
    let mut told = false;
    loop {
        match Sqlite::open(path, &holder("run")) {
            Err(error @ StateError::Locked { .. }) if begun.elapsed() < patience => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        event = event::STATE_UNAVAILABLE,
                        %error,
                        "another process works on the state; it is waited for up to 30 seconds"
                    );
                }
            }
            opened => return opened,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns how a process that works on a state file describes itself to others, which may run on another
/// machine or in a container with its own process ids.
pub fn holder(command: &str) -> String {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let place = on_host(&host(), &std::process::id().to_string());
    format!("flashback-rotator {command} {place} since {now}")
}

async fn wait_for(config: &PostgresConfig) -> Result<Postgres, StateError> {
    let mut told = false;
    loop {
        match Postgres::open(config).await {
            Err(error @ StateError::Failed { .. }) if !told => {
                told = true;
                tracing::warn!(
                    event = event::STATE_UNAVAILABLE,
                    %error,
                    "the state does not answer; nothing begins before it does"
                );
            }
            Err(StateError::Failed { .. }) => {}
            opened => return opened,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Returns this process's name among others, for people: its host and process id.
pub fn name() -> String {
    format!("{}/{}", host(), std::process::id())
}

/// Returns the name of this machine; in Kubernetes, that of the pod.
pub fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty());
    host.unwrap_or("localhost").to_owned()
}
