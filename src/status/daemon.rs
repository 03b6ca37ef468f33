//! The status of the daemon or of its replicas.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::model::{BEAT, Daemons, KnownDaemon};

/// The time without a write to the state after which a running daemon counts as unable to write.
const SILENCE: Duration = BEAT.saturating_mul(3);

/// The time after a daemon's last report within which a check is attributed to that daemon.
const ONE_BEAT: Duration = BEAT.saturating_add(Duration::from_secs(5));

/// The processes that keep the keys current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// The status of them all.
    pub status: DaemonStatus,
    /// Since when; for a dead daemon, when it was last heard of.
    pub since: Option<DateTime<Utc>>,
    /// Each process: those that run and, where none does, the last that did.
    pub replicas: Vec<Replica>,
}

/// The status of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonStatus {
    /// It runs.
    Running,
    /// It has stopped on request.
    Stopped,
    /// It no longer runs, although it was not stopped.
    Dead,
    /// None has ever run on this state.
    NeverRun,
}

/// A process that keeps the keys current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// Its host and process id.
    pub name: String,
    /// Its status.
    pub status: DaemonStatus,
    /// Since when; for a dead process, when it was last heard of.
    pub since: Option<DateTime<Utc>>,
    /// The time at which it last wrote to the state.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// It runs, but has written nothing to the state for so long that it must be unable to.
    pub silent: bool,
    /// Its version.
    pub version: Option<String>,
    /// The address of its HTTP server.
    pub listen: Option<SocketAddr>,
    /// The number of keys it has leased, if several processes share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u32>,
}

impl Daemon {
    /// Summarizes the daemons; `checked` are the times at which keys were last checked.
    pub(super) fn new(daemons: &Daemons, checked: &[DateTime<Utc>]) -> Self {
        let of = |known| Replica::new(known, daemons.now, checked);
        let replicas: Vec<Replica> = daemons.all.iter().map(of).collect();
        let running = replicas
            .iter()
            .filter(|one| one.status == DaemonStatus::Running);
        let first = running.clone().filter_map(|one| one.since).min();
        let last = replicas.iter().filter_map(|one| one.since).max();
        // A daemon that was killed was last heard of up to a beat before that.
        let was_killed = |one: &Replica| {
            let beat = TimeDelta::from_std(ONE_BEAT).unwrap_or_default();
            one.status == DaemonStatus::Dead && one.since.map(|at| at + beat) >= last
        };
        let (status, since) = match running.count() {
            1.. => (DaemonStatus::Running, first),
            0 if replicas.is_empty() => (DaemonStatus::NeverRun, None),
            0 if replicas.iter().any(was_killed) => (DaemonStatus::Dead, last),
            0 => (DaemonStatus::Stopped, last),
        };
        Self {
            status,
            since,
            replicas,
        }
    }

    /// Checks that the expected daemon runs, and each of its replicas. A state on which none has ever run
    /// expects none.
    pub fn is_well(&self) -> bool {
        let lost = |one: &Replica| one.silent || one.status == DaemonStatus::Dead;
        let expected = matches!(self.status, DaemonStatus::Running | DaemonStatus::NeverRun);
        expected && !self.replicas.iter().any(lost)
    }
}

impl Replica {
    fn new(known: &KnownDaemon, now: DateTime<Utc>, checked: &[DateTime<Utc>]) -> Self {
        let last = known.last.as_ref();
        let seen = last.map(|last| last.at);
        let is_its = |at: &&DateTime<Utc>| seen.is_some_and(|seen| **at <= seen + ONE_BEAT);
        let (status, since) = match last {
            _ if known.alive => {
                let started = last.map(|last| last.report.started_at);
                (DaemonStatus::Running, started)
            }
            Some(last) if last.stopped => (DaemonStatus::Stopped, seen),
            _ => {
                let checked = checked.iter().filter(is_its).max().copied();
                (DaemonStatus::Dead, checked.max(seen))
            }
        };
        Self {
            name: known.name.clone(),
            status,
            since,
            last_seen_at: seen,
            silent: known.alive && seen.is_some_and(|seen| seen + SILENCE < now),
            version: last.map(|last| last.report.version.clone()),
            listen: last.map(|last| last.report.listen),
            keys: known.keys,
        }
    }
}
