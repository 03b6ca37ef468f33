//! The lock that keeps a second working process away.
//!
//! It is an advisory lock of the operating system on `<state>.lock`, so that it ends with its
//! process however that ends. The file holds one line that says who has it; a line without the lock
//! means nothing.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::thread::sleep;
use std::time::Duration;

use super::place::Place;
use crate::files;
use crate::state::StateError;

/// The number of tries at a lock that is taken: [`holder`] has it for an instant when it is called, and a process that
/// is ending a little longer.
const TRIES: u32 = 50;
/// The pause between two tries.
const APART: Duration = Duration::from_millis(10);

/// The longest line that is read from a lock file, or found in one.
const LONGEST_LINE: u64 = 200;

/// The ending of its name.
const LOCK: &str = ".lock";

/// Takes the lock and signs it with `holder`. The lock is held until the file is dropped.
pub(super) fn take(place: &Place, holder: &str) -> Result<File, StateError> {
    let path = place.beside(LOCK);
    let refuse = |why: String| place.unusable(format!("its lock {}: {why}", path.display()));
    let fail = |error: std::io::Error| refuse(error.to_string());
    let mut file = files::open(&path).map_err(refuse)?;
    let mut tries = 1;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tries < TRIES => {
                tries += 1;
                sleep(APART);
            }
            Err(TryLockError::WouldBlock) => return Err(place.locked(line(&mut file))),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
    }
    if file.metadata().map_err(fail)?.len() > LONGEST_LINE {
        let why = "it holds something else: move it away, or give the state another name";
        return Err(refuse(why.to_owned()));
    }
    file.set_len(0).map_err(fail)?;
    file.rewind().map_err(fail)?;
    file.write_all(format!("{holder}\n").as_bytes())
        .map_err(fail)?;
    Ok(file)
}

/// Returns who has the lock now. It finds out by taking a shared lock for an instant, which [`take`] allows for.
pub(super) fn holder(place: &Place) -> Option<String> {
    let mut file = File::open(place.beside(LOCK)).ok()?;
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            None
        }
        Err(_) => Some(line(&mut file).unwrap_or_else(|| "another process".to_owned())),
    }
}

fn line(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LONGEST_LINE).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
