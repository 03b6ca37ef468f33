//! Has requests carried out, by the daemon that runs on this state or, if there is none, in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::{patience, rows_for, unanswered};
use super::end::{End, fail};
use super::limit::{Limit, pass};
use super::plan::show;
use super::signals::{STOPPED_AT_ONCE, second_signal};
use super::{replicas, setup, table};
use crate::config::{Config, StateConfig};
use crate::daemon::state::holder;
use crate::engine::report::KeyReport;
use crate::model::KeyId;
use crate::state::sqlite::{DAEMON, Sqlite};
use crate::state::{Request, RequestState, StateError, StateStore};

/// The interval at which the daemon's answer is polled.
const POLL: Duration = Duration::from_millis(100);

/// The time without a daemon after which no answer is expected any more. A restart takes less.
const ABANDONED: Duration = Duration::from_secs(10);

/// Has a request carried out and prints the result. `command` is the command that the user has run; `timeout`
/// limits the work of this process, while that of a daemon is limited by the request.
pub async fn carry_out(
    command: &str,
    config: Config,
    request: &Request,
    timeout: Option<Duration>,
    json: bool,
) -> Result<End, End> {
    let rows = rows(command, config, request, timeout).await?;
    Ok(show(&rows, json))
}

/// Has a request carried out as [`carry_out`] does, and prints nothing.
pub async fn rows(
    command: &str,
    config: Config,
    request: &Request,
    timeout: Option<Duration>,
) -> Result<Vec<KeyReport>, End> {
    setup::quiet_log(&config)?;
    match config.state.clone() {
        StateConfig::Postgres(postgres) => {
            replicas::carry_out(command, config, &postgres, request, timeout).await
        }
        StateConfig::Sqlite { path } => match Sqlite::open(&path, &holder(command)) {
            Ok(store) => alone(config, Arc::new(store), request, timeout).await,
            Err(StateError::Locked {
                holder: Some(holder),
                ..
            }) if holder.starts_with(DAEMON) => {
                by_the_daemon(command, &config, &path, request).await
            }
            Err(error) => Err(fail(error)),
        },
    }
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
    rows_for(&answer, config, &asked)
}
