//! The notes of checks that are not written yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::own_replica::OwnReplica;
use super::pool::Pool;
use super::value::{int, ints, texts};
use crate::model::{CheckNote, KeyId};
use crate::state::health::Health;
use crate::state::{StateError, document};

/// The time for which notes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(1);

/// The wait before a failed write is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Writes notes where this process still has the key: another one that has it now knows better.
const WRITE: &str = "
INSERT INTO rotator_looks (key, note, session, turn)
SELECT n.key, n.note, $4, n.turn
FROM unnest($1::text[], $2::text[], $3::int8[]) AS n (key, note, turn)
LEFT JOIN rotator_leases l ON l.key = n.key
WHERE l.holder IS NOT DISTINCT FROM $5
ORDER BY n.key
ON CONFLICT (key) DO UPDATE
    SET (note, session, turn) = (EXCLUDED.note, EXCLUDED.session, EXCLUDED.turn)
WHERE rotator_looks.session <> EXCLUDED.session OR rotator_looks.turn < EXCLUDED.turn";

/// Writes a row again as it is, to see whether writing succeeds.
const WRITE_NOTHING: &str = "UPDATE rotator_meta SET value = value WHERE name = 'fingerprint_key'";

/// A note, and its number among those of this process.
#[derive(Clone)]
pub(super) struct Left {
    note: CheckNote,
    turn: i64,
}

/// The notes of checks that are not written yet, at most one for each key.
pub(super) struct Notes {
    kept: Mutex<Kept>,
    /// A number that tells the notes of this process from those of another.
    pub(super) session: i64,
    turns: AtomicI64,
    first: Notify,
    /// Locked while notes are written.
    writer: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    left: HashMap<KeyId, Left>,
    /// The notes that are being written.
    writing: HashMap<KeyId, Left>,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            session: rand::random(),
            turns: AtomicI64::new(0),
            first: Notify::new(),
            writer: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the number of a note that is left or saved now.
    pub(super) fn turn(&self) -> i64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn leave(&self, key: &KeyId, note: CheckNote) {
        let turn = self.turn();
        let mut kept = self.kept.lock();
        if kept.left.is_empty() {
            self.first.notify_one();
        }
        kept.left.insert(key.clone(), Left { note, turn });
    }

    /// Returns the notes that are not in the database yet.
    pub(super) fn all(&self) -> HashMap<KeyId, CheckNote> {
        let kept = self.kept.lock();
        let all = kept.writing.iter().chain(&kept.left);
        all.map(|(key, left)| (key.clone(), left.note.clone()))
            .collect()
    }

    pub(super) fn take(&self, key: &KeyId) -> Option<Left> {
        let mut kept = self.kept.lock();
        let older = kept.writing.remove(key);
        kept.left.remove(key).or(older)
    }

    /// Puts back a note that could not be written. One that was left since stays.
    pub(super) fn put_back(&self, key: &KeyId, note: Left) {
        let mut kept = self.kept.lock();
        kept.left.entry(key.clone()).or_insert(note);
        self.first.notify_one();
    }

    fn begin(&self) -> HashMap<KeyId, Left> {
        let mut kept = self.kept.lock();
        kept.writing = std::mem::take(&mut kept.left);
        kept.writing.clone()
    }

    fn end(&self, written: bool) {
        let mut kept = self.kept.lock();
        let writing = std::mem::take(&mut kept.writing);
        if !written && !writing.is_empty() {
            for (key, note) in writing {
                kept.left.entry(key).or_insert(note);
            }
            self.first.notify_one();
        }
    }
}

/// Puts the notes back that are being written when it is dropped, unless they were written.
struct Writing<'a> {
    notes: &'a Notes,
    written: bool,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.notes.end(self.written);
    }
}

/// Writes notes into the database.
#[derive(Clone)]
pub(super) struct NoteWriter {
    pub(super) pool: Pool,
    pub(super) notes: Arc<Notes>,
    pub(super) health: Arc<Health>,
    pub(super) own_replica: Arc<OwnReplica>,
}

impl NoteWriter {
    /// Writes the gathered notes again and again, and closes idle connections.
    pub(super) async fn keep_writing(&self) {
        loop {
            let first = self.notes.first.notified();
            match self.health.is_to_write_again() {
                false => first.await,
                // Even without notes a write is tried, to detect that the state accepts writes again.
                true => _ = timeout(AGAIN, first).await,
            }
            tokio::time::sleep(GATHER).await;
            // Notes that cannot be written now are kept.
            if self.write_notes().await.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            self.pool.shrink();
        }
    }

    /// Writes what is gathered now.
    pub(super) async fn write_notes(&self) -> Result<(), StateError> {
        let _alone = self.notes.writer.lock().await;
        let notes = self.notes.begin();
        let mut writing = Writing {
            notes: &self.notes,
            written: false,
        };
        if !notes.is_empty() || self.health.is_to_write_again() {
            let written = self.write(&notes).await;
            self.health.written(written)?;
        }
        writing.written = true;
        Ok(())
    }

    async fn write(&self, notes: &HashMap<KeyId, Left>) -> Result<(), StateError> {
        let documents = notes.values().map(|left| document::of(&left.note));
        let parameters = [
            texts(notes.keys().map(KeyId::as_str).collect::<Vec<_>>()),
            texts(documents.collect::<Vec<_>>()),
            ints(notes.values().map(|left| left.turn).collect::<Vec<_>>()),
            int(self.notes.session),
            int(self.own_replica.replica()),
        ];
        let statement: (_, &[_]) = match notes.is_empty() {
            false => (WRITE, &parameters),
            true => (WRITE_NOTHING, &[]),
        };
        let mut session = self.pool.session().await?;
        session
            .transaction("SET LOCAL synchronous_commit = off", &[statement])
            .await
            .map(drop)
    }
}
