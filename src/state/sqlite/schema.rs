//! The tables and their creation.
//!
//! Data that are always read as a whole are a JSON document in one column; values that queries use have columns of
//! their own. Times are RFC 3339 in UTC with microseconds, so that they sort as text. The note of the last check is in
//! a narrow table beside `keys`, because it changes with every check and the rest does not.

use rusqlite::{Connection, TransactionBehavior};

use super::place::Place;
use crate::state::StateError;

/// "FlbR": marks the file as ours (`PRAGMA application_id`).
pub(super) const APPLICATION: i64 = 0x466c_6252;

/// The schema this program reads and writes. Those before 6 had a column for each part of a record.
const SCHEMA: i64 = 6;

const TABLES: &str = r"
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    ai_llm_id TEXT,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE looks (
    key TEXT PRIMARY KEY,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    verified_by TEXT,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX history_of_key ON history (key, id);

-- The numbers are never used twice: an asker must not get the answer of another one's request.
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    submitted_at TEXT NOT NULL,
    request TEXT NOT NULL,
    claimed_at TEXT,
    claimed_by TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    answer TEXT
) STRICT;
CREATE INDEX requests_waiting ON requests (id) WHERE claimed_at IS NULL AND answer IS NULL;

CREATE TABLE watches (
    workspace_id TEXT PRIMARY KEY,
    read_to TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What Flashback has told of updates. Those that a key has heard of stay for a while: to be known again.
CREATE TABLE edits (
    id INTEGER PRIMARY KEY,
    ai_llm_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    own INTEGER NOT NULL,
    at TEXT NOT NULL,
    heard INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX edits_unheard ON edits (ai_llm_id) WHERE NOT heard;

-- What each receiver of notifications was told of what, and is to be told.
CREATE TABLE notified (
    receiver TEXT NOT NULL,
    subject TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (receiver, subject)
) STRICT, WITHOUT ROWID;
";

/// Returns `true` if there are tables to read. A file that is empty, or whose first opening was interrupted, has none.
///
/// # Errors
/// Returns [`StateError`] if the file is of another application or of another version of this one.
pub(super) fn is_there(connection: &Connection, place: &Place) -> Result<bool, StateError> {
    let explain = |error| place.explain(&error);
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // In this order: another process may make the tables and mark the file meanwhile, at once.
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(explain)?;
    let found = number("PRAGMA user_version").map_err(explain)?;
    let application = number("PRAGMA application_id").map_err(explain)?;
    if application != APPLICATION && (application != 0 || found != 0 || tables != 0) {
        return Err(place.corrupt("it is an SQLite file of another application"));
    }
    match found {
        0 => Ok(false),
        SCHEMA => Ok(true),
        _ => Err(StateError::of_schema(found, SCHEMA, place)),
    }
}

/// Makes the tables where there are none: all of them, or none where it is cut short.
///
/// # Errors
/// Returns the errors of [`is_there`] and of SQLite.
pub(super) fn make(connection: &mut Connection, place: &Place) -> Result<(), StateError> {
    match is_there(connection, place)? {
        true => Ok(()),
        false => make_tables(connection).map_err(|error| place.explain(&error)),
    }
}

fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    // It is no credential and opens nothing: it keeps one who sees fingerprints from trying
    // guesses against them.
    let key: [u8; 32] = rand::random();
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('fingerprint_key', ?1)",
        [key],
    )?;
    mark(&transaction)?;
    transaction.commit()
}

/// Writes whose file this is, and of which schema.
pub(super) fn mark(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)
}
