//! Reads on in the file at a path, across its rotation and truncation.
//!
//! A file that was renamed is written until the server opens the next one, and that may already be there. So the next
//! one is read once something is in it, and the last of the previous one before. Only what has happened to the files is
//! looked at, in whatever order the kernel tells of it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::opened::{Opened, at, id};
use super::watch::Arrivals;
use crate::trigger::audit::{Engine, Records, tell};
use crate::trigger::contract::{Ear, TriggerError};

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// The most pieces that are read in one look.
const PIECES: usize = 64;

/// How long the path may be empty while its file is rotated.
const BETWEEN: Duration = Duration::from_secs(10);

/// Why something may have been missed where a file was renamed before it was seen.
const UNSEEN: &str = "the audit log was replaced more than once before it was read";

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All that was there was read.
    AtTheEnd,
    /// There is more.
    More,
}

/// The reader of a file that others write, rename and truncate.
pub(super) struct Follower {
    path: PathBuf,
    opened: Opened,
    records: Records,
    buffer: Vec<u8>,
    /// Since when nothing is at the path.
    gone: Option<Instant>,
    arrivals: Arrivals,
    /// The arrivals that belong to files that were read.
    counted: u64,
    /// The files that were begun, and whose arrival was not told yet.
    begun: u64,
    /// `true` if the server may write to a file that is not read.
    adrift: bool,
}

impl Follower {
    /// Begins at the end of the file.
    pub fn at_the_end(
        path: PathBuf,
        engine: Engine,
        arrivals: Arrivals,
    ) -> Result<Self, TriggerError> {
        let counted = arrivals.load(Ordering::SeqCst);
        let (opened, is_within) = Opened::at_the_end(&path)?;
        let records = match is_within {
            true => Records::from_within(engine),
            false => Records::from_the_start(engine),
        };
        Ok(Self {
            path,
            opened,
            records,
            buffer: vec![0; PIECE],
            gone: None,
            arrivals,
            counted,
            begun: 0,
            adrift: false,
        })
    }

    /// Reads what was written since the last look.
    pub fn look(&mut self, ear: &Ear) -> Result<Look, TriggerError> {
        if self.read(ear)? == Look::More {
            return Ok(Look::More);
        }
        let Some(now) = at(&self.path)? else {
            self.count_arrivals(ear, 0, false);
            let since = *self.gone.get_or_insert_with(Instant::now);
            if since.elapsed() > BETWEEN {
                let path = self.path.display();
                return Err(TriggerError(format!("there is no file {path} any more")));
            }
            return Ok(Look::AtTheEnd);
        };
        self.gone = None;
        if self.opened.has_id(id(&now)) {
            self.count_arrivals(ear, 0, true);
            return Ok(Look::AtTheEnd);
        }
        if now.is_file() && now.len() == 0 {
            // The server still writes to the file that was there before.
            self.count_arrivals(ear, 1, false);
            return Ok(Look::AtTheEnd);
        }
        // It does not any more, and this is the rest.
        if self.read(ear)? == Look::AtTheEnd {
            self.begin_the_next(ear)?;
        }
        Ok(Look::More)
    }

    fn begin_the_next(&mut self, ear: &Ear) -> Result<(), TriggerError> {
        self.opened = Opened::at_the_start(&self.path)?;
        self.begun += 1;
        if std::mem::take(&mut self.adrift) {
            ear.missed(UNSEEN);
        }
        if self.records.restart() {
            ear.missed("the audit log ended in the middle of a record");
        }
        Ok(())
    }

    /// Compares the files that have come, but for those still `waiting` at the path, with those that were read: where
    /// files follow each other fast, one may have been renamed before it was seen. The server may go on writing to that
    /// one unless `here`: the file that is read is the one at the path.
    fn count_arrivals(&mut self, ear: &Ear, waiting: u64, here: bool) {
        let arrivals = self.arrivals.load(Ordering::SeqCst);
        let arrivals = arrivals.saturating_sub(waiting);
        if arrivals <= self.counted {
            return;
        }
        if arrivals > self.counted + self.begun {
            ear.missed(UNSEEN);
            self.adrift |= !here;
        }
        self.counted = arrivals;
        self.begun = 0;
    }

    fn read(&mut self, ear: &Ear) -> Result<Look, TriggerError> {
        if self.opened.start_over_if_truncated(&self.path)? {
            self.records.restart();
            ear.missed("the audit log was truncated");
        }
        for _ in 0..PIECES {
            let count = self.opened.read(&self.path, &mut self.buffer)?;
            if count == 0 {
                return Ok(Look::AtTheEnd);
            }
            let piece = &mut self.buffer[..count];
            let taken = self.records.take(piece, |record| tell(ear, record));
            // With `log_raw` there are values in it.
            piece.fill(0);
            taken?;
        }
        Ok(Look::More)
    }
}

#[cfg(test)]
mod tests;
