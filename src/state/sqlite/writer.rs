//! The writer: the thread that owns the connection and does one job after the other.

use std::collections::{HashMap, VecDeque};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::ffi::SQLITE_READONLY_DBMOVED;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::notes::Notes;
use super::place::Place;
use super::saves::Save;
use super::{records, schema};
use crate::failpoint;
use crate::model::{CheckNote, KeyId, Record};
use crate::state::StateError;
use crate::state::health::Health;
use crate::telemetry::panics::{Task, within_now};

/// The time for which notes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);

/// The time for which notes are gathered if there are many. Nearly every page of the table is then written each time,
/// so that frequent writes would load the disk without benefit.
const GATHER_MANY: Duration = Duration::from_secs(10);

/// The wait before a failed write is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The number of notes in one write that counts as many.
const MANY: usize = 256;

/// The most saves in one transaction: what waits for the first of them waits for the last.
const TOGETHER: usize = 256;

/// A job for the writer.
pub(super) enum Job {
    /// Does this, now.
    Work(Box<dyn FnOnce(&mut Writer) + Send>),
    /// Writes a record, and answers.
    Save(Box<Save>, Answer),
    /// Writes the notes before long.
    Noted,
}

/// The channel through which the caller of a save receives its result.
pub(super) type Answer = oneshot::Sender<Result<(), StateError>>;

/// Does the jobs until every sender is dropped, then writes the last notes.
///
/// Of the jobs that wait, the saves come first: their callers have work under way, and the others at worst read newer
/// records than they asked for.
pub(super) fn work_through(jobs: &Receiver<Job>, writer: &mut Writer) {
    let mut due: Option<Instant> = None;
    let (mut saves, mut others) = (VecDeque::new(), VecDeque::new());
    loop {
        let first = match due {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => jobs.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            break;
        }
        for job in first.into_iter().chain(jobs.try_iter()) {
            match job {
                Job::Save(save, answer) => saves.push_back((*save, answer)),
                Job::Work(work) => others.push_back(work),
                Job::Noted => due = due.or_else(|| Some(Instant::now() + writer.gather)),
            }
        }
        writer.save(&mut saves);
        for work in others.drain(..) {
            survive(|| work(writer));
        }
        if due.is_some_and(|at| at <= Instant::now()) {
            // Notes that cannot be written now are kept and tried again.
            due = match survive(|| writer.write_notes()) {
                Some(_) => None,
                None => Some(Instant::now() + AGAIN),
            };
        }
        if writer.health.is_to_write_again() {
            due = due.or_else(|| Some(Instant::now() + AGAIN));
        }
    }
    survive(|| writer.write_notes());
}

/// Does a job and catches its panic, so that the thread survives. SQLite rolls back the open transaction, and the
/// caller of the job receives an error.
fn survive<T>(job: impl FnOnce() -> T) -> Option<T> {
    let job = || {
        failpoint::reach("state_asked");
        job()
    };
    within_now(Task::State, || catch_unwind(AssertUnwindSafe(job))).ok()
}

/// The connection and what goes with it.
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// The name of the process that takes requests, for people.
    pub(super) holder: String,
    /// `PRAGMA data_version` when there was last no request to take.
    pub(super) no_request_since: Option<i64>,
    place: Place,
    health: Arc<Health>,
    /// Device and inode of each file that was opened.
    files: Vec<(PathBuf, Option<(u64, u64)>)>,
    notes: Notes,
    gather: Duration,
}

impl Writer {
    /// Creates a writer. `files` are the files that the connection has open.
    pub(super) fn new(
        connection: Connection,
        place: Place,
        files: Vec<PathBuf>,
        holder: &str,
    ) -> Self {
        let file = |path: PathBuf| {
            let identity = identity(&path);
            (path, identity)
        };
        Self {
            place,
            health: Arc::default(),
            files: files.into_iter().map(file).collect(),
            connection,
            holder: holder.to_owned(),
            no_request_since: None,
            notes: Notes::default(),
            gather: GATHER,
        }
    }

    /// Returns the health of the state, which the writer keeps up to date.
    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Returns the notes, so that callers can add theirs.
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    pub(super) fn load_all(&mut self) -> Result<Vec<Record>, StateError> {
        let noted: Vec<KeyId> = self.notes.lock().keys().cloned().collect();
        let read = self.read(|connection| records::load_all(connection, &noted, &self.place));
        let mut all = read.flatten()?;
        let notes = self.notes.lock();
        for record in &mut all {
            if let Some(note) = notes.get(&record.key) {
                record.look = note.clone();
            }
        }
        Ok(all)
    }

    pub(super) fn load(&mut self, key: &KeyId) -> Result<Record, StateError> {
        let read = self.read(|connection| records::load(connection, key, &self.place));
        let mut record = read.flatten()?;
        if let Some(note) = self.notes.lock().get(key) {
            record.look = note.clone();
        }
        Ok(record)
    }

    /// Reads with one statement, or with several between which something else may be written.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        work(&self.connection).map_err(|error| self.place.explain(&error))
    }

    /// Writes the saves that wait. If that fails, each is written by itself, so that every caller gets its
    /// own error and none that of another.
    fn save(&mut self, waiting: &mut VecDeque<(Save, Answer)>) {
        while !waiting.is_empty() {
            let many = waiting.len().min(TOGETHER);
            let saves: Vec<_> = waiting.drain(..many).collect();
            if saves.len() > 1 && matches!(survive(|| self.write_saves(&saves)), Some(Ok(()))) {
                for (_, answer) in saves {
                    let _ = answer.send(Ok(()));
                }
                continue;
            }
            for save in saves {
                // If this panics, no answer is sent and the caller receives an error.
                let saved = survive(|| self.write_saves(std::slice::from_ref(&save)));
                let (Save { record, older, .. }, answer) = save;
                if let (Some(Err(_)), Some(note)) = (&saved, older) {
                    self.notes.put_back([(record.key, note)].into());
                }
                if let Some(saved) = saved {
                    let _ = answer.send(saved);
                }
            }
        }
    }

    fn write_saves(&mut self, saves: &[(Save, Answer)]) -> Result<(), StateError> {
        self.write(|transaction| saves.iter().try_for_each(|(save, _)| save.put(transaction)))
    }

    /// Writes the notes without waiting for the disk: the next save does that for all that came before it. After a
    /// write that failed something is written even where there is no note, to see whether that succeeds.
    pub(super) fn write_notes(&mut self) -> Result<(), StateError> {
        let notes = self.notes.take_all();
        if notes.is_empty() && !self.health.is_to_write_again() {
            return Ok(());
        }
        let written = self.put_notes(&notes);
        match &written {
            Ok(()) if notes.len() > MANY => self.gather = GATHER_MANY,
            Ok(()) => self.gather = GATHER,
            Err(_) => self.notes.put_back(notes),
        }
        written
    }

    fn put_notes(&mut self, notes: &HashMap<KeyId, CheckNote>) -> Result<(), StateError> {
        self.synchronous("NORMAL")?;
        let put = self.write(|transaction| {
            if notes.is_empty() {
                // It is what it was, and a page is written for it.
                return schema::mark(transaction);
            }
            // In the order of the table, so that each of its pages is needed once.
            let mut notes: Vec<_> = notes.iter().collect();
            notes.sort_unstable_by_key(|(key, _)| *key);
            let mut notes = notes.into_iter();
            notes.try_for_each(|(key, note)| records::put_look(transaction, key, note))
        });
        self.synchronous("FULL")?;
        put
    }

    /// Sets how much of what is written is on the disk when a transaction is over.
    fn synchronous(&self, how: &str) -> Result<(), StateError> {
        self.read(|connection| connection.pragma_update(None, "synchronous", how))
    }

    /// Writes in one transaction, which is the only way to write, and notes how it ended.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        let written = self.write_in_one(work);
        let written = written.map_err(|error| self.place.explain(&error));
        self.health.written(written)
    }

    /// Writes in a transaction that takes the lock for writing at once: one that reads first and then finds another
    /// writer would have to begin again.
    fn write_in_one<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.in_place()?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Checks that the files are still under their names, even if nothing is written for a while.
    pub(super) fn notice_moves(&self) {
        if let Err(moved) = self.in_place() {
            // Only recorded for `failing`, because no caller waits for this write.
            let _ = self.health.written::<()>(Err(self.place.explain(&moved)));
        }
    }

    /// Fails if a file is not under its name any more. In WAL mode SQLite does not check that, and writes to such a
    /// file would be lost.
    fn in_place(&self) -> rusqlite::Result<()> {
        let is_in_place = |(path, opened): &(PathBuf, _)| identity(path) == *opened;
        match self.files.iter().all(is_in_place) {
            true => Ok(()),
            false => {
                let moved = rusqlite::ffi::Error::new(SQLITE_READONLY_DBMOVED);
                Err(rusqlite::Error::SqliteFailure(moved, None))
            }
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}
