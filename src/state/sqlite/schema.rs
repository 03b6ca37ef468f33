//! The tables, and how a file comes to have them.
//!
//! Times are RFC 3339 in UTC with microseconds, so that they sort as text and read well in the
//! `sqlite3` shell; what has a shape of its own is JSON. What a look leaves behind is a narrow table
//! beside `keys`, because it changes with every look and the rest does not.

use rusqlite::{Connection, TransactionBehavior};

use super::place::Place;
use crate::state::StateError;

/// "FlbR": marks the file as ours (`PRAGMA application_id`).
pub(super) const APPLICATION: i64 = 0x466c_6252;

/// What brings a file from each schema to the next. A published one is never edited, and each only
/// adds, so that a program of the version before can still work beside this one.
pub(super) const MIGRATIONS: [&str; 5] = [
    r"
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    ai_llm_id TEXT,
    seen TEXT,
    live TEXT CHECK (live IS NULL OR json_valid(live)),
    intent TEXT CHECK (intent IS NULL OR json_valid(intent)),
    refusal TEXT CHECK (refusal IS NULL OR json_valid(refusal)),
    held TEXT CHECK (held IS NULL OR json_valid(held))
) STRICT, WITHOUT ROWID;

CREATE TABLE looks (
    key TEXT PRIMARY KEY,
    checked_at TEXT,
    next_at TEXT,
    problem TEXT CHECK (problem IS NULL OR json_valid(problem))
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    ai_llm_id TEXT,
    previous_version TEXT,
    version TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    elapsed_us INTEGER NOT NULL,
    verified_by TEXT,
    reason TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX history_of_key ON history (key, id);

-- The numbers are never used twice: an asker must not get the answer of another one's request.
CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    submitted_at TEXT NOT NULL,
    request TEXT NOT NULL CHECK (json_valid(request)),
    claimed_at TEXT,
    claimed_by TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    answer TEXT
) STRICT;
CREATE INDEX requests_waiting ON requests (id) WHERE claimed_at IS NULL AND answer IS NULL;
",
    // The last day of a key, as `Timeline` writes it.
    "ALTER TABLE looks ADD COLUMN strip TEXT;",
    // What a value has to prove, and what would be put back.
    r"
ALTER TABLE keys ADD COLUMN previous TEXT CHECK (previous IS NULL OR json_valid(previous));
ALTER TABLE keys ADD COLUMN trial TEXT CHECK (trial IS NULL OR json_valid(trial));
ALTER TABLE keys ADD COLUMN candidate TEXT CHECK (candidate IS NULL OR json_valid(candidate));
ALTER TABLE keys ADD COLUMN told TEXT CHECK (told IS NULL OR json_valid(told));
",
    // What Flashback has told of updates. Those that a key has heard of stay for a while: to be known
    // again.
    r"
ALTER TABLE keys ADD COLUMN edits TEXT CHECK (edits IS NULL OR json_valid(edits));

CREATE TABLE watches (
    workspace_id TEXT PRIMARY KEY,
    read_to TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE edits (
    id INTEGER PRIMARY KEY,
    ai_llm_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    own INTEGER NOT NULL,
    at TEXT NOT NULL,
    heard INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX edits_unheard ON edits (ai_llm_id) WHERE NOT heard;
",
    // What each receiver of notifications was told of what, and is to be told.
    r"
CREATE TABLE notified (
    receiver TEXT NOT NULL,
    subject TEXT NOT NULL,
    event TEXT,
    since TEXT NOT NULL,
    told TEXT,
    PRIMARY KEY (receiver, subject)
) STRICT, WITHOUT ROWID;
",
];

/// The schema this program writes.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Whether there are tables to read yet. A file that is empty, or whose first opening was cut
/// short, has none.
///
/// # Errors
/// A file of another application, or of a newer version of this one.
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
    if found > KNOWN {
        return Err(StateError::Newer {
            place: place.to_string(),
            found,
            known: KNOWN,
        });
    }
    Ok(found > 0)
}

/// Brings the file to the newest schema: all of it, or nothing where it is cut short.
///
/// # Errors
/// Those of [`is_there`], and SQLite's.
pub(super) fn migrate(connection: &mut Connection, place: &Place) -> Result<(), StateError> {
    is_there(connection, place)?;
    steps(connection).map_err(|error| place.explain(&error))
}

fn steps(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
    if found == KNOWN {
        return Ok(());
    }
    for (from, migration) in (0..).zip(MIGRATIONS) {
        if from >= found {
            transaction.execute_batch(migration)?;
        }
    }
    // It is no credential and opens nothing: it keeps one who sees fingerprints from trying
    // guesses against them.
    let key: [u8; 32] = rand::random();
    transaction.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('fingerprint_key', ?1)",
        [key],
    )?;
    mark(&transaction)?;
    transaction.commit()
}

/// Writes whose file this is, and of which schema.
pub(super) fn mark(transaction: &Connection) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", KNOWN)
}
