//! Reports to systemd: ready, reloading, alive, stopping, and a status line about the keys.
//!
//! The protocol is `sd_notify(3)` with `Type=notify-reload` and `WatchdogSec=`. Without `$NOTIFY_SOCKET`
//! nothing is sent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{self, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::time::{Instant, MissedTickBehavior};

use super::status_source::DaemonStatusSource;
use crate::engine::report::State;
use crate::failpoint;
use crate::http::StatusSource as _;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::telemetry::metrics::{FLASHBACK, service_of};
use crate::upstream::UpstreamView;

/// The interval at which the status line is rebuilt; it is sent only if it has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The time limit for systemd to accept a message.
const PATIENCE: Duration = Duration::from_secs(1);

/// The largest number of sources, or of providers, that the status line names one by one.
const NAMED: usize = 8;

/// Reports that the daemon is up: its configuration is loaded, its state open, its port bound and its engine
/// at work. Flashback and the sources are not waited for: an outage there must not fail the start.
pub async fn ready(runtime: &Runtime) {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status(&status(runtime, "")),
    ])
    .await;
}

/// Reports that a reload begins. [`reloaded`] must follow.
pub async fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    let begins = [Some(NotifyState::Reloading), now.ok()];
    tell(&begins.into_iter().flatten().collect::<Vec<_>>()).await;
}

/// Reports that a reload has ended, with the status by the configuration in force.
pub async fn reloaded(runtime: &Runtime, status_source: &DaemonStatusSource) {
    let status = status(runtime, note(status_source));
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]).await;
}

/// Reports that the daemon is stopping because of a signal.
pub async fn stopping(signal: &str) {
    let status = format!("{signal}: finishing what is in flight");
    tell(&[NotifyState::Stopping, NotifyState::Status(&status)]).await;
}

/// Keeps the status line up to date, and notifies the watchdog for as long as `/livez` succeeds.
pub async fn keep_told(handle: &RuntimeHandle, status_source: &DaemonStatusSource) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let half = sd_notify::watchdog_enabled().map(|limit| limit / 2);
    let period = half.unwrap_or(LOOK).clamp(Duration::from_millis(1), LOOK);
    let mut look = tokio::time::interval(period);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut said, mut said_at) = (String::new(), None::<Instant>);
    let mut alive_at = None::<Instant>;
    let due = |last: Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
    loop {
        look.tick().await;
        failpoint::reach("systemd_told");
        if let Some(half) = half
            && due(alive_at, half.saturating_sub(period))
            && status_source.live().is_ok()
        {
            tell(&[NotifyState::Watchdog]).await;
            alive_at = Some(Instant::now());
        }
        if due(said_at, LOOK) {
            said_at = Some(Instant::now());
            let status = status(&handle.load(), note(status_source));
            if status != said {
                tell(&[NotifyState::Status(&status)]).await;
                said = status;
            }
        }
    }
}

fn note(status_source: &DaemonStatusSource) -> &'static str {
    match status_source.is_refused() {
        true => "; the new configuration is refused, the old one goes on",
        false => "",
    }
}

/// Returns the status line, such as `12 keys: 11 in sync, 1 failing; Flashback up; vault up, aws down; openai up`,
/// followed by `note`. The state of keys that other replicas have leased is not known here.
fn status(runtime: &Runtime, note: &str) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    let mut elsewhere = 0;
    for key in runtime.config.keys.keys() {
        let managed = runtime.managed_keys.get(key);
        if managed.is_some() && !runtime.engine.leases.has(key) {
            elsewhere += 1;
            continue;
        }
        let state = managed.map_or(State::Disabled, |managed| managed.seen().state);
        *counts.entry(state).or_default() += 1;
    }
    let keys = runtime.config.keys.len();
    let mut text = format!("{keys} {}", if keys == 1 { "key" } else { "keys" });
    for (number, (state, count)) in counts.iter().enumerate() {
        let separator = if number == 0 { ":" } else { "," };
        let word = state.as_str().replace('_', " ");
        let _ = write!(text, "{separator} {count} {word}");
    }
    if elsewhere > 0 {
        let separator = if counts.is_empty() { ":" } else { "," };
        let _ = write!(text, "{separator} {elsewhere} with other replicas");
    }
    let flashback = runtime.upstreams.get(FLASHBACK);
    let flashback = flashback.is_none_or(UpstreamView::is_up);
    text += &services("", &[("Flashback".to_owned(), flashback)]);
    let upstreams = &runtime.upstreams;
    let of = |id: &str, service: &str| Some((id.to_owned(), upstreams.get(service)?.is_up()));
    let sources = runtime.sources.keys();
    let sources = sources.filter_map(|id| of(id.as_str(), id.as_str()));
    let providers = runtime.engine.providers.keys();
    let providers = providers.filter_map(|id| of(id.as_str(), &service_of(id)));
    text += &services("sources", &sources.collect::<Vec<_>>());
    text += &services("providers", &providers.collect::<Vec<_>>());
    text + note
}

/// Returns the part of the status line about these services, each with whether it is up: each of them, or how many are
/// down where there are more than [`NAMED`].
fn services(kind: &str, all: &[(String, bool)]) -> String {
    let word = |is_up| if is_up { "up" } else { "down" };
    if all.len() > NAMED {
        let down = all.iter().filter(|(_, is_up)| !is_up).count();
        return format!("; {down} of {} {kind} down", all.len());
    }
    let mut text = String::new();
    for (number, (id, is_up)) in all.iter().enumerate() {
        let separator = if number == 0 { ";" } else { "," };
        let _ = write!(text, "{separator} {id} {}", word(*is_up));
    }
    text
}

/// Sends a message to systemd. A failure is logged once, since systemd notices it by itself. A systemd that
/// does not read delays the caller for [`PATIENCE`] at most, and blocks no thread.
async fn tell(what: &[NotifyState<'_>]) {
    static COMPLAINED: AtomicBool = AtomicBool::new(false);
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let lines: String = what.iter().map(|state| format!("{state}\n")).collect();
    let told = async { socket(&path)?.send(lines.as_bytes()).await };
    let told = tokio::time::timeout(PATIENCE, told).await;
    let told = told.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    if let Err(error) = told
        && !COMPLAINED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(%error, "systemd cannot be told: $NOTIFY_SOCKET does not answer");
    }
}

/// Connects to the socket at `path`; a name that begins with `@` is in the abstract namespace.
fn socket(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = net::UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    UnixDatagram::from_std(socket)
}
