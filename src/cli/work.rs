//! Work on keys, by the daemon that runs on this state or, without one, by this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::render;
use super::{End, desk, fail, replicas, say, table};
use crate::config::{Config, StateConfig};
use crate::daemon::state::holder;
use crate::engine::row::{self, Row};
use crate::model::KeyId;
use crate::store::sqlite::Sqlite;
use crate::store::{Request, RequestState, Store, StoreError};

/// How often the answer of a daemon is looked for.
const POLL: Duration = Duration::from_millis(100);

/// How long a daemon may be gone before nobody is expected to answer. A restart takes less.
const ABANDONED: Duration = Duration::from_secs(10);

/// Has a request carried out and prints what came of it. `command` is what the user has typed.
pub async fn carry_out(
    command: &str,
    config: Config,
    request: &Request,
    json: bool,
) -> Result<End, End> {
    desk::quiet_log(&config)?;
    let rows = match config.state.clone() {
        StateConfig::Postgres(postgres) => {
            replicas::carry_out(command, config, &postgres, request).await?
        }
        StateConfig::Sqlite { path } => match Sqlite::open(&path, &holder(command)) {
            Ok(store) => alone(config, Arc::new(store), request).await?,
            Err(StoreError::Locked {
                holder: Some(holder),
                ..
            }) if holder.starts_with("flashback-rotator run") => {
                by_the_daemon(command, &config, &path, request).await?
            }
            Err(error) => return Err(fail(error)),
        },
    };
    if json {
        desk::print(row::document(&rows));
    } else {
        desk::print(render(&rows));
    }
    Ok(desk::end_of(&rows))
}

async fn alone(config: Config, store: Arc<Sqlite>, request: &Request) -> Result<Vec<Row>, End> {
    let (keys, order) = request.parts();
    let stop = CancellationToken::new();
    let fleet = desk::fleet(config, store.clone(), Arc::new(desk::OnStderr), &stop).await?;
    let bar = table::progress(fleet.named(&keys).len());
    let each = || bar.inc(1);
    let sync = fleet.sync(&keys, order, &each);
    let rows = tokio::select! {
        rows = sync => rows,
        () = second_signal(&stop) => return Err(fail("stopped at once; what was in flight is found out about at the next look")),
    };
    bar.finish_and_clear();
    store.flush().await.map_err(fail)?;
    Ok(rows)
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

/// What a daemon answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Done { keys: Vec<Row> },
    Not { error: String },
}

async fn by_the_daemon(
    command: &str,
    config: &Config,
    path: &Path,
    request: &Request,
) -> Result<Vec<Row>, End> {
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
    let mut seen_alive = Instant::now();
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
        tokio::time::sleep(POLL).await;
    };
    bar.finish_and_clear();
    rows_of(&answer, config, &asked)
}

/// The rows of a daemon's answer, one for each key that was asked for.
pub fn rows_of(answer: &str, config: &Config, asked: &[KeyId]) -> Result<Vec<Row>, End> {
    let mut rows = match serde_json::from_str(answer) {
        Ok(Answer::Done { keys }) => keys,
        Ok(Answer::Not { error }) => return Err(fail(format!("the daemon: {error}"))),
        Err(_) => {
            let unread = "the daemon's answer cannot be read: is it of another version?";
            return Err(fail(unread));
        }
    };
    let missing: Vec<_> = asked
        .iter()
        .filter(|key| !rows.iter().any(|row| row.key == **key))
        .collect();
    rows.extend(missing.into_iter().map(|key| {
        let unknown = "the daemon does not know it yet: it has not loaded this configuration";
        Row::failed(key, &config.keys[key], unknown)
    }));
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}
