//! The reporting of panics: each is logged once and counted once, wherever it is caught.
//!
//! Both happen in the panic hook, which runs before unwinding. The hook knows the location and, from
//! [`within`], the task and the key. It never reads the panic's message, which may contain a value.

use std::future::Future;
use std::panic::PanicHookInfo;
use std::sync::LazyLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::model::KeyId;

/// The task in which a panic happened, as `panics_total{task}` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The HTTP server and its connections.
    Http,
    /// The command queue, in which other processes leave requests.
    CommandServer,
    /// A request of another process.
    Request,
    /// The task that watches the configuration.
    Reload,
    /// The first sign-in to Flashback.
    SignIn,
    /// The task that watches for credentials that are changed in Flashback by others.
    Edits,
    /// The task that notifies people.
    Notifier,
    /// The task that reports to systemd.
    Systemd,
    /// The task that reports the daemon's health in the state.
    Heartbeat,
    /// The task that watches over the checks in progress.
    Checks,
    /// The task that shares the keys with other replicas.
    Sharing,
    /// The task that wakes keys.
    Scheduler,
    /// The timer of the keys with one interval.
    IntervalWheel,
    /// The task that watches the cron lines.
    Cron,
    /// A task that listens to a source's events.
    Events,
    /// The task that makes checks of events.
    Router,
    /// The task that takes what other replicas have heard.
    Wakeups,
    /// The task that discovers keys.
    Discovery,
    /// A reconcile of a key.
    Reconcile,
    /// The task that renews a source's token.
    Token,
    /// The thread that writes the state.
    State,
    /// Anything else.
    Other,
}

impl Task {
    /// All tasks.
    const ALL: [Self; 22] = [
        Self::Http,
        Self::CommandServer,
        Self::Request,
        Self::Reload,
        Self::SignIn,
        Self::Edits,
        Self::Notifier,
        Self::Systemd,
        Self::Heartbeat,
        Self::Checks,
        Self::Sharing,
        Self::Scheduler,
        Self::IntervalWheel,
        Self::Cron,
        Self::Events,
        Self::Router,
        Self::Wakeups,
        Self::Discovery,
        Self::Reconcile,
        Self::Token,
        Self::State,
        Self::Other,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::CommandServer => "desk",
            Self::Request => "request",
            Self::Reload => "reload",
            Self::SignIn => "sign_in",
            Self::Edits => "edits",
            Self::Notifier => "notifier",
            Self::Systemd => "systemd",
            Self::Heartbeat => "heartbeat",
            Self::Checks => "checks",
            Self::Sharing => "sharing",
            Self::Scheduler => "scheduler",
            Self::IntervalWheel => "ring",
            Self::Cron => "cron",
            Self::Events => "events",
            Self::Router => "router",
            Self::Wakeups => "wakeups",
            Self::Discovery => "discovery",
            Self::Reconcile => "look",
            Self::Token => "token",
            Self::State => "state",
            Self::Other => "other",
        }
    }
}

/// The label of [`COUNT`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TaskLabel {
    task: &'static str,
}

/// The number of panics in this process. The hook belongs to the whole process, and so does the count. Each
/// task has its series from the start, so that its first panic shows as an increase.
pub static COUNT: LazyLock<Family<TaskLabel, Counter>> = LazyLock::new(|| {
    let count = Family::default();
    for task in Task::ALL {
        let _: Counter = count.get_or_create_owned(&label(task));
    }
    count
});

fn label(task: Task) -> TaskLabel {
    TaskLabel {
        task: task.as_str(),
    }
}

tokio::task_local! {
    static HERE: (Task, Option<KeyId>);
}

/// Attributes a panic in `work` to `task`, and to `key` if there is one.
pub fn within<F: Future>(
    task: Task,
    key: Option<KeyId>,
    work: F,
) -> impl Future<Output = F::Output> {
    HERE.scope((task, key), work)
}

/// Attributes a panic in synchronous `work` to `task`.
pub fn within_now<T>(task: Task, work: impl FnOnce() -> T) -> T {
    HERE.sync_scope((task, None), work)
}

/// Logs and counts a panic: the hook of a process that has a log.
pub fn report(panic: &PanicHookInfo<'_>) {
    let (task, key) = HERE.try_with(Clone::clone).unwrap_or((Task::Other, None));
    COUNT.get_or_create(&label(task)).inc();
    let location = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    tracing::error!(
        task = task.as_str(),
        key = key.as_ref().map(KeyId::as_str),
        location = location.as_deref().unwrap_or("unknown"),
        thread = thread.name().unwrap_or("unnamed"),
        "the program panicked: this is a bug, please report it"
    );
}
