//! Takes the requests that other processes leave in the state's command queue, and answers them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::status_source::DaemonStatusSource;
use crate::engine::report::{self, Ended, KeyReport};
use crate::failpoint;
use crate::model::{KeyCommand, KeyId};
use crate::runtime::{PANICKED, RuntimeHandle};
use crate::state::{Request, RequestId, StateError, StateStore};
use crate::telemetry::event;
use crate::telemetry::panics::{Task, within};

/// The interval at which the command queue of a state file is polled and progress is reported. A person waits for the
/// answer.
const POLL: Duration = Duration::from_millis(250);

/// The interval at which the command queue of a database is polled: longer, because every replica polls it.
const POLL_SHARED: Duration = Duration::from_secs(1);

/// The wait before an answer that could not be written is written again.
const ANSWER_AGAIN: Duration = Duration::from_secs(1);

/// Serves the command queue.
#[derive(Clone)]
pub struct CommandServer {
    /// The current runtime.
    pub runtime: Arc<RuntimeHandle>,
    /// The state, which holds the command queue.
    pub store: Arc<dyn StateStore>,
    /// The requests being carried out. Shutdown waits for them, since one may be pushing a key.
    pub requests: TaskTracker,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// Learns when the state has answered and when it has recovered.
    pub status_source: Arc<DaemonStatusSource>,
}

impl CommandServer {
    /// Takes and carries out requests until `stop` is cancelled.
    pub async fn serve(&self) {
        let is_shared = self.runtime.load().engine.leases.is_shared();
        let mut poll = tokio::time::interval(if is_shared { POLL_SHARED } else { POLL });
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut away_since = None;
        while !self.stop.is_cancelled() {
            poll.tick().await;
            failpoint::reach("desk_looked");
            // An error needs no handling here: the state keeps it, and `tell_of_state` logs it.
            if let Ok(taken) = self.store.take_request().await {
                self.status_source.state_answered();
                if let Some((id, request)) = taken {
                    let work = self.clone().carry_out(id, request);
                    self.requests.spawn(within(Task::Request, None, work));
                }
            }
            self.tell_of_state(&mut away_since);
        }
    }

    /// Logs once when the state becomes unusable, and once when it can be used again.
    fn tell_of_state(&self, away_since: &mut Option<Instant>) {
        match (self.store.failing(), *away_since) {
            (Some(error), None) => {
                *away_since = Some(Instant::now());
                tracing::warn!(
                    event = event::STATE_UNAVAILABLE,
                    %error,
                    "without the state nothing is pushed; it is tried until it works"
                );
            }
            (None, Some(since)) => {
                *away_since = None;
                tracing::info!(
                    event = event::STATE_RECOVERED,
                    elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "the state works again"
                );
                self.status_source.state_recovered();
            }
            _ => {}
        }
    }

    async fn carry_out(self, id: RequestId, request: Request) {
        let (keys, command) = request.parts();
        let within = request.answer_within();
        let work = async {
            match request {
                Request::Sync { .. } | Request::Rollback { .. } | Request::Rotate { .. } => {
                    Ok(self.sync(id, &keys, command, within).await)
                }
                Request::Plan { .. } => self.runtime.load().plan(&keys, &|| {}).await,
                Request::Status { .. } => self.standing(&keys).await,
            }
        };
        let failed = |error: StateError| self.failed(&keys, &error.to_string());
        let work = async { work.await.unwrap_or_else(failed) };
        let work = AssertUnwindSafe(work).catch_unwind();
        // A panic is answered, too: the process that asked must not wait for ever.
        let mut rows = work.await.unwrap_or_else(|_| self.failed(&keys, PANICKED));
        let runtime = self.runtime.load();
        let leases = &runtime.engine.leases;
        for row in rows
            .iter()
            .filter(|row| !runtime.managed_keys.contains_key(&row.key) || !leases.has(&row.key))
        {
            // The key has left the configuration or is another replica's: carrying out the request must not
            // bring its metrics back.
            runtime.retire_key(&row.key);
        }
        // Work that was broken off is not answered: the next process on this state carries it out or, if the
        // lease was lost, the replica that has it now.
        if leases.is_shared() {
            rows.retain(|row| !is_broken_off(row));
        } else if rows.iter().any(is_broken_off) {
            return;
        }
        if !rows.is_empty() || keys.is_empty() {
            self.answer(id, &rows).await;
        }
    }

    /// Returns the reports of `keys`, or of all keys if it is empty, by the configuration in force.
    async fn standing(&self, keys: &[KeyId]) -> Result<Vec<KeyReport>, StateError> {
        let runtime = self.runtime.load();
        let records = runtime.engine.store.load_all().await?;
        let mut rows = KeyReport::of_records(&runtime.config.keys, records);
        rows.retain(|row| keys.is_empty() || keys.contains(&row.key));
        Ok(rows)
    }

    fn failed(&self, keys: &[KeyId], error: &str) -> Vec<KeyReport> {
        let runtime = self.runtime.load();
        let named = runtime.named(keys);
        let row = |key: &KeyId| KeyReport::failed(key, &runtime.config.keys[key], error);
        named.iter().map(row).collect()
    }

    /// Reconciles `keys` with `command`. If that takes longer than `within`, the request is answered with
    /// what is done by then, and the work goes on.
    async fn sync(
        &self,
        id: RequestId,
        keys: &[KeyId],
        command: KeyCommand,
        mut within: Option<Duration>,
    ) -> Vec<KeyReport> {
        failpoint::reach("request_taken");
        let begun = Instant::now();
        let done: Mutex<Vec<KeyReport>> = Mutex::default();
        let so_far = || done.lock();
        let runtime = self.runtime.load();
        let total = u32::try_from(runtime.named(keys).len()).unwrap_or(u32::MAX);
        let each = |row: &KeyReport| so_far().push(row.clone());
        let sync = runtime.sync(keys, command, &each);
        tokio::pin!(sync);
        loop {
            let late = within.map_or(POLL, |within| within.saturating_sub(begun.elapsed()));
            tokio::select! {
                rows = &mut sync => return rows,
                () = tokio::time::sleep(late.min(POLL)) => {}
            }
            if let Some(limit) = within.take_if(|within| begun.elapsed() >= *within) {
                let late = format!(
                    "not done within {}: the daemon goes on with it, and `status` shows what comes of it",
                    humantime::format_duration(limit)
                );
                let mut rows = so_far().clone();
                rows.retain(|row| !is_broken_off(row));
                let rows = runtime.complete(rows, keys, &late);
                let command_server = self.clone();
                self.requests
                    .spawn(async move { command_server.answer(id, &rows).await });
            }
            let done = u32::try_from(so_far().len()).unwrap_or(u32::MAX);
            // Progress is only displayed: an error may be ignored, unlike that of an answer.
            let _ = self.store.report_progress(id, done, total).await;
        }
    }

    /// Writes the answer to a request. Retries until that works or the process stops, because the process
    /// that asked waits for as long as this one lives.
    async fn answer(&self, id: RequestId, rows: &[KeyReport]) {
        let document = report::document(rows).to_string();
        let mut failing = false;
        loop {
            // A `status` after the answer must show what was found; the answer is given even if this fails.
            let _ = self.store.flush().await;
            let Err(error) = self.store.answer(id, &document).await else {
                return;
            };
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(%error, "the answer to a request could not be written yet");
            }
            let wait = tokio::time::sleep(ANSWER_AGAIN);
            if self.stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }
}

/// Checks that the work on a key was broken off because the process is to stop or has lost the key's lease.
fn is_broken_off(row: &KeyReport) -> bool {
    matches!(row.ended, Ended::BrokenOff(_))
}
