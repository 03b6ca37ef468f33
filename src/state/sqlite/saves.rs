//! Saves that wait while another is written to the disk are written together: the disk is waited for
//! once, and each caller is answered after that, as if its save had been alone.

use std::collections::VecDeque;

use rusqlite::Transaction;
use tokio::sync::oneshot;

use super::desk::{Desk, survive};
use super::edits::put_heard;
use super::rows::{looks, put_history, put_look, put_record, put_verified};
use crate::model::{CheckNote, HistoryRow, Record, Verifier};

/// Saves in one transaction at most: what waits for the first of them waits for the last.
const TOGETHER: usize = 256;

/// One save, and whoever waits for it.
pub(super) struct Save {
    pub record: Record,
    pub row: Option<HistoryRow>,
    pub verified_by: Option<Verifier>,
    /// A note that the record's own is to replace.
    pub older: Option<CheckNote>,
    pub answer: oneshot::Sender<rusqlite::Result<()>>,
}

impl Save {
    fn put(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        put_record(transaction, &self.record)?;
        put_heard(transaction, &self.record)?;
        let look = &self.record.look;
        put_look(&mut looks(transaction)?, &self.record.key, look)?;
        if let Some(row) = &self.row {
            put_history(transaction, row)?;
        }
        if let Some(by) = self.verified_by {
            put_verified(transaction, &self.record.key, by)?;
        }
        Ok(())
    }

    fn answer(self, desk: &Desk, saved: rusqlite::Result<()>) {
        if let (Err(_), Some(note)) = (&saved, self.older) {
            desk.notes().put_back([(self.record.key, note)].into());
        }
        let _ = self.answer.send(saved);
    }
}

impl Desk {
    /// Writes what waits. Where that fails, each is written by itself, so that every caller gets its
    /// own error and none that of another.
    pub(super) fn save(&mut self, waiting: &mut VecDeque<Save>) {
        while !waiting.is_empty() {
            let many = waiting.len().min(TOGETHER);
            let saves: Vec<Save> = waiting.drain(..many).collect();
            if saves.len() > 1 && matches!(survive(|| self.write_saves(&saves)), Some(Ok(()))) {
                saves.into_iter().for_each(|save| save.answer(self, Ok(())));
                continue;
            }
            for save in saves {
                // Without an answer the caller is told that the work on it broke off.
                if let Some(saved) = survive(|| self.write_saves(std::slice::from_ref(&save))) {
                    save.answer(self, saved);
                }
            }
        }
    }

    fn write_saves(&mut self, saves: &[Save]) -> rusqlite::Result<()> {
        self.write(|transaction| saves.iter().try_for_each(|save| save.put(transaction)))
    }
}
