//! The tables, and how a database comes to have them.
//!
//! They are in the first schema of the user's `search_path`, and their names begin with `rotator_`. What is read back
//! whole is a JSON document in one column of text; beside it stand the columns that SQL asks for. Times are the
//! server's own type.
//!
//! Each change of the tables is a row of `rotator_schema`, and only adds, so that replicas of different versions work
//! side by side. `needs` is the oldest program's newest schema that can still work with the tables after it: a
//! program refuses tables that need more than it knows, and no other newer ones.

use std::time::Duration;

use super::place::Place;
use super::pool::{Pool, Session};
use super::value::{bytes, int, number, text};
use crate::state::StateError;

/// The schema this program makes. Those before 4 had a column for each part of a record.
const SCHEMA: i64 = 4;

const TABLES: &str = r"
CREATE TABLE rotator_schema (
    number bigint PRIMARY KEY,
    needs bigint NOT NULL,
    program text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE rotator_meta (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

-- `intent`: a write was begun whose outcome is not known.
CREATE TABLE rotator_keys (
    key text PRIMARY KEY,
    ai_llm_id text,
    intent boolean NOT NULL,
    document text NOT NULL
);

-- It changes with every look, and the rest does not. Of two notes of one session the one of the
-- later turn stays, in whatever order they are written.
CREATE TABLE rotator_looks (
    key text PRIMARY KEY,
    note text NOT NULL,
    session bigint NOT NULL,
    turn bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE rotator_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    key text NOT NULL,
    outcome text NOT NULL,
    verified_by text,
    line text NOT NULL
);
CREATE INDEX rotator_history_of_key ON rotator_history (key, id);

CREATE TABLE rotator_replicas (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    wants integer NOT NULL DEFAULT 0,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- `repair_at`: marked for repair. `late_at`: becomes such a mark then.
CREATE TABLE rotator_leases (
    key text PRIMARY KEY,
    holder bigint REFERENCES rotator_replicas ON DELETE SET NULL,
    fence bigint NOT NULL DEFAULT 0,
    repair_no bigint NOT NULL DEFAULT 0,
    repair_at timestamptz,
    late_at timestamptz
);
CREATE INDEX rotator_leases_of_holder ON rotator_leases (holder);
CREATE INDEX rotator_leases_to_repair ON rotator_leases (holder)
    WHERE repair_at IS NOT NULL OR late_at IS NOT NULL;

CREATE TABLE rotator_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    request json NOT NULL,
    answer text
);

-- `replica` and `fence`: who works on it, and since which claim.
CREATE TABLE rotator_request_keys (
    request bigint NOT NULL REFERENCES rotator_requests ON DELETE CASCADE,
    key text NOT NULL,
    replica bigint REFERENCES rotator_replicas ON DELETE SET NULL,
    fence bigint,
    answered boolean NOT NULL DEFAULT false,
    answer json,
    PRIMARY KEY (request, key)
);
CREATE INDEX rotator_request_keys_open ON rotator_request_keys (key) WHERE NOT answered;

CREATE TABLE rotator_request_progress (
    request bigint NOT NULL REFERENCES rotator_requests ON DELETE CASCADE,
    replica bigint NOT NULL REFERENCES rotator_replicas ON DELETE CASCADE,
    done bigint NOT NULL,
    PRIMARY KEY (request, replica)
);

-- Each workspace is asked about by one replica at a time.
CREATE TABLE rotator_watches (
    workspace_id text PRIMARY KEY,
    read_to timestamptz,
    asked_at timestamptz NOT NULL
);

-- Those that a key has heard of stay for a while: to be known again.
CREATE TABLE rotator_edits (
    id bigint PRIMARY KEY,
    ai_llm_id text NOT NULL,
    user_id text NOT NULL,
    own boolean NOT NULL,
    at timestamptz NOT NULL,
    heard boolean NOT NULL DEFAULT false
);
CREATE INDEX rotator_edits_unheard ON rotator_edits (ai_llm_id) WHERE NOT heard;

-- What each receiver of notifications was told of what, and is to be told.
CREATE TABLE rotator_notified (
    receiver text NOT NULL,
    subject text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (receiver, subject)
);
";

/// "FlbR": keeps two programs from making the tables at once.
const LOCK: i64 = 0x466c_6252;

/// The time limit for creating the tables, including the wait for another process that creates them.
const MAKING: Duration = Duration::from_secs(60);

/// Returns `true` if there are tables to read.
///
/// # Errors
/// Returns [`StateError`] if the tables are those of another version of the program, or the server fails.
pub(super) async fn is_there(pool: &Pool) -> Result<bool, StateError> {
    let mut session = pool.session().await?;
    find(&mut session, pool.place()).await
}

/// Makes the tables where there are none: all of them, or none where it is cut short.
///
/// # Errors
/// Returns the errors of [`is_there`].
pub(super) async fn make(pool: &Pool) -> Result<(), StateError> {
    let mut session = pool.session_for(MAKING).await?;
    if find(&mut session, pool.place()).await? {
        return Ok(());
    }
    let limit = MAKING.as_millis();
    session
        .execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL statement_timeout = {limit};
             SET LOCAL lock_timeout = {limit};
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    // Another process may have created them during the wait.
    if !find(&mut session, pool.place()).await? {
        session.execute(TABLES).await?;
        let sql = "INSERT INTO rotator_schema (number, needs, program) VALUES ($1, $1, $2)";
        let program = env!("CARGO_PKG_VERSION");
        session.query(sql, &[int(SCHEMA), text(program)]).await?;
        // It is no credential and opens nothing: it keeps one who sees fingerprints from trying
        // guesses against them.
        let key: [u8; 32] = rand::random();
        let sql = "INSERT INTO rotator_meta (name, value) VALUES ('fingerprint_key', $1)";
        session.query(sql, &[bytes(key.as_slice())]).await?;
    }
    session.execute("COMMIT").await
}

/// Returns `true` if there are tables that this program can use, and `false` if there are none.
async fn find(session: &mut Session, place: &Place) -> Result<bool, StateError> {
    // Read from the catalogue itself: the names that the server has cached may be from before the lock.
    let named = session
        .query(
            "SELECT count(*) FROM pg_class
             WHERE relname = 'rotator_schema' AND pg_table_is_visible(oid)",
            &[],
        )
        .await?;
    if number(&named) == 0 {
        return Ok(false);
    }
    let rows = session
        .query(
            "SELECT coalesce(max(number), 0), coalesce(max(needs), 0) FROM rotator_schema",
            &[],
        )
        .await?;
    let row = rows.first().map(|row| (row.get(0), row.get(1)));
    let (found, needs): (i64, i64) = row.unwrap_or_default();
    match found {
        0 => Ok(false),
        _ if found < SCHEMA || needs > SCHEMA => Err(StateError::of_schema(found, SCHEMA, place)),
        _ => Ok(true),
    }
}
