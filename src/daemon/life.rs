//! A daemon that runs: how its tasks are put together, and in which order they end.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assignments::Assignments;
use super::discovery::DiscoveryTask;
use super::edits::EditWatch;
use super::events::{Events, Waker};
use super::installer::Installer;
use super::notifier::Notifier;
use super::reload::Reloader;
use super::services::Services;
use super::signals::Signals;
use super::start_error::StartError;
use super::state::{self, State};
use super::status_source::{DaemonStatusSource, Identity, Watch};
use super::{exposed, systemd};
use crate::config::{Config, Digest, Discoveries};
use crate::engine::Changes;
use crate::failpoint;
use crate::membership::MembershipTask;
use crate::membership::wakeups::{EVERY, WakeupTask};
use crate::model::DaemonReport;
use crate::runtime::{self, Runtime, RuntimeContext, RuntimeHandle};
use crate::scheduler::Scheduler;
use crate::state::StateStore;
use crate::state::wakeups::Wakeups;
use crate::supervise::Supervisor;
use crate::telemetry::event;
use crate::telemetry::log::Handle;
use crate::telemetry::metrics::Metrics;
use crate::trigger::Feed;

/// The time that pushes in flight have to finish after a signal to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The time after that for sending pending notifications.
const LAST_NOTICES: Duration = Duration::from_secs(2);

/// The time limit for the last writes to the state.
const FLUSH: Duration = Duration::from_secs(2);

/// The parts that a daemon is started with.
pub struct Start {
    /// The path of the configuration.
    pub path: PathBuf,
    /// The configuration.
    pub config: Arc<Config>,
    /// The warnings about the configuration.
    pub warnings: Vec<String>,
    /// The digest of its files.
    pub digest: Digest,
    /// The handle that changes the level of the log.
    pub log: Handle,
    /// The state.
    pub state: State,
    /// The listener of the HTTP server for health, metrics and status.
    pub listener: TcpListener,
}

impl Start {
    /// Builds what the configuration asks for, and starts everything.
    ///
    /// # Errors
    /// Returns [`StartError`]; nothing was changed then.
    pub async fn run(self) -> Result<Daemon, StartError> {
        let ends = Ends::default();
        let watch = Arc::new(Watch::default());
        let context = context(&self.state, &watch, &ends).await?;
        let discoveries = self.state.store.discovered().await?;
        let (config, _) = self.config.with(&discoveries);
        let runtime = runtime::build(Arc::new(config), &context, None)?;
        runtime.report_services(None);
        report_start(&runtime, &self.path, self.bound(), &self.warnings);
        exposed::warn(Arc::clone(&self.config));
        runtime.announce(None);
        let runtime = Arc::new(RuntimeHandle::new(runtime));
        let supervisor = Supervisor::new(ends.checks.clone());
        let scheduler = Scheduler::start(runtime.clone(), supervisor.clone());
        watch.attach(scheduler.clone());
        let services = Services {
            status_source: self.status_source(&runtime, &scheduler, &supervisor, &context),
            supervisor,
            runtime,
        };
        Ok(self
            .serve(services, scheduler, context, discoveries, ends)
            .await)
    }

    /// Starts the tasks beside the scheduler.
    async fn serve(
        self,
        services: Services,
        scheduler: Scheduler,
        context: RuntimeContext,
        discoveries: Discoveries,
        ends: Ends,
    ) -> Daemon {
        let (runtime, status_source) = (&services.runtime, &services.status_source);
        let assignments = Assignments::new(runtime, &scheduler, status_source);
        // The notifier subscribes to changes before any key is reconciled.
        let notifier = Notifier::new(runtime.clone(), status_source.clone(), ends.notices.clone());
        let membership = share(&services, &self.state, &assignments, &context, &ends);
        let notifier = services.notifier(notifier);
        // `READY=1` comes first: the service for systemd sends status lines from here on.
        systemd::ready(&runtime.load()).await;
        let (hangups, requests) = (Arc::new(Notify::new()), TaskTracker::new());
        let events = Events::begin(
            &context.feed,
            runtime,
            &assignments,
            (status_source.discovery(), self.wakeups()),
            &services.supervisor,
        );
        let (installer, discovery) = discovery_of(&services, assignments, context, discoveries);
        let reloader = Reloader::new(
            self.path,
            self.digest,
            runtime.clone(),
            installer,
            events.listeners,
            status_source.clone(),
            self.log,
        );
        let tasks = vec![
            services.http(self.listener, events.notices, ends.tasks.clone()),
            services.command_server(&self.state, &requests, &ends.checks),
            services.reload(reloader, hangups.clone()),
            services.router(events.router),
            services.discovery(discovery),
            services.systemd(),
            services.heartbeat(),
            services.checks(),
            services.sign_in(),
            services.edits(EditWatch::new(runtime.clone(), scheduler.clone())),
        ];
        Daemon {
            hangups,
            store: self.state.store,
            scheduler,
            status_source: services.status_source,
            requests,
            tasks,
            notifier,
            membership,
            ends,
        }
    }

    /// Returns where replicas leave each other wakeups, if there can be any.
    fn wakeups(&self) -> Option<Arc<dyn Wakeups>> {
        Some(self.state.shared.as_ref()?.wakeups.clone())
    }

    fn status_source(
        &self,
        runtime: &Arc<RuntimeHandle>,
        scheduler: &Scheduler,
        supervisor: &Supervisor,
        context: &RuntimeContext,
    ) -> Arc<DaemonStatusSource> {
        let membership = self.state.shared.as_ref();
        let path = &self.path;
        DaemonStatusSource::new(
            runtime.clone(),
            scheduler.clone(),
            supervisor.clone(),
            context.metrics.clone(),
            membership.map(|shared| shared.membership.clone()),
            Identity {
                name: state::name(),
                started_at: Utc::now(),
                listen: self.bound(),
                config: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            },
        )
    }

    /// Returns the address at which the HTTP server listens.
    fn bound(&self) -> SocketAddr {
        let bound = self.listener.local_addr();
        bound.unwrap_or(self.config.http.listen)
    }
}

/// A running daemon.
pub struct Daemon {
    /// Wakes the task that reloads the configuration.
    pub hangups: Arc<Notify>,
    store: Arc<dyn StateStore>,
    scheduler: Scheduler,
    status_source: Arc<DaemonStatusSource>,
    /// Requests of other processes that are being carried out.
    requests: TaskTracker,
    /// The tasks with nothing to finish.
    tasks: Vec<JoinHandle<()>>,
    notifier: JoinHandle<()>,
    /// The task of a replica.
    membership: Option<JoinHandle<()>>,
    ends: Ends,
}

/// The signals that end the parts of the daemon, in the order in which they are given.
#[derive(Clone, Default)]
struct Ends {
    /// No more checks are begun.
    checks: CancellationToken,
    /// No more notices are sent.
    notices: CancellationToken,
    /// The tasks end that run while the checks drain and have nothing to finish.
    tasks: CancellationToken,
    /// The replica leaves the membership.
    membership: CancellationToken,
}

impl Daemon {
    /// Finishes what is in flight, and ends. `signal` is the name of the one that asked for it; another one
    /// stops at once.
    pub async fn stop(self, signal: &'static str, signals: &mut Signals) {
        tracing::info!(
            event = event::STOPPING,
            signal,
            "finishing what is in flight; a second signal stops at once"
        );
        systemd::stopping(signal).await;
        self.ends.checks.cancel();
        self.requests.close();
        let last_notices = self.drain(signals).await;
        self.ends.notices.cancel();
        let is_told = tokio::select! {
            told = tokio::time::timeout(last_notices, self.notifier) => told.is_ok(),
            () = signals.stop() => false,
        };
        if !is_told {
            tracing::warn!(
                "not every receiver has been told of everything: what lasts is told after the next start"
            );
        }
        self.ends.tasks.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
        let report = self.status_source.report();
        self.ends.membership.cancel();
        leave_state(&*self.store, &report, self.membership).await;
        tracing::info!(event = event::STOPPED, "stopped");
    }

    /// Waits for the checks and requests in flight. Returns the time for sending notices after that.
    async fn drain(&self, signals: &mut Signals) -> Duration {
        let drained = async {
            self.scheduler.drained().await;
            self.requests.wait().await;
        };
        let limit = failpoint::interval("FLASHBACK_ROTATOR_DRAIN_MS", DRAIN);
        tokio::select! {
            () = drained => LAST_NOTICES,
            () = tokio::time::sleep(limit) => {
                tracing::warn!("a push did not finish in time; the next start finds out what became of it");
                LAST_NOTICES
            }
            () = signals.stop() => {
                tracing::warn!("stopping at once");
                Duration::ZERO
            }
        }
    }
}

/// Returns what every configuration of this process is built with.
async fn context(
    state: &State,
    watch: &Arc<Watch>,
    ends: &Ends,
) -> Result<RuntimeContext, StartError> {
    let metrics = Arc::new(Metrics::new());
    Ok(RuntimeContext {
        fingerprinter: state.store.fingerprinter().await?,
        store: state.store.clone(),
        leases: state.leases.clone(),
        replica: state.name(),
        feed: Arc::new(Feed::new(Arc::clone(&metrics))),
        metrics,
        checks: Arc::default(),
        outages: watch.clone(),
        told: Arc::default(),
        changes: Changes::default(),
        stop: ends.checks.clone(),
        since: Utc::now(),
    })
}

/// Creates what puts configurations in force, and the task that discovers keys.
fn discovery_of(
    services: &Services,
    assignments: Arc<Assignments>,
    context: RuntimeContext,
    discoveries: Discoveries,
) -> (Arc<Installer>, DiscoveryTask) {
    let runtime = &services.runtime;
    let installer = Installer::new(runtime.clone(), assignments, context, discoveries);
    let installer = Arc::new(installer);
    let discovery = services.status_source.discovery().clone();
    let task = DiscoveryTask::new(discovery, runtime.clone(), installer.clone());
    (installer, task)
}

/// Logs that the daemon is up, and what is doubtful about its configuration.
fn report_start(runtime: &Runtime, path: &Path, bound: SocketAddr, warnings: &[String]) {
    tracing::info!(
        event = event::STARTED,
        version = env!("CARGO_PKG_VERSION"),
        config = %path.display(),
        state = %runtime.config.state,
        http = %bound,
        keys = runtime.managed_keys.len(),
        sources = runtime.sources.len(),
        "flashback-rotator is up"
    );
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // A pod has to listen on all addresses; the cluster's policies decide who reaches it.
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if !bound.ip().is_loopback() && !in_pod {
        tracing::warn!(
            http = %bound,
            "[http] listen is not a loopback address: whoever reaches it sees the keys' names, states and errors (no secret is among them). Let only those in who may, by a firewall or a network policy"
        );
    }
}

/// Has all keys worked on or, where replicas share them, the task started that claims some.
fn share(
    services: &Services,
    state: &State,
    assignments: &Arc<Assignments>,
    context: &RuntimeContext,
    ends: &Ends,
) -> Option<JoinHandle<()>> {
    let Some(shared) = &state.shared else {
        assignments.renew();
        return None;
    };
    let waker = Waker::new(services.runtime.clone(), assignments.clone());
    let wake = Box::new(move |woken| waker.wake_for_others(woken));
    services.wakeups(WakeupTask::new(shared.wakeups.clone(), EVERY, wake));
    Some(services.sharing(MembershipTask::new(
        shared.membership.clone(),
        state.leases.clone(),
        assignments.clone(),
        shared.terms.clone(),
        context.metrics.clone(),
        ends.checks.clone(),
        ends.membership.clone(),
    )))
}

/// Writes what is left to the state: pending records and the last report, marked as stopped. Where replicas
/// share the keys, it also waits until this one has left them.
async fn leave_state(
    store: &dyn StateStore,
    report: &DaemonReport,
    sharing: Option<JoinHandle<()>>,
) {
    let left = async {
        let stopped = store.leave_report(report, true).await;
        match sharing {
            Some(sharing) => sharing.await.map_err(|error| error.to_string())?,
            None => store.flush().await.map_err(|error| error.to_string())?,
        }
        stopped.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(FLUSH, left).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last notes were not written"),
        Err(_) => tracing::warn!("the last notes were not written: the state does not answer"),
    }
}
