//! The state in one SQLite file.
//!
//! One thread, the writer, owns the connection and does one job after the other; callers wait for its answers without
//! blocking the async runtime. The file is in WAL mode, so that other processes can read it without delaying this one.
//! The writes of [`StateStore::save`] are on the disk when it returns (`synchronous = FULL`); saves that wait at the
//! same time share one write. Notes of checks are written without waiting for the disk.

mod columns;
mod daemons;
mod discovered;
mod edits;
mod lock;
mod notes;
mod notified;
mod open;
mod place;
mod records;
mod requests;
mod saves;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use self::notes::Notes;
use self::place::Place;
use self::saves::Save;
use self::writer::{Job, Writer, work_through};
use super::edits::{Heard, Watch};
use super::health::Health;
use super::{Request, RequestId, RequestState, StateError, StateStore, document};
use crate::model::{
    CheckNote, DaemonReport, Daemons, Discovered, Edit, HistoryRow, KeyId, KnownDaemon, LastReport,
    Notified, Record, RuleId, Verifier, WorkspaceId,
};
use crate::secret::Fingerprinter;

/// The beginning of the lock's line where a daemon has the lock, and not a command.
pub const DAEMON: &str = "flashback-rotator run";

/// A state file that is open. When it is dropped, the last notes are written and the lock is free.
pub struct Sqlite {
    place: Place,
    notes: Notes,
    health: Arc<Health>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the state at `path` to work on it, and creates it if there is none. `holder` names this process in the
    /// error of a second one: "flashback-rotator run, pid 123".
    ///
    /// # Errors
    /// Returns [`StateError::Locked`] if another process works on it, or any other [`StateError`] except
    /// [`StateError::Failed`].
    pub fn open(path: &Path, holder: &str) -> Result<Self, StateError> {
        let place = Place::new(path);
        open::is_somewhere(&place)?;
        open::is_a_file(&place)?;
        let lock = lock::take(&place, holder)?;
        open::prepare(&place)?;
        let connection = open::working(&place)?;
        let files = vec![path.to_owned(), place.beside("-wal")];
        let mut writer = Writer::new(connection, place.clone(), files, holder);
        writer.write(|transaction| requests::give_out_again(transaction, Utc::now()))?;
        Self::start(place, writer, Some(lock))
    }

    /// Opens the state at `path` beside the process that works on it, to read it and to hand that
    /// process a request. `None` where there is no state yet; nothing is made then.
    ///
    /// # Errors
    /// Returns [`StateError`], but not [`StateError::Locked`].
    pub fn open_beside(path: &Path) -> Result<Option<Self>, StateError> {
        let place = Place::new(path);
        let Some(connection) = open::beside(&place)? else {
            return Ok(None);
        };
        let writer = Writer::new(connection, place.clone(), vec![path.to_owned()], "");
        Self::start(place, writer, None).map(Some)
    }

    /// Makes a state in memory, for `plan` where there is none yet.
    ///
    /// # Errors
    /// Returns [`StateError`] if SQLite cannot make one.
    pub fn in_memory() -> Result<Self, StateError> {
        let place = Place::new(Path::new(":memory:"));
        let connection = open::in_memory(&place)?;
        let writer = Writer::new(connection, place.clone(), Vec::new(), "");
        Self::start(place, writer, None)
    }

    /// Returns what the process that works on the state at `path` says of itself; `None` where none does.
    pub fn holder(path: &Path) -> Option<String> {
        lock::holder(&Place::new(path))
    }

    fn start(place: Place, mut writer: Writer, lock: Option<File>) -> Result<Self, StateError> {
        let (jobs, received) = channel();
        let (notes, health) = (writer.notes(), writer.health());
        let thread = std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || {
                work_through(&received, &mut writer);
                // The file is closed before another process may open it.
                drop(writer);
                drop(lock);
            })
            .map_err(|error| place.unusable(format!("no thread for it: {error}")))?;
        Ok(Self {
            place,
            notes,
            health,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Writes a record and what goes with it. Its note is newer than one left before; one left from
    /// now on is newer still.
    async fn put(
        &self,
        record: &Record,
        row: Option<&HistoryRow>,
        verified_by: Option<Verifier>,
    ) -> Result<(), StateError> {
        let save = Box::new(Save {
            older: self.notes.take(&record.key),
            record: record.clone(),
            row: row.cloned(),
            verified_by,
        });
        self.send(|answer| Job::Save(save, answer)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.ask(|writer| writer.read(work)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.ask(|writer| writer.write(work)).await
    }

    /// Has the writer do `work`. It is done even if the caller stops waiting.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        self.send(|answer| {
            Job::Work(Box::new(move |writer| {
                let _ = answer.send(work(writer));
            }))
        })
        .await
    }

    /// Hands the thread a job, and waits for its answer.
    async fn send<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StateError>>) -> Job,
    ) -> Result<T, StateError> {
        let gone = || self.place.failed("its thread has ended; restart");
        let broken_off = || {
            let reason = "the work on it panicked: this is a bug, please report it";
            self.place.failed(reason)
        };
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| broken_off())?
    }
}

/// Names a process in the lock's line. The number 1 is left out: it is that of each container's first process,
/// and there the host's name is the container's or the pod's.
pub fn on_host(host: &str, process: &str) -> String {
    match process {
        "1" => format!("on host {host},"),
        _ => format!("on host {host}, process {process} there,"),
    }
}

/// Returns the name in the lock's line for a process that is called `name` among replicas.
fn in_the_line(name: &str) -> String {
    let (host, process) = name.rsplit_once('/').unwrap_or((name, ""));
    on_host(host, process)
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl StateStore for Sqlite {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        let sql = "SELECT value FROM meta WHERE name = 'fingerprint_key'";
        let key = self.read(|connection| connection.query_row(sql, [], |row| row.get(0)));
        key.await.map(Fingerprinter::new)
    }

    async fn load_all(&self) -> Result<Vec<Record>, StateError> {
        self.ask(Writer::load_all).await
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StateError> {
        let key = key.clone();
        self.ask(move |writer| writer.load(&key)).await
    }

    async fn save(&self, record: &Record, row: Option<&HistoryRow>) -> Result<(), StateError> {
        self.put(record, row, None).await
    }

    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StateError> {
        self.put(record, None, Some(by)).await
    }

    fn note_check(&self, key: &KeyId, note: CheckNote) {
        if self.notes.leave(key, note)
            && let Some(jobs) = &self.jobs
        {
            // Without its thread the state answers everything else with an error.
            let _ = jobs.send(Job::Noted);
        }
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.ask(Writer::write_notes).await
    }

    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        let (key, place) = (key.cloned(), self.place.clone());
        let history = self.read(move |connection| {
            records::history(connection, key.as_ref(), since, limit, &place)
        });
        let mut lines = history.await.flatten()?;
        lines.reverse();
        Ok(lines)
    }

    /// Always this process is to ask: no other one works on the state.
    async fn watch(&self, workspace: &WorkspaceId, _: Duration) -> Result<Watch, StateError> {
        let workspace = workspace.clone();
        let read_to = self.read(move |connection| edits::read_to(connection, &workspace));
        let read_to = read_to.await?;
        Ok(Watch::Mine { read_to })
    }

    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StateError> {
        let (workspace, heard) = (workspace.clone(), heard.to_vec());
        self.write(move |transaction| edits::hear(transaction, &workspace, read_to, &heard))
            .await
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StateError> {
        self.read(edits::edited).await
    }

    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StateError> {
        let key = key.clone();
        self.read(move |connection| edits::unheard(connection, &key))
            .await
    }

    async fn notified(&self) -> Result<Vec<Notified>, StateError> {
        self.read(notified::load).await
    }

    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StateError> {
        let lines = lines.to_vec();
        self.write(move |transaction| notified::save(transaction, &lines))
            .await
    }

    async fn discovered(&self) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
        discovered::read(self.read(discovered::load).await?, &self.place)
    }

    async fn save_discovered(
        &self,
        rule: &RuleId,
        discovered: Option<&Discovered>,
    ) -> Result<(), StateError> {
        let (rule, document) = (rule.clone(), discovered.map(document::of_discovered));
        self.write(move |transaction| discovered::save(transaction, &rule, document.as_deref()))
            .await
    }

    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StateError> {
        let report = LastReport {
            report: report.clone(),
            at: Utc::now(),
            stopped,
        };
        self.write(move |transaction| daemons::leave(transaction, &report))
            .await
    }

    /// Returns the daemons. The lock shows if one is alive, however the last one has ended.
    async fn daemons(&self) -> Result<Daemons, StateError> {
        let holder = Self::holder(self.place.path());
        let running = holder.filter(|holder| holder.starts_with(DAEMON));
        let last = self.read(daemons::last).await?;
        // One that is starting has left nothing yet: what there is is its predecessor's.
        let own = |last: &LastReport| match &running {
            Some(holder) => holder.contains(&in_the_line(&last.report.name)),
            None => true,
        };
        let last = last.filter(own);
        let name = last.as_ref().map(|last| last.report.name.clone());
        let daemon = name.or_else(|| running.clone()).map(|name| KnownDaemon {
            name,
            alive: running.is_some(),
            keys: None,
            last,
        });
        Ok(Daemons {
            now: Utc::now(),
            all: daemon.into_iter().collect(),
        })
    }

    fn failing(&self) -> Option<StateError> {
        self.health.failing()
    }

    async fn submit(&self, request: &Request) -> Result<RequestId, StateError> {
        let request = request.clone();
        self.ask(move |writer| requests::submit(writer, &request, Utc::now()))
            .await
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError> {
        let taken = self.ask(|writer| requests::take(writer, Utc::now()));
        self.health.answered(taken.await)
    }

    async fn report_progress(
        &self,
        id: RequestId,
        done: u32,
        total: u32,
    ) -> Result<(), StateError> {
        self.write(move |transaction| requests::report_progress(transaction, id, done, total))
            .await
    }

    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StateError> {
        let answer = answer.to_owned();
        self.write(move |transaction| requests::answer(transaction, id, &answer))
            .await
    }

    async fn request_state(&self, id: RequestId) -> Result<RequestState, StateError> {
        self.ask(move |writer| requests::state(writer, id))
            .await?
            .ok_or_else(|| {
                self.place.failed(format!(
                    "it knows no request {}: one is forgotten when its answer was fetched, or after a day",
                    id.0
                ))
            })
    }
}
