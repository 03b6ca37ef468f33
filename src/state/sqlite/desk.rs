//! What the store's own thread does: one connection, one job after the other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rusqlite::ffi::SQLITE_READONLY_DBMOVED;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior};

use super::columns::Time;
use super::place::Place;
use super::rows::{history_row, look, looks, put_look, record};
use super::saves::Save;
use super::schema;
use crate::failpoint;
use crate::model::{CheckNote, HistoryRow, KeyId, Record};
use crate::state::health::Health;
use crate::telemetry::panics::{Task, within_now};

/// How long notes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);

/// The same where they are many: nearly every page of the table is written each time then, so
/// that writing often costs the disk and tells nobody more.
const GATHER_MANY: Duration = Duration::from_secs(10);

/// How soon a write is tried again after one that failed: what hindered it may be over.
const AGAIN: Duration = Duration::from_secs(2);

/// From how many notes in one writing on they are many.
const MANY: usize = 256;

/// The notes of looks that are not written yet, at most one for each key.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Mutex<HashMap<KeyId, CheckNote>>>);

impl Notes {
    /// Whether this is the first one since they were taken out.
    pub(super) fn leave(&self, key: &KeyId, note: CheckNote) -> bool {
        let mut notes = self.lock();
        let first = notes.is_empty();
        notes.insert(key.clone(), note);
        first
    }

    pub(super) fn take(&self, key: &KeyId) -> Option<CheckNote> {
        self.lock().remove(key)
    }

    /// Puts notes back that were not written, behind those left since.
    pub(super) fn put_back(&self, notes: HashMap<KeyId, CheckNote>) {
        let mut current = self.lock();
        for (key, note) in notes {
            current.entry(key).or_insert(note);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, CheckNote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something for the thread to do.
pub(super) enum Job {
    /// This, now.
    Work(Box<dyn FnOnce(&mut Desk) + Send>),
    /// Write this record.
    Save(Box<Save>),
    /// Write the notes before long.
    Noted,
}

/// Does the jobs until nobody can send one any more, then writes the last notes.
///
/// Of those that wait, the saves come first: who saves has work under way, and the others, at most,
/// find newer records than they asked for.
pub(super) fn work_through(jobs: &Receiver<Job>, desk: &mut Desk) {
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
                Job::Save(save) => saves.push_back(*save),
                Job::Work(work) => others.push_back(work),
                Job::Noted => due = due.or_else(|| Some(Instant::now() + desk.gather)),
            }
        }
        desk.save(&mut saves);
        for work in others.drain(..) {
            survive(|| work(desk));
        }
        if due.is_some_and(|at| at <= Instant::now()) {
            // What cannot be written now is kept and tried again.
            due = match survive(|| desk.write_notes()) {
                Some(_) => None,
                None => Some(Instant::now() + AGAIN),
            };
        }
        if desk.health.is_to_write_again() {
            due = due.or_else(|| Some(Instant::now() + AGAIN));
        }
    }
    survive(|| desk.write_notes());
}

/// A panic ends one job and not the thread: SQLite undoes what was begun, and whoever waits for
/// the job is told that it broke off.
pub(super) fn survive<T>(job: impl FnOnce() -> T) -> Option<T> {
    let job = || {
        failpoint::reach("state_asked");
        job()
    };
    within_now(Task::State, || catch_unwind(AssertUnwindSafe(job))).ok()
}

/// The connection and what goes with it.
pub(super) struct Desk {
    pub(super) connection: Connection,
    /// Who takes requests, for people.
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

impl Desk {
    /// `files` are those that the connection has open.
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

    /// The same figures, for whoever asks.
    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// The same notes, for whoever leaves them.
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    pub(super) fn fingerprint_key(&mut self) -> rusqlite::Result<[u8; 32]> {
        self.connection.query_row(
            "SELECT value FROM meta WHERE name = 'fingerprint_key'",
            [],
            |row| row.get(0),
        )
    }

    pub(super) fn load_all(&mut self) -> rusqlite::Result<Vec<Record>> {
        let transaction = self.connection.transaction()?;
        let mut records = BTreeMap::new();
        let mut statement = transaction.prepare_cached("SELECT * FROM keys")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let record = record(row)?;
            records.insert(record.key.clone(), record);
        }
        let mut statement = transaction.prepare_cached("SELECT * FROM looks")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, note) = look(row)?;
            entry(&mut records, &key).look = note;
        }
        for (key, note) in self.notes.lock().iter() {
            entry(&mut records, key).look = note.clone();
        }
        Ok(records.into_values().collect())
    }

    pub(super) fn load(&mut self, key: &KeyId) -> rusqlite::Result<Record> {
        let transaction = self.connection.transaction()?;
        let mut found = transaction
            .prepare_cached("SELECT * FROM keys WHERE key = ?1")?
            .query_row([key.as_str()], record)
            .optional()?
            .unwrap_or_else(|| Record::new(key.clone()));
        let written = transaction
            .prepare_cached("SELECT * FROM looks WHERE key = ?1")?
            .query_row([key.as_str()], look)
            .optional()?;
        let noted = self.notes.lock().get(key).cloned();
        if let Some(note) = noted.or(written.map(|(_, note)| note)) {
            found.look = note;
        }
        Ok(found)
    }

    /// Without waiting for the disk: the next save does that for all that came before it. After a write
    /// that failed something is written even where there is no note.
    pub(super) fn write_notes(&mut self) -> rusqlite::Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock());
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

    fn put_notes(&mut self, notes: &HashMap<KeyId, CheckNote>) -> rusqlite::Result<()> {
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")?;
        let put = self.put_notes_in_one(notes);
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        put
    }

    fn put_notes_in_one(&mut self, notes: &HashMap<KeyId, CheckNote>) -> rusqlite::Result<()> {
        self.write(|transaction| {
            let mut statement = looks(transaction)?;
            for (key, note) in notes {
                put_look(&mut statement, key, note)?;
            }
            match notes.is_empty() {
                // It is what it was, and a page is written for it.
                true => schema::mark(transaction),
                false => Ok(()),
            }
        })
    }

    pub(super) fn history(
        &mut self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> rusqlite::Result<Vec<HistoryRow>> {
        let limit = limit.map_or(-1, i64::from);
        let since = since.map(Time);
        let rows = |sql: &str, parameters: &[&dyn ToSql]| {
            self.connection
                .prepare_cached(sql)?
                .query_map(parameters, history_row)?
                .collect::<Result<Vec<_>, _>>()
        };
        let mut found = match key {
            Some(key) => rows(
                "SELECT * FROM history WHERE key = ?1 AND (?2 IS NULL OR at >= ?2)
                 ORDER BY id DESC LIMIT ?3",
                &[&key.as_str(), &since, &limit],
            )?,
            None => rows(
                "SELECT * FROM history WHERE ?1 IS NULL OR at >= ?1 ORDER BY id DESC LIMIT ?2",
                &[&since, &limit],
            )?,
        };
        found.reverse();
        Ok(found)
    }

    /// Writes in one transaction, which is the only way to write, and takes down how it ended.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let written = self.write_in_one(work);
        self.take_down(&written);
        written
    }

    /// The transaction takes its place at once: one that reads first and then finds another writer
    /// would have to begin again.
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

    /// Sees to it that the files are still under their names, where nobody may write for a while.
    pub(super) fn notice_moves(&self) {
        if let Err(moved) = self.in_place() {
            self.take_down::<()>(&Err(moved));
        }
    }

    fn take_down<T>(&self, written: &rusqlite::Result<T>) {
        let written = written.as_ref().map(drop);
        // Whoever asked has the error itself.
        let _ = self
            .health
            .written(written.map_err(|error| self.place.explain(error)));
    }

    /// In WAL mode SQLite does not look whether a file is still under its name, and what is written to
    /// one that is not would be lost.
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

fn entry<'a>(records: &'a mut BTreeMap<KeyId, Record>, key: &KeyId) -> &'a mut Record {
    records
        .entry(key.clone())
        .or_insert_with(|| Record::new(key.clone()))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}
