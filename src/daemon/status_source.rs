//! The daemon's status: outages in the log, health and status over HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::discovery::Discovery;
use super::overview;
use crate::http::StatusSource;
use crate::http::page::{EVENTS, Overview};
use crate::model::{ConfigurationReport, DaemonReport, Rejected, ServiceHealth, SourceId};
use crate::runtime::RuntimeHandle;
use crate::scheduler::Scheduler;
use crate::state::membership::Membership;
use crate::status::{Configured, Status};
use crate::supervise::Supervisor;
use crate::telemetry::event;
use crate::telemetry::metrics::{FLASHBACK, Metrics, service_of};
use crate::upstream::{Outages, UpstreamView};

/// The time without a sign of life after which the dispatcher counts as stuck; it gives one each second.
const STUCK: Duration = Duration::from_secs(30);

/// The time without an answer of the state after which the daemon no longer counts as live, because the engine makes no
/// progress without it. The state is used several times a second, but another process that reads it may keep it busy.
const STATE_GONE: Duration = Duration::from_secs(60);

/// The longest configuration error that is kept for `status`, in characters.
const LONGEST_ERROR: usize = 500;

/// Logs each outage once, and wakes the keys that failed because of it when it ends.
#[derive(Default)]
pub struct Watch {
    scheduler: OnceLock<Scheduler>,
}

impl Watch {
    /// Sets the scheduler that is notified when a service recovers.
    pub fn attach(&self, scheduler: Scheduler) {
        let _ = self.scheduler.set(scheduler);
    }
}

impl Outages for Watch {
    fn unavailable(&self, service: &str, error: &str, retry_in: Duration) {
        tracing::warn!(
            event = event::SOURCE_UNAVAILABLE,
            source = service,
            error,
            retry_in_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
            "no answer; everything that needs it is held back"
        );
    }

    fn recovered(&self, service: &str, after: Duration) {
        tracing::info!(
            event = event::SOURCE_RECOVERED,
            source = service,
            elapsed_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            "it answers again"
        );
        if let Some(scheduler) = self.scheduler.get() {
            scheduler.recovered((service != FLASHBACK).then(|| SourceId::new(service)));
        }
    }
}

/// The daemon's status, for the HTTP server, systemd and the heartbeat.
pub struct DaemonStatusSource {
    runtime: Arc<RuntimeHandle>,
    scheduler: Scheduler,
    supervisor: Supervisor,
    metrics: Arc<Metrics>,
    discovery: Arc<Discovery>,
    membership: Option<Arc<dyn Membership>>,
    identity: Identity,
    configuration: Mutex<ConfigurationReport>,
    signed_in: AtomicBool,
    joined: AtomicBool,
    was_ready: AtomicBool,
    state_answered: Mutex<Instant>,
}

/// The properties of a daemon that do not change while it runs.
pub struct Identity {
    /// Its name among the replicas.
    pub name: String,
    /// The time at which it started.
    pub started_at: DateTime<Utc>,
    /// The address of its HTTP server.
    pub listen: SocketAddr,
    /// The path of its configuration.
    pub config: PathBuf,
}

impl DaemonStatusSource {
    /// Creates the status of this daemon.
    pub fn new(
        runtime: Arc<RuntimeHandle>,
        scheduler: Scheduler,
        supervisor: Supervisor,
        metrics: Arc<Metrics>,
        membership: Option<Arc<dyn Membership>>,
        identity: Identity,
    ) -> Arc<Self> {
        let configuration = ConfigurationReport {
            path: identity.config.clone(),
            loaded_at: identity.started_at,
            rejected: None,
        };
        Arc::new(Self {
            discovery: Arc::new(Discovery::new(Arc::clone(&runtime))),
            runtime,
            scheduler,
            supervisor,
            metrics,
            membership,
            identity,
            configuration: Mutex::new(configuration),
            signed_in: AtomicBool::new(false),
            joined: AtomicBool::new(false),
            was_ready: AtomicBool::new(false),
            state_answered: Mutex::new(Instant::now()),
        })
    }

    /// Returns the place where it is left that a source may have something new.
    pub fn discovery(&self) -> &Arc<Discovery> {
        &self.discovery
    }

    /// Records that the state has answered.
    pub fn state_answered(&self) {
        *self.state_answered.lock() = Instant::now();
    }

    /// Wakes the keys that failed, since the state can be used again.
    pub fn state_recovered(&self) {
        self.scheduler.recovered(None);
    }

    /// Records that a new configuration is in force.
    pub fn accepted(&self) {
        let mut configuration = self.configuration.lock();
        configuration.loaded_at = Utc::now();
        configuration.rejected = None;
    }

    /// Records that a new configuration was refused and the previous one stays in force.
    pub fn rejected(&self, error: &str) {
        let first: String = error.lines().next().unwrap_or_default().to_owned();
        let mut configuration = self.configuration.lock();
        let since = configuration.rejected.take().map(|before| before.since);
        configuration.rejected = Some(Rejected {
            since: since.unwrap_or_else(Utc::now),
            error: first.chars().take(LONGEST_ERROR).collect(),
        });
    }

    /// Returns the report of this daemon for the state.
    pub fn report(&self) -> DaemonReport {
        let runtime = self.runtime.load();
        let health = |service: &str| {
            let upstream = runtime.upstreams.get(service);
            upstream.map(UpstreamView::health).unwrap_or_default()
        };
        let sources = runtime.config.sources.keys();
        let providers = runtime.config.providers.keys();
        DaemonReport {
            name: self.identity.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.identity.started_at,
            listen: self.identity.listen,
            configuration: self.configuration.lock().clone(),
            flashback: health(FLASHBACK),
            sources: sources
                .map(|id| {
                    let events = runtime.events(id);
                    (
                        id.clone(),
                        ServiceHealth {
                            events,
                            ..health(id.as_str())
                        },
                    )
                })
                .collect(),
            providers: providers
                .map(|id| (id.clone(), health(&service_of(id))))
                .collect(),
            discovery: self.discovery.reports(),
        }
    }

    fn is_shared(&self) -> bool {
        self.runtime.load().engine.leases.is_shared()
    }

    /// Checks that there are keys and the source of each is down. A source that is down while another works
    /// does not keep the daemon from being ready.
    fn every_source_is_away(&self) -> bool {
        let runtime = self.runtime.load();
        let mut sources = runtime
            .managed_keys
            .values()
            .map(|managed| managed.source.id().as_str());
        let is_away = |source| {
            runtime
                .upstreams
                .get(source)
                .is_some_and(|upstream| !upstream.is_up())
        };
        !runtime.managed_keys.is_empty() && sources.all(is_away)
    }

    /// Returns `true` if the newest configuration was refused.
    pub fn is_refused(&self) -> bool {
        self.configuration.lock().rejected.is_some()
    }

    /// Records that this process has joined the replicas. Returns `true` the first time.
    pub fn joined(&self) -> bool {
        !self.joined.swap(true, Ordering::Relaxed)
    }

    /// Returns what this process has yet to do before it is ready; empty once it has been ready.
    fn missing(&self) -> Vec<String> {
        // A key that a reload adds does not make a ready process unready.
        if self.was_ready.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut missing = Vec::new();
        if !self.signed_in.load(Ordering::Relaxed) {
            missing.push("not signed in to Flashback yet".to_owned());
        }
        if self.is_shared() && !self.joined.load(Ordering::Relaxed) {
            missing.push("not among the replicas that share the state yet".to_owned());
        }
        let unseen = self.scheduler.unseen();
        if unseen > 0 {
            missing.push(format!("not looked at yet: {unseen} keys"));
        }
        if self.every_source_is_away() {
            missing.push("no source gives an answer that is of use".to_owned());
        }
        self.was_ready.store(missing.is_empty(), Ordering::Relaxed);
        missing
    }

    /// Records that the sign-in to Flashback has succeeded.
    pub fn signed_in(&self) {
        self.signed_in.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl StatusSource for DaemonStatusSource {
    fn live(&self) -> Result<(), String> {
        if self.scheduler.since_pulse() >= STUCK {
            return Err("the scheduler makes no progress".to_owned());
        }
        // A restart does not end the outage of a database, and is not needed after it.
        if self.state_answered.lock().elapsed() >= STATE_GONE && !self.is_shared() {
            return Err("the state does not answer".to_owned());
        }
        if !self.supervisor.all_well() {
            return Err("a part of the program panics again and again".to_owned());
        }
        match self.runtime.load().engine.checks.stalled() {
            Some(key) => Err(format!("the check of `{key}` hangs")),
            None => Ok(()),
        }
    }

    fn state(&self) -> Result<(), String> {
        let failing = self.runtime.load().engine.store.failing();
        failing.map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let mut missing = self.missing();
        missing.extend(self.state().err());
        match missing.is_empty() {
            true => Ok(()),
            false => Err(missing),
        }
    }

    fn metrics(&self) -> String {
        self.metrics.state_up(self.state().is_ok());
        self.metrics.render()
    }

    async fn status(&self) -> Result<serde_json::Value, String> {
        let runtime = self.runtime.load();
        let configured = Configured {
            path: &self.identity.config,
            state: &runtime.config.state,
            sources: runtime.config.sources.keys().cloned().collect(),
            keys: &runtime.config.keys,
        };
        let status = Status::read(&*runtime.engine.store, configured).await;
        let status = status.map_err(|error| error.to_string())?;
        serde_json::to_value(status).map_err(|error| error.to_string())
    }

    async fn overview(&self) -> Result<Overview, String> {
        let runtime = self.runtime.load();
        let store = &runtime.engine.store;
        let records = store.load_all().await.map_err(|error| error.to_string())?;
        let history = store.history(None, None, Some(EVENTS)).await;
        let mut events = history.map_err(|error| error.to_string())?;
        events.reverse();
        let replicas = match &self.membership {
            Some(membership) => membership
                .replicas()
                .await
                .map_err(|error| error.to_string())?,
            None => Vec::new(),
        };
        let at = Utc::now();
        Ok(Overview {
            at,
            started_at: self.identity.started_at,
            live: self.live().is_ok(),
            missing: self.missing(),
            state: self.state().err(),
            refused: self.is_refused(),
            services: overview::services(&runtime),
            replicas: overview::replicas(replicas),
            rules: self.discovery.reports(),
            keys: overview::keys(&runtime.config, records, at),
            events,
        })
    }
}
