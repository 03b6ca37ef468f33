//! The location of the state, and the conversion of its errors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_DBMOVED;

use crate::state::StateError;

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

    /// Returns the path with this ending, such as `-wal`.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    }

    pub(super) fn unusable(&self, reason: impl Into<String>) -> StateError {
        StateError::Unusable {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn corrupt(&self, reason: impl Into<String>) -> StateError {
        StateError::Corrupt {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn failed(&self, reason: impl Into<String>) -> StateError {
        StateError::Failed {
            place: self.to_string(),
            reason: reason.into(),
        }
    }

    pub(super) fn locked(&self, holder: Option<String>) -> StateError {
        StateError::Locked {
            place: self.to_string(),
            holder,
        }
    }

    /// Turns SQLite's error into what its reader can do about it.
    /// The codes: <https://sqlite.org/rescode.html>. The library's own words are not shown: of a damaged file
    /// they can quote what is in it.
    pub(super) fn explain(&self, error: &rusqlite::Error) -> StateError {
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
                "the file or its `-wal` was moved or deleted while it was in use, or another has taken its place: what was written now would be lost. Put it back, or restart to use what is there",
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
            _ => self.failed(format!(
                "SQLite code {}: {}",
                code.extended_code,
                rusqlite::ffi::code_to_str(code.extended_code)
            )),
        }
    }

    /// Explains an error of reading a row: another program has written into the file.
    fn explain_row(&self, error: &rusqlite::Error) -> StateError {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => {
                self.corrupt("a row holds what this program does not write")
            }
            _ => self.corrupt("its tables are not those of this program"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}
