//! The services that run beside the engine for as long as the process does. Each is a task of its own, and is
//! started again if it panics.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::command_server::CommandServer;
use super::discovery::DiscoveryTask;
use super::edits::EditWatch;
use super::events::{Notices, Router};
use super::heartbeat;
use super::notifier::Notifier;
use super::reload::Reloader;
use super::state::State;
use super::status_source::DaemonStatusSource;
use super::systemd;
use crate::failpoint;
use crate::http;
use crate::membership::MembershipTask;
use crate::membership::wakeups::WakeupTask;
use crate::progress::{self, Checks};
use crate::retry::{Limits, Round};
use crate::runtime::RuntimeHandle;
use crate::supervise::Supervisor;
use crate::telemetry::metrics::FLASHBACK;
use crate::telemetry::panics::Task;
use crate::upstream::Failure as _;

/// The time without a successful call to Flashback after which a sign-in checks that it still accepts the rotator. If
/// keys are pushed or edits are watched, those calls show it.
const SIGN_IN_CHECK: Duration = Duration::from_secs(30);

/// The time for which the HTTP server waits for a free file descriptor before it tries again to listen.
const NO_DESCRIPTOR: Duration = Duration::from_secs(1);

/// Starts the services, and holds what they share.
pub struct Services {
    /// Restarts services that panic.
    pub supervisor: Supervisor,
    /// The current runtime.
    pub runtime: Arc<RuntimeHandle>,
    /// The daemon's status.
    pub status_source: Arc<DaemonStatusSource>,
}

impl Services {
    /// Starts the HTTP server, which serves health, metrics and status until `stop` is cancelled.
    pub fn http(
        &self,
        listener: std::net::TcpListener,
        notices: Notices,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let server = Server {
            listener,
            status_source: self.status_source.clone(),
            notices: Arc::new(notices),
            stop,
        };
        self.start(Task::Http, server, |server| server.serve().boxed())
    }

    /// Starts to serve the command queue.
    pub fn command_server(
        &self,
        state: &State,
        requests: &TaskTracker,
        stop: &CancellationToken,
    ) -> JoinHandle<()> {
        let command_server = CommandServer {
            runtime: self.runtime.clone(),
            store: state.store.clone(),
            requests: requests.clone(),
            stop: stop.clone(),
            status_source: self.status_source.clone(),
        };
        self.start(Task::CommandServer, command_server, |command_server| {
            command_server.serve().boxed()
        })
    }

    /// Starts the membership task, which leases keys.
    pub fn sharing(&self, task: MembershipTask) -> JoinHandle<()> {
        self.start(Task::Sharing, task, |task| task.run().boxed())
    }

    /// Starts to take what other replicas have heard.
    pub fn wakeups(&self, task: WakeupTask) -> JoinHandle<()> {
        self.start(Task::Wakeups, task, |task| task.run().boxed())
    }

    /// Starts to watch the configuration. Each of `hangups` is a SIGHUP.
    pub fn reload(&self, reloader: Reloader, hangups: Arc<Notify>) -> JoinHandle<()> {
        let state = (reloader, hangups);
        self.start(Task::Reload, state, |(reloader, hangups)| {
            reloader.watch(hangups).boxed()
        })
    }

    /// Starts to make checks of events.
    pub fn router(&self, router: Router) -> JoinHandle<()> {
        self.start(Task::Router, router, |router| router.run().boxed())
    }

    /// Starts to report to systemd.
    pub fn systemd(&self) -> JoinHandle<()> {
        let state = (self.runtime.clone(), self.status_source.clone());
        self.start(Task::Systemd, state, |(handle, status_source)| {
            systemd::keep_told(handle, status_source).boxed()
        })
    }

    /// Starts to write this daemon's report to the state.
    pub fn heartbeat(&self) -> JoinHandle<()> {
        let state = (self.runtime.clone(), self.status_source.clone());
        self.start(Task::Heartbeat, state, |(handle, status_source)| {
            heartbeat::keep_up(handle, status_source).boxed()
        })
    }

    /// Starts the watch for checks that hang.
    pub fn checks(&self) -> JoinHandle<()> {
        let checks = Arc::clone(&self.runtime.load().engine.checks);
        self.start(Task::Checks, checks, |checks| watch(checks).boxed())
    }

    /// Starts the notifier.
    pub fn notifier(&self, notifier: Notifier) -> JoinHandle<()> {
        self.start(Task::Notifier, notifier, |notifier| notifier.run().boxed())
    }

    /// Starts the watch for credentials that others change in Flashback.
    pub fn edits(&self, watch: EditWatch) -> JoinHandle<()> {
        self.start(Task::Edits, watch, |watch| watch.run().boxed())
    }

    /// Starts to discover keys.
    pub fn discovery(&self, task: DiscoveryTask) -> JoinHandle<()> {
        self.start(Task::Discovery, task, |task| task.run().boxed())
    }

    /// Starts to sign in to Flashback from time to time.
    pub fn sign_in(&self) -> JoinHandle<()> {
        let state = (self.runtime.clone(), self.status_source.clone());
        self.start(Task::SignIn, state, |(handle, status_source)| {
            sign_in(handle, status_source).boxed()
        })
    }

    fn start<S: Send + 'static>(
        &self,
        task: Task,
        state: S,
        run: impl for<'a> Fn(&'a mut S) -> BoxFuture<'a, ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let supervisor = self.supervisor.clone();
        tokio::spawn(async move { supervisor.keep(task, state, run).await })
    }
}

async fn watch(checks: &Checks) {
    let mut beat = tokio::time::interval(progress::BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        checks.beat();
    }
}

/// The HTTP server and the socket with which it is started again.
struct Server {
    listener: std::net::TcpListener,
    status_source: Arc<DaemonStatusSource>,
    notices: Arc<Notices>,
    stop: CancellationToken,
}

impl Server {
    async fn serve(&self) {
        // The server closes its socket when it ends; this one keeps the port bound for the next start.
        let listener = loop {
            match self.listener.try_clone().and_then(TcpListener::from_std) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(NO_DESCRIPTOR).await,
            }
        };
        let (status_source, notices) = (self.status_source.clone(), self.notices.clone());
        http::serve(listener, status_source, notices, self.stop.clone()).await;
    }
}

/// Waits until no call to Flashback has succeeded for [`SIGN_IN_CHECK`].
async fn until_silent(handle: &RuntimeHandle) {
    let check = failpoint::interval("FLASHBACK_ROTATOR_SIGN_IN_CHECK_MS", SIGN_IN_CHECK);
    loop {
        tokio::time::sleep(check).await;
        let runtime = handle.load();
        let upstream = runtime.upstreams.get(FLASHBACK);
        if !upstream.is_some_and(|upstream| upstream.has_worked_within(check)) {
            return;
        }
    }
}

/// Signs in to Flashback at the start, which `/readyz` waits for, and again whenever no call has succeeded
/// for a while, so that a wrong credential shows before a rotation needs it.
async fn sign_in(handle: &RuntimeHandle, status_source: &DaemonStatusSource) {
    let limits = Limits {
        give_up_after: Duration::MAX,
        ..handle.load().config.retry
    };
    let mut round = Round::begin(limits);
    loop {
        failpoint::reach("signing_in");
        let flashback = Arc::clone(&handle.load().engine.flashback);
        let Err(error) = flashback.sign_in().await else {
            status_source.signed_in();
            round = Round::begin(limits);
            until_silent(handle).await;
            continue;
        };
        let wait = round
            .next_wait(error.class().retry_after())
            .unwrap_or(limits.max);
        tokio::time::sleep(wait).await;
    }
}
