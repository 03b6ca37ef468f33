//! Where the state is, and what an error there means.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_DBMOVED;

use crate::store::StoreError;
use crate::words;

/// The path of a state file: puts the place into errors.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<Path>);

impl Place {
    pub(super) fn new(path: &Path) -> Self {
        Self(Arc::from(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// `<state>.lock`, beside the file itself: a link to it does not lead to a second lock.
    pub(super) fn lock_path(&self) -> PathBuf {
        let file = self
            .0
            .canonicalize()
            .unwrap_or_else(|_| self.0.to_path_buf());
        let mut name = file.into_os_string();
        name.push(".lock");
        PathBuf::from(name)
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Unusable {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn corrupt(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn failed(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Failed {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn locked(&self, holder: Option<String>) -> StoreError {
        StoreError::Locked {
            place: self.to_string(),
            holder,
        }
    }

    /// Turns SQLite's error into what its reader can do about it.
    /// The codes: <https://sqlite.org/rescode.html>.
    pub(super) fn explain(&self, error: &rusqlite::Error) -> StoreError {
        let rusqlite::Error::SqliteFailure(code, _) = error else {
            return self.explain_row(error);
        };
        match code.code {
            ErrorCode::NotADatabase => self.corrupt("it is not an SQLite file"),
            ErrorCode::DatabaseCorrupt => self.corrupt("SQLite finds it malformed"),
            ErrorCode::DiskFull => {
                self.unusable("the disk is full, and nothing was written: make room on it")
            }
            ErrorCode::ReadOnly if code.extended_code == SQLITE_READONLY_DBMOVED => self.unusable(
                "the file was moved or deleted while it was in use: put it back, or restart to begin a new one",
            ),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => self.unusable(
                "it cannot be written: give this user write permission on the file and its directory",
            ),
            ErrorCode::CannotOpen => self.unusable(
                "it cannot be opened: check the permissions of the file and its directory, and the limit on open files",
            ),
            ErrorCode::SystemIoFailure => self.unusable(format!(
                "the disk reports an error (SQLite code {}): check the file system",
                code.extended_code
            )),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => self.failed(
                "another process has kept it busy for too long: look for one that is stopped in the middle of a write",
            ),
            _ => self.failed(format!("SQLite code {}: {}", code.extended_code, said(error))),
        }
    }

    /// What is left are errors of reading a row: something else has written into the file.
    fn explain_row(&self, error: &rusqlite::Error) -> StoreError {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => {
                self.corrupt("a row holds what this program does not write")
            }
            _ => self.failed(said(error)),
        }
    }
}

/// SQLite's words: of a damaged file they can quote what is in it.
fn said(error: &rusqlite::Error) -> String {
    words::shown(&error.to_string(), &[])
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}
