//! Work on keys, by the daemon that runs on this state or, without one, by this process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use humantime::format_duration;
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::render;
use super::{End, beside, fail, replicas, say, setup, table};
use crate::config::{Config, StateConfig};
use crate::daemon::state::holder;
use crate::engine::STOPPED;
use crate::engine::report::{self, KeyReport};
use crate::model::{KeyCommand, KeyId};
use crate::runtime::Runtime;
use crate::state::sqlite::{DAEMON, Sqlite};
use crate::state::{Request, RequestState, StateError, StateStore};

/// How often the answer of a daemon is looked for.
const POLL: Duration = Duration::from_millis(100);

/// How long a daemon may be gone before nobody is expected to answer. A restart takes less.
const ABANDONED: Duration = Duration::from_secs(10);

/// How long a push in flight may take to finish once time is over.
const DRAIN: Duration = Duration::from_secs(10);

/// How much longer than a daemon was given its answer is waited for.
const ANSWER: Duration = Duration::from_secs(3);

/// Has a request carried out and prints what came of it. `command` is what the user has typed; `timeout` is for
/// the work of this process, a daemon's is in the request.
pub async fn carry_out(
    command: &str,
    config: Config,
    request: &Request,
    timeout: Option<Duration>,
    json: bool,
) -> Result<(End, Vec<KeyReport>), End> {
    setup::quiet_log(&config)?;
    let rows = match config.state.clone() {
        StateConfig::Postgres(postgres) => {
            replicas::carry_out(command, config, &postgres, request, timeout).await?
        }
        StateConfig::Sqlite { path } => match Sqlite::open(&path, &holder(command)) {
            Ok(store) => alone(config, Arc::new(store), request, timeout).await?,
            Err(StateError::Locked {
                holder: Some(holder),
                ..
            }) if holder.starts_with(DAEMON) => {
                by_the_daemon(command, &config, &path, request).await?
            }
            Err(error) => return Err(fail(error)),
        },
    };
    if json {
        setup::print(report::document(&rows));
    } else {
        setup::print(render(&rows));
    }
    Ok((setup::end_of(&rows), rows))
}

async fn alone(
    config: Config,
    store: Arc<Sqlite>,
    request: &Request,
    timeout: Option<Duration>,
) -> Result<Vec<KeyReport>, End> {
    let (keys, key_command) = request.parts();
    let stop = CancellationToken::new();
    let runtime = setup::runtime(config, store.clone(), Arc::new(setup::OnStderr), &stop).await?;
    let bar = table::progress(runtime.named(&keys).len());
    let work = pass(
        &runtime,
        (&keys, key_command),
        &stop,
        Limit::new(timeout),
        &bar,
    );
    let rows = tokio::select! {
        rows = work => rows,
        () = second_signal(&stop) => return Err(fail(STOPPED_AT_ONCE)),
    };
    bar.finish_and_clear();
    store.flush().await.map_err(fail)?;
    Ok(rows)
}

/// What is said after a second signal.
pub const STOPPED_AT_ONCE: &str =
    "stopped at once; what was in flight is found out about at the next look";

/// By when work is to be done.
#[derive(Clone, Copy)]
pub struct Limit {
    timeout: Duration,
    at: Instant,
}

impl Limit {
    /// One that begins now.
    pub fn new(timeout: Option<Duration>) -> Option<Self> {
        let timeout = timeout?;
        let at = Instant::now().checked_add(timeout)?;
        Some(Self { timeout, at })
    }

    /// Returns when the limit is reached: never, where there is none.
    pub async fn reached(limit: Option<Self>) {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit.at).await,
            None => std::future::pending().await,
        }
    }
}

/// Makes one pass over these keys. At its limit nothing new is begun, pushes in flight have a moment to finish, and
/// what is not done then is answered as such.
pub async fn pass(
    runtime: &Runtime,
    (keys, key_command): (&[KeyId], KeyCommand),
    stop: &CancellationToken,
    limit: Option<Limit>,
    bar: &ProgressBar,
) -> Vec<KeyReport> {
    let done: Mutex<Vec<KeyReport>> = Mutex::default();
    let so_far = || done.lock().unwrap_or_else(PoisonError::into_inner);
    let each = |row: &KeyReport| {
        so_far().push(row.clone());
        bar.inc(1);
    };
    let sync = runtime.sync(keys, key_command, &each);
    tokio::pin!(sync);
    let limit = tokio::select! {
        rows = &mut sync => return rows,
        () = Limit::reached(limit) => limit,
    };
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, sync).await.is_ok();
    let timeout = limit.map(|limit| limit.timeout).unwrap_or_default();
    let found_out = match drained {
        true => "",
        false => "; what was in flight is found out about at the next look",
    };
    let late = format!("not done within {}{found_out}", format_duration(timeout));
    let mut rows = so_far().clone();
    rows.retain(|row| row.error.as_deref() != Some(STOPPED));
    runtime.complete(rows, keys, &late)
}

/// Returns how long an answer is waited for, where there is a limit: somewhat longer than those who are asked
/// were given.
pub fn patience(request: &Request) -> Option<Duration> {
    let within = request.answer_within()?;
    Some(within.saturating_add(ANSWER))
}

/// Returns the rows of keys that nobody has answered for in time.
pub fn unanswered(request: &Request, config: &Config, asked: &[KeyId]) -> Vec<KeyReport> {
    let within = request.answer_within().unwrap_or_default();
    let late = format!(
        "no answer within {}: the request waits in the state, and `status` shows what comes of it",
        format_duration(within)
    );
    let row = |key: &KeyId| KeyReport::failed(key, &config.keys[key], &late);
    asked.iter().map(row).collect()
}

/// The first signal cancels `stop`, so that pushes in flight are finished and nothing else is begun;
/// this returns with the second.
pub async fn second_signal(stop: &CancellationToken) {
    let both = signal(SignalKind::interrupt()).and_then(|interrupt| {
        let terminate = signal(SignalKind::terminate())?;
        Ok((interrupt, terminate))
    });
    let Ok((mut interrupt, mut terminate)) = both else {
        // Then a signal ends the process, as it does by default.
        return std::future::pending().await;
    };
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    signalled().await;
    stop.cancel();
    say("finishing what is in flight; once more stops at once");
    signalled().await;
}

async fn by_the_daemon(
    command: &str,
    config: &Config,
    path: &Path,
    request: &Request,
) -> Result<Vec<KeyReport>, End> {
    let (keys, _) = request.parts();
    let Some(store) = Sqlite::open_beside(path).map_err(fail)? else {
        return Err(fail(format!("the state {} went away", path.display())));
    };
    let asked: Vec<KeyId> = match keys.is_empty() {
        true => config.keys.keys().cloned().collect(),
        false => keys,
    };
    let id = store.submit(request).await.map_err(fail)?;
    let bar = table::progress(0);
    let (asked_at, patience) = (Instant::now(), patience(request));
    let mut seen_alive = asked_at;
    let answer = loop {
        match store.request_state(id).await.map_err(fail)? {
            RequestState::Answered(answer) => break answer,
            RequestState::Working { done, total } => {
                bar.set_length(total.into());
                bar.set_position(done.into());
            }
            RequestState::Waiting => {}
        }
        if Sqlite::holder(path).is_some() {
            seen_alive = Instant::now();
        } else if seen_alive.elapsed() > ABANDONED {
            bar.finish_and_clear();
            return Err(fail(format!(
                "the daemon stopped before it answered; the request waits in the state for the \
                 next one. Run `{command}` again to do it without a daemon"
            )));
        }
        if patience.is_some_and(|patience| asked_at.elapsed() > patience) {
            bar.finish_and_clear();
            return Ok(unanswered(request, config, &asked));
        }
        tokio::time::sleep(POLL).await;
    };
    bar.finish_and_clear();
    rows_of(&answer, config, &asked)
}

/// The rows of a daemon's answer, one for each key that was asked for.
pub fn rows_of(answer: &str, config: &Config, asked: &[KeyId]) -> Result<Vec<KeyReport>, End> {
    let mut rows = beside::rows_of(answer)?;
    let missing: Vec<_> = asked
        .iter()
        .filter(|key| !rows.iter().any(|row| row.key == **key))
        .collect();
    rows.extend(missing.into_iter().map(|key| {
        let unknown = "the daemon does not know it yet: it has not loaded this configuration";
        KeyReport::failed(key, &config.keys[key], unknown)
    }));
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}
