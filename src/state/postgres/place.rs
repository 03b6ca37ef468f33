//! The location of the state, and the conversion of its errors.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::error_chain;
use crate::redact::MASK;
use crate::state::StateError;
use crate::words;

const LAYOUT: &str = "there are tables of that name which are not this program's: give it a database or a schema of its own";

/// The errors that a person has to put right.
static UNUSABLE: [(SqlState, &str); 8] = [
    (
        SqlState::INVALID_PASSWORD,
        "the server refuses the password: see `password` in [state], or $PGPASSFILE",
    ),
    (
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        "the server does not let this user in from here: see its pg_hba.conf, and whether the user exists and may log in",
    ),
    (
        SqlState::INVALID_CATALOG_NAME,
        "the server has no such database: create it, as in `createdb --owner=USER NAME`",
    ),
    (
        SqlState::INVALID_SCHEMA_NAME,
        "its user has no schema to make tables in: see search_path",
    ),
    (SqlState::DUPLICATE_TABLE, LAYOUT),
    (
        SqlState::UNDEFINED_TABLE,
        "its tables are gone: restore them, or restart to begin anew. The configurations in Flashback are then adopted by name, and each key is pushed once",
    ),
    (SqlState::UNDEFINED_COLUMN, LAYOUT),
    (
        SqlState::DISK_FULL,
        "its disk is full, and nothing was written: make room on it",
    ),
];

/// The errors that may go away by themselves.
static FAILED: [(SqlState, &str); 8] = [
    (
        SqlState::READ_ONLY_SQL_TRANSACTION,
        "it takes no writes: it is a standby, or was made read-only. Name the primary, or all hosts with `target_session_attrs=read-write`",
    ),
    (
        SqlState::TOO_MANY_CONNECTIONS,
        "it has no connection left: raise max_connections, or put a pooler before it",
    ),
    (
        SqlState::QUERY_CANCELED,
        "a statement took too long, and was broken off",
    ),
    (
        SqlState::LOCK_NOT_AVAILABLE,
        "another session has kept a table or a row locked for too long: see pg_locks",
    ),
    (SqlState::ADMIN_SHUTDOWN, "the server is shutting down"),
    (
        SqlState::CRASH_SHUTDOWN,
        "the server is starting again after a crash",
    ),
    (
        SqlState::CANNOT_CONNECT_NOW,
        "the server is starting, or shutting down",
    ),
    (
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        "the server has closed a connection that was stopped in the middle of a write",
    ),
];

/// A database as people write it: puts the place into errors.
#[derive(Clone, Debug)]
pub(super) struct Place(Arc<str>);

impl Place {
    pub(super) fn new(shown: String) -> Self {
        Self(Arc::from(shown))
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

    pub(super) fn no_answer(&self, within: Duration) -> StateError {
        self.failed(format!(
            "it does not answer within {}: is the network, or the server, overloaded or cut off?",
            humantime::format_duration(within)
        ))
    }

    /// Turns an error into what its reader can do about it. What the server says in `detail` may
    /// quote a row, and is left out; of its message no more than may be shown stays.
    /// The codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    pub(super) fn explain(&self, error: &Error) -> StateError {
        if let Some(said) = error.as_db_error() {
            return self.explain_server(said);
        }
        let broken = error_chain::of_connection(error);
        match broken {
            _ if error.is_closed() => self.failed("the connection was closed by the server"),
            Some(reason) => self.failed(format!("it cannot be reached: {reason}")),
            None => self.failed(words::shown(&error.to_string(), &[])),
        }
    }

    fn explain_server(&self, said: &DbError) -> StateError {
        let code = said.code();
        let message = words::shown(said.message(), &[]);
        if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            return self.unusable(format!(
                "{message}. Make its user the owner of the database or of a schema of its own, or GRANT USAGE, CREATE ON SCHEMA public TO it"
            ));
        }
        // The row refers to a replica that is not there any more: it was evicted.
        if *code == SqlState::FOREIGN_KEY_VIOLATION {
            return StateError::Lost;
        }
        match self.known(code) {
            Some(error) => error,
            None => {
                let reason = format!("PostgreSQL code {}: {message}", code_of(code));
                // Class 42: what was asked cannot be done with these tables, however often it is asked.
                match code.code().starts_with("42") {
                    true => self.unusable(reason),
                    false => self.failed(reason),
                }
            }
        }
    }

    fn known(&self, code: &SqlState) -> Option<StateError> {
        let find = |list: &[(SqlState, &'static str)]| {
            let found = list.iter().find(|(known, _)| known == code)?;
            Some(found.1)
        };
        find(&UNUSABLE)
            .map(|reason| self.unusable(reason))
            .or_else(|| find(&FAILED).map(|reason| self.failed(reason)))
    }
}

/// Returns `true` if an error says that this server or this session is not the one to ask any more, rather than that
/// the statement is refused. A primary that was replaced and lives on takes no writes (25006), and says so for as long
/// as it is asked.
pub(super) fn is_of_the_server(said: &DbError) -> bool {
    let code = said.code().code();
    // Class 08: the connection; 25: the transaction is not what this program takes it for; 57P: the
    // server is stopping, starting, or has ended the session.
    let is_of_the_server = ["08", "25", "57P"]
        .iter()
        .any(|class| code.starts_with(class));
    // After a fatal error the server closes the connection.
    is_of_the_server
        || matches!(
            said.parsed_severity(),
            Some(Severity::Fatal | Severity::Panic)
        )
}

/// Returns a code as it may be shown. It is five letters and digits; anything else is not shown.
fn code_of(code: &SqlState) -> &str {
    let code = code.code();
    let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_code { code } else { MASK }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
