//! The tables, and how a database comes to have them.
//!
//! They are in the first schema of the user's `search_path`, and their names begin with `rotator_`.
//! Times are the server's own type; what has a shape of its own is `json`, which keeps a text as it
//! is. Each migration is a row of `rotator_schema`, and each only adds: replicas of different
//! versions work side by side. `needs` is the oldest program's newest schema that can still work
//! with the tables after it: a program refuses tables that need more than it knows, and no others.

use std::time::Duration;

use super::place::Place;
use super::pool::{Pool, Session};
use super::value::{int, number};
use crate::state::StateError;

/// What brings a database from each schema to the next. A published one is never edited.
const MIGRATIONS: [Migration; 3] = [
    Migration {
        needs: 1,
        sql: r"
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

CREATE TABLE rotator_keys (
    key text PRIMARY KEY,
    ai_llm_id text,
    seen text,
    live json,
    intent json,
    refusal json,
    held json,
    previous json,
    trial json,
    candidate json,
    told json
);

-- It changes with every look, and the rest does not. Of two notes of one session the one of the
-- later turn stays, in whatever order they are written.
CREATE TABLE rotator_looks (
    key text PRIMARY KEY,
    checked_at timestamptz,
    next_at timestamptz,
    problem json,
    strip text,
    session bigint NOT NULL,
    turn bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE rotator_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    key text NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    ai_llm_id text,
    previous_version text,
    version text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL,
    elapsed_us bigint NOT NULL,
    verified_by text,
    reason text NOT NULL,
    error text
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
",
    },
    Migration {
        needs: 1,
        sql: r"
ALTER TABLE rotator_keys ADD COLUMN edits json;

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
",
    },
    Migration {
        needs: 1,
        sql: r"
-- What each receiver of notifications was told of what, and is to be told.
CREATE TABLE rotator_notified (
    receiver text NOT NULL,
    subject text NOT NULL,
    event text,
    since timestamptz NOT NULL,
    told text,
    PRIMARY KEY (receiver, subject)
);
",
    },
];

struct Migration {
    /// The oldest schema whose programs can still work after it.
    needs: i64,
    sql: &'static str,
}

/// The schema this program writes.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// "FlbR": keeps two programs from making the tables at once.
const LOCK: i64 = 0x466c_6252;

/// How long making the tables may take, the wait for another that makes them included.
const MIGRATING: Duration = Duration::from_secs(60);

/// What the tables are.
struct Found {
    schema: i64,
    needs: i64,
}

/// Whether there are tables to read yet.
///
/// # Errors
/// Tables that only a newer program can read, and the server's.
pub(super) async fn is_there(pool: &Pool) -> Result<bool, StateError> {
    let mut session = pool.session().await?;
    let found = find(&mut session).await?;
    accept(&found, pool.place())?;
    Ok(found.schema > 0)
}

/// Brings the database to the newest schema: all of it, or nothing where it is cut short.
///
/// # Errors
/// Those of [`is_there`].
pub(super) async fn migrate(pool: &Pool) -> Result<(), StateError> {
    let mut session = pool.session_for(MIGRATING).await?;
    let found = find(&mut session).await?;
    accept(&found, pool.place())?;
    if found.schema >= KNOWN {
        return Ok(());
    }
    let limit = MIGRATING.as_millis();
    session
        .execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED;
             SET LOCAL statement_timeout = {limit};
             SET LOCAL lock_timeout = {limit};
             SELECT pg_advisory_xact_lock({LOCK})"
        ))
        .await?;
    // Somebody else may have done it while this one waited.
    let found = find(&mut session).await?;
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > found.schema {
            session.execute(migration.sql).await?;
            session
                .query(
                    "INSERT INTO rotator_schema (number, needs, program) VALUES ($1, $2, $3)",
                    &[
                        int(number),
                        int(migration.needs),
                        super::value::text(env!("CARGO_PKG_VERSION")),
                    ],
                )
                .await?;
        }
    }
    // It is no credential and opens nothing: it keeps one who sees fingerprints from trying
    // guesses against them.
    let key: [u8; 32] = rand::random();
    session
        .query(
            "INSERT INTO rotator_meta (name, value) VALUES ('fingerprint_key', $1)
             ON CONFLICT DO NOTHING",
            &[super::value::bytes(key.as_slice())],
        )
        .await?;
    session.execute("COMMIT").await
}

async fn find(session: &mut Session) -> Result<Found, StateError> {
    let none = Found {
        schema: 0,
        needs: 0,
    };
    // Read from the catalogue itself: what the server remembers of names may be older than the lock.
    let named = session
        .query(
            "SELECT count(*) FROM pg_class
             WHERE relname = 'rotator_schema' AND pg_table_is_visible(oid)",
            &[],
        )
        .await?;
    if number(&named) == 0 {
        return Ok(none);
    }
    let rows = session
        .query(
            "SELECT coalesce(max(number), 0), coalesce(max(needs), 0) FROM rotator_schema",
            &[],
        )
        .await?;
    let row = rows.first().map(|row| (row.get(0), row.get(1)));
    Ok(row.map_or(none, |(schema, needs)| Found { schema, needs }))
}

fn accept(found: &Found, place: &Place) -> Result<(), StateError> {
    if found.needs > KNOWN {
        return Err(StateError::Newer {
            place: place.to_string(),
            found: found.schema,
            known: KNOWN,
        });
    }
    Ok(())
}
