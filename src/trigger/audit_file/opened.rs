//! One file, and how far it was read.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::trigger::contract::TriggerError;

/// How many bytes before the place of reading are compared with those that were read there.
const COMPARED: usize = 64;

/// A file that is read from.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    id: (u64, u64),
    offset: u64,
    /// The last bytes before `offset`. A record has a time and an id, so no two have the same.
    before: Vec<u8>,
}

/// The device and the inode of a file: it keeps them when it is renamed.
pub(super) fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Opened {
    /// Opens a file, to be read from its start.
    pub fn at_the_start(path: &Path) -> Result<Self, TriggerError> {
        let refused = |error: &io::Error| failed(path, "opened", error);
        // NONBLOCK: opening a FIFO would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty());
        let file = File::from(file.map_err(|errno| refused(&errno.into()))?);
        let metadata = file.metadata().map_err(|error| refused(&error))?;
        if !metadata.is_file() {
            let path = path.display();
            return Err(TriggerError(format!(
                "{path} is not a file: an audit device that writes to a pipe or a terminal cannot be followed"
            )));
        }
        Ok(Self {
            id: id(&metadata),
            file,
            offset: 0,
            before: Vec::new(),
        })
    }

    /// Opens a file, to be read from its end. Returns `true` if that is in the middle of a line, too.
    pub fn at_the_end(path: &Path) -> Result<(Self, bool), TriggerError> {
        let mut opened = Self::at_the_start(path)?;
        let read = opened.seek_to_the_end();
        let is_within = read.map_err(|error| failed(path, "read", &error))?;
        Ok((opened, is_within))
    }

    fn seek_to_the_end(&mut self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        let compared = length.min(COMPARED as u64);
        self.offset = length - compared;
        let mut end = [0; COMPARED];
        let count = self.read_some(&mut end[..compared as usize])?;
        Ok(end[..count].last().is_some_and(|byte| *byte != b'\n'))
    }

    /// Returns `true` if this is the file with that id.
    pub fn has_id(&self, id: (u64, u64)) -> bool {
        self.id == id
    }

    /// Reads on. Returns 0 at the end.
    pub fn read(&mut self, path: &Path, buffer: &mut [u8]) -> Result<usize, TriggerError> {
        let read = self.read_some(buffer);
        read.map_err(|error| failed(path, "read", &error))
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            match self.file.read_at(buffer, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.offset += count as u64;
        self.before
            .extend_from_slice(&buffer[count.saturating_sub(COMPARED)..count]);
        let surplus = self.before.len().saturating_sub(COMPARED);
        self.before.drain(..surplus);
        Ok(count)
    }

    /// Goes back to the start if what was read is no longer there, as after `copytruncate`. Returns `true` then.
    pub fn start_over_if_truncated(&mut self, path: &Path) -> Result<bool, TriggerError> {
        let truncated = self.is_truncated();
        let truncated = truncated.map_err(|error| failed(path, "read", &error))?;
        if truncated {
            self.offset = 0;
            self.before.clear();
        }
        Ok(truncated)
    }

    /// A file that was truncated may have grown beyond the place of reading since, so its length alone does not tell.
    fn is_truncated(&self) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.offset {
            return Ok(true);
        }
        let mut there = [0; COMPARED];
        let there = &mut there[..self.before.len()];
        match self
            .file
            .read_exact_at(there, self.offset - there.len() as u64)
        {
            Ok(()) => Ok(there != self.before.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Returns the metadata of what is at a path now; `None` if there is nothing.
pub(super) fn at(path: &Path) -> Result<Option<Metadata>, TriggerError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, "found", &error)),
    }
}

fn failed(path: &Path, what: &str, error: &io::Error) -> TriggerError {
    let path = path.display();
    TriggerError(match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {path} yet"),
        io::ErrorKind::PermissionDenied => format!(
            "{path} must not be {what}: give the audit device `mode = \"0640\"` and let the rotator run in the group of the file, which must be able to enter each directory above it"
        ),
        kind => format!("{path} cannot be {what}: {kind}"),
    })
}
