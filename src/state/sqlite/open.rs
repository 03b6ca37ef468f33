//! Opens a connection: the file, its permissions and its settings.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::place::Place;
use super::schema;
use crate::files;
use crate::state::StateError;

/// The time limit of the wait for another process's write, which takes milliseconds.
const BUSY: Duration = Duration::from_secs(5);

/// The most memory that SQLite's page cache takes, in KiB. What is read and written goes through a table in its order.
const CACHE: i64 = 512;

/// The size that the write-ahead log is cut back to after a checkpoint, in bytes.
const LOG_LIMIT: i64 = 8 << 20;

/// Makes an empty file where there is none, and closes to others what is there. No connection of this
/// process may be open: SQLite's locks end when any handle of the file is closed.
pub(super) fn prepare(place: &Place) -> Result<(), StateError> {
    let is_new = !is_a_file(place)?;
    if is_new {
        files::open(place.path())
            .map_err(|why| place.unusable(format!("it cannot be created: {why}")))?;
        // The name must be as durable as what will be written under it.
        let directory = directory(place);
        return File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| place.unusable(format!("{}: {error}", directory.display())));
    }
    for path in ["", "-wal", "-shm"].map(|ending| place.beside(ending)) {
        if path.symlink_metadata().is_ok() {
            files::close_to_others(&path)
                .map_err(|why| place.unusable(format!("{}: {why}", path.display())))?;
        }
    }
    Ok(())
}

/// Checks whether there is a file. It is an error where something else has its name, or where no file can.
pub(super) fn is_a_file(place: &Place) -> Result<bool, StateError> {
    match place.path().symlink_metadata() {
        Ok(found) => files::check(&found)
            .map(|()| true)
            .map_err(|why| place.unusable(why)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(place.unusable(error.to_string())),
    }
}

/// Returns the directory that a state is in, or is to be made in.
fn directory(place: &Place) -> &Path {
    match place.path().parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Fails where there is no directory for the state.
pub(super) fn is_somewhere(place: &Place) -> Result<(), StateError> {
    let directory = directory(place);
    match directory.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(place.unusable(format!("{} is not a directory", directory.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(place.unusable(format!(
            "the directory {} does not exist: create it for this user, or set [state] url",
            directory.display()
        ))),
        Err(error) => Err(place.unusable(format!("{}: {error}", directory.display()))),
    }
}

/// Opens a state in memory.
pub(super) fn in_memory(place: &Place) -> Result<Connection, StateError> {
    let mut connection = Connection::open_in_memory().map_err(|error| place.explain(&error))?;
    schema::make(&mut connection, place)?;
    Ok(connection)
}

/// Opens the connection of the process that works on the state, which holds the lock.
pub(super) fn working(place: &Place) -> Result<Connection, StateError> {
    let mut connection = connect(place)?;
    // Whose file it is comes before anything that writes to it.
    schema::is_there(&connection, place)?;
    let explain = |error| place.explain(&error);
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(explain)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(place.unusable(
            "its file system cannot share memory between processes: put it on a local disk",
        ));
    }
    schema::make(&mut connection, place)?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(explain)?;
    if verdict != "ok" {
        return Err(place.corrupt("SQLite finds it malformed"));
    }
    Ok(connection)
}

/// Opens a connection beside a working process; `None` where there is no state yet.
pub(super) fn beside(place: &Place) -> Result<Option<Connection>, StateError> {
    if !is_a_file(place)? {
        return Ok(None);
    }
    let connection = connect(place)?;
    Ok(schema::is_there(&connection, place)?.then_some(connection))
}

fn connect(place: &Place) -> Result<Connection, StateError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // SQLite would not follow a link among the directories either.
    let directory = directory(place).canonicalize();
    let directory = directory.map_err(|error| place.unusable(error.to_string()))?;
    let path = directory.join(place.path().file_name().unwrap_or_default());
    let connect = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cache_size", -CACHE)?;
        // A container may have no directory for temporary files.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.query_row(
            &format!("PRAGMA journal_size_limit = {LOG_LIMIT}"),
            [],
            |_| Ok(()),
        )?;
        Ok(connection)
    };
    connect().map_err(|error| place.explain(&error))
}
