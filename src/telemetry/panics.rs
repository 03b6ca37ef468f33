//! A panic is one line in the log and one in a count, whoever catches it.
//!
//! Both are the work of the hook, which runs before anything is unwound: it knows the place, and by
//! [`within`] the task and the key. It never looks at the panic's message, which can hold a value.

use std::future::Future;
use std::panic::PanicHookInfo;
use std::sync::LazyLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::model::KeyId;

/// What a panic can happen in, as `panics_total{task}` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The HTTP server, and its connections.
    Http,
    /// The desk where other processes leave requests.
    CommandServer,
    /// One such request.
    Request,
    /// What watches the configuration.
    Reload,
    /// The first sign-in to Flashback.
    SignIn,
    /// The watch for credentials that others change in Flashback.
    Edits,
    /// What tells people how things stand.
    Notifier,
    /// What tells systemd how things stand.
    Systemd,
    /// What tells the state how the daemon stands.
    Heartbeat,
    /// The watch over the checks under way.
    Checks,
    /// What shares the keys with other replicas.
    Sharing,
    /// What wakes keys.
    Scheduler,
    /// The keys of one interval.
    IntervalWheel,
    /// The cron lines.
    Cron,
    /// A look at a key.
    Reconcile,
    /// What renews a source's token.
    Token,
    /// The thread of the state.
    State,
    /// Anything else.
    Other,
}

impl Task {
    /// Every one there is.
    const ALL: [Self; 18] = [
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

/// The process's panics. The hook is one for the process, so the count is too; each task is in it
/// from the start, so that its first panic shows as an increase.
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

/// Has a panic in `work` told as one of `task`, and of `key` where it is about one.
pub fn within<F: Future>(
    task: Task,
    key: Option<KeyId>,
    work: F,
) -> impl Future<Output = F::Output> {
    HERE.scope((task, key), work)
}

/// The same for work that does not wait.
pub fn within_now<T>(task: Task, work: impl FnOnce() -> T) -> T {
    HERE.sync_scope((task, None), work)
}

/// The panic hook of a process that has a log.
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
