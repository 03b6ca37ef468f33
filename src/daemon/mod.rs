//! The daemon's life: start, reload, drain, stop.
//!
//! The daemon refuses to start, and says why, if it could not do its work: the state is in use, or the port
//! is taken. Once started, only a signal ends it: failures are retried, an invalid new configuration is
//! refused, and a reconcile run that panics is logged and repeated.

mod assignments;
mod command_server;
mod edits;
mod exposed;
mod heartbeat;
mod memory;
mod notifier;
mod overview;
mod reload;
mod services;
mod start_error;
pub(crate) mod state;
pub(crate) mod status_source;
mod systemd;
mod unresolvable;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::start_error::StartError;

use crate::config::Loaded;
use crate::engine::Changes;
use crate::failpoint;
use crate::membership::MembershipTask;
use crate::model::DaemonReport;
use crate::runtime::{Runtime, RuntimeContext, RuntimeHandle};
use crate::scheduler::Scheduler;
use crate::state::StateStore;
use crate::supervise::Supervisor;
use crate::telemetry::event;
use crate::telemetry::log::Handle;
use crate::telemetry::metrics::Metrics;

use assignments::Assignments;
use edits::EditWatch;
use notifier::Notifier;
use reload::Reloader;
use services::Services;
use state::State;
use status_source::{DaemonStatusSource, Identity, Watch};

/// How long pushes in flight may take to finish after a signal to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long pending notifications may take to be sent after that.
const LAST_NOTICES: Duration = Duration::from_secs(2);

/// How long the last writes to the state may take.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs the daemon until a signal to stop. `path` is the configuration that `loaded` was read from, and is
/// watched for changes.
///
/// # Errors
/// Returns [`StartError`] if the daemon could not start; nothing was changed then.
pub async fn run(path: PathBuf, loaded: Loaded, log: Handle) -> Result<(), StartError> {
    let mut signals = Signals::catch().map_err(StartError::Signals)?;
    let config = Arc::new(loaded.config);
    let address = config.http_listen;
    unresolvable::check_state(&config).await?;
    // The state is opened before the port: where another daemon runs, that is the error to report.
    let state = tokio::select! {
        state = State::open(&config.state) => state?,
        () = signals.stop() => return Ok(()),
    };
    unresolvable::check(&config, state.store.as_ref()).await?;
    let listener = listen(address).await?;
    let store = state.store.clone();
    let bound = listener.local_addr().unwrap_or(address);

    let metrics = Arc::new(Metrics::new());
    let watch = Arc::new(Watch::default());
    let looks = CancellationToken::new();
    let context = RuntimeContext {
        fingerprinter: store.fingerprinter().await?,
        store: store.clone(),
        leases: state.leases.clone(),
        replica: state.name(),
        metrics: Arc::clone(&metrics),
        checks: Arc::default(),
        outages: watch.clone(),
        changes: Changes::default(),
        stop: looks.clone(),
        since: Utc::now(),
    };
    let runtime = Runtime::build(Arc::clone(&config), &context, None)?;
    runtime.report_services(None);
    tracing::info!(
        event = event::STARTED,
        version = env!("CARGO_PKG_VERSION"),
        config = %path.display(),
        state = %config.state,
        http = %bound,
        keys = runtime.managed_keys.len(),
        sources = runtime.sources.len(),
        "flashback-rotator is up"
    );
    for warning in &loaded.warnings {
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

    exposed::warn(Arc::clone(&config));
    runtime.announce(None);
    let runtime = Arc::new(RuntimeHandle::new(runtime));
    let supervisor = Supervisor::new(looks.clone());
    let scheduler = Scheduler::start(runtime.clone(), supervisor.clone());
    watch.attach(scheduler.clone());
    let status_source = DaemonStatusSource::new(
        runtime.clone(),
        scheduler.clone(),
        supervisor.clone(),
        metrics.clone(),
        state
            .shared
            .as_ref()
            .map(|shared| shared.membership.clone()),
        Identity {
            name: state::name(),
            started_at: Utc::now(),
            listen: bound,
            config: std::path::absolute(&path).unwrap_or_else(|_| path.clone()),
        },
    );
    let assignments = Arc::new(Assignments::new(
        runtime.clone(),
        scheduler.clone(),
        status_source.clone(),
    ));

    // Services with nothing to finish: they run while reconcile runs drain, and are dropped after that.
    let rest = CancellationToken::new();
    let hangups = Arc::new(Notify::new());
    let requests = TaskTracker::new();
    let services = Services {
        supervisor,
        runtime: runtime.clone(),
        status_source: status_source.clone(),
    };
    let leave = CancellationToken::new();
    // The notifier subscribes to changes before any key is reconciled.
    let told = CancellationToken::new();
    let notifier = Notifier::new(runtime.clone(), status_source.clone(), told.clone());
    let sharing = match &state.shared {
        None => {
            assignments.renew();
            None
        }
        Some(shared) => Some(services.sharing(MembershipTask::new(
            shared.membership.clone(),
            state.leases.clone(),
            assignments.clone(),
            shared.terms.clone(),
            metrics.clone(),
            looks.clone(),
            leave.clone(),
        ))),
    };
    let notifier = services.notifier(notifier);
    // `READY=1` comes first: the service for systemd sends status lines from here on.
    systemd::ready(&runtime.load()).await;
    let running = [
        services.http(listener, rest.clone()),
        services.command_server(command_server::CommandServer {
            runtime: runtime.clone(),
            store: store.clone(),
            requests: requests.clone(),
            stop: looks.clone(),
            status_source: status_source.clone(),
        }),
        services.reload(
            Reloader::new(
                path,
                loaded.digest,
                runtime.clone(),
                context,
                assignments,
                status_source.clone(),
                log,
            ),
            hangups.clone(),
        ),
        services.systemd(),
        services.heartbeat(),
        services.checks(),
        services.sign_in(),
        services.edits(EditWatch::new(runtime.clone(), scheduler.clone())),
    ];
    let first = live(&mut signals, &hangups).await;

    tracing::info!(
        event = event::STOPPING,
        signal = first,
        "finishing what is in flight; a second signal stops at once"
    );
    systemd::stopping(first).await;
    looks.cancel();
    requests.close();
    let drained = async {
        scheduler.drained().await;
        requests.wait().await;
    };
    let last_notices = tokio::select! {
        () = drained => LAST_NOTICES,
        () = tokio::time::sleep(failpoint::interval("FLASHBACK_ROTATOR_DRAIN_MS", DRAIN)) => {
            tracing::warn!("a push did not finish in time; the next start finds out what became of it");
            LAST_NOTICES
        }
        () = signals.stop() => {
            tracing::warn!("stopping at once");
            Duration::ZERO
        }
    };
    told.cancel();
    let is_told = tokio::select! {
        told = tokio::time::timeout(last_notices, notifier) => told.is_ok(),
        () = signals.stop() => false,
    };
    if !is_told {
        tracing::warn!(
            "not every receiver has been told of everything: what lasts is told after the next start"
        );
    }
    rest.cancel();
    running.iter().for_each(JoinHandle::abort);
    let report = status_source.report();
    leave.cancel();
    leave_state(&*store, &report, sharing).await;
    tracing::info!(event = event::STOPPED, "stopped");
    Ok(())
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

async fn listen(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound
        .and_then(TcpListener::into_std)
        .map_err(|error| StartError::Listen {
            address,
            reason: error.to_string(),
        })
}

/// Waits for the first signal to stop and returns its name. It waits for nothing else: a reload that hangs on
/// a dead mount must not keep the process from stopping.
async fn live(signals: &mut Signals, hangups: &Notify) -> &'static str {
    loop {
        let told = signals.next().await;
        match told.kind {
            Kind::Stop => return told.name,
            Kind::Reload => hangups.notify_one(),
        }
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

enum Kind {
    Stop,
    Reload,
}

struct Told {
    kind: Kind,
    name: &'static str,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told { kind: Kind::Stop, name: "SIGTERM" },
            _ = self.interrupt.recv() => Told { kind: Kind::Stop, name: "SIGINT" },
            _ = self.hangup.recv() => Told { kind: Kind::Reload, name: "SIGHUP" },
        }
    }

    async fn stop(&mut self) {
        while let Kind::Reload = self.next().await.kind {}
    }
}
