//! The state: everything the rotator remembers from one check to the next and over restarts.
//!
//! The contract that every state store keeps:
//!
//! - **Never a value.** Ids, versions, fingerprints, times and outcomes only.
//! - **Durable before it returns.** When [`StateStore::save`] has returned, a power cut does not undo
//!   it. The engine relies on that between an intent and its push.
//! - **Whole or not at all.** A record and its history row are one transaction.
//! - **Notes are cheap.** The notes of [`StateStore::note_check`] may be gathered and written later; losing those of
//!   the last seconds in a crash is harmless.
//! - **To the microsecond.** Finer times may be rounded.
//! - **One writer.** A state that cannot be shared refuses a second process that wants to work on it. Other processes
//!   may read it at the same time, and send requests to the one that works.

mod document;
pub mod edits;
mod health;
pub mod membership;
pub mod open;
pub mod postgres;
pub mod sqlite;
pub mod wakeups;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    CheckNote, DaemonReport, Daemons, Discovered, Edit, HistoryRow, KeyCommand, KeyId, Notified,
    Record, RotateCommand, RuleId, Verifier, WorkspaceId,
};
use crate::secret::Fingerprinter;

use self::edits::{Heard, Watch};

/// A state store.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Returns the maker of fingerprints, with the key that this store keeps.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError>;

    /// Returns every record there is, sorted by key.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn load_all(&self) -> Result<Vec<Record>, StateError>;

    /// Returns one key's record; a new one where there is none.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn load(&self, key: &KeyId) -> Result<Record, StateError>;

    /// Writes a record, and a line of the audit trail with it. Durable when it returns.
    /// The record's [`CheckNote`] is written too.
    ///
    /// # Errors
    /// Returns [`StateError`]; nothing was written then.
    async fn save(&self, record: &Record, row: Option<&HistoryRow>) -> Result<(), StateError>;

    /// Writes a record, and into the last line of the audit trail about a write of this key that
    /// succeeded, what has verified it. Durable when it returns.
    ///
    /// # Errors
    /// Returns [`StateError`]; nothing was written then.
    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StateError>;

    /// Leaves a note of a check. It is written within a second or so together with others, within ten where they are
    /// hundreds, and by [`flush`](Self::flush) at the latest.
    fn note_check(&self, key: &KeyId, note: CheckNote);

    /// Writes what [`note_check`](Self::note_check) gathered.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn flush(&self) -> Result<(), StateError>;

    /// Returns the audit trail, oldest first: of one key or of all, from `since` on, and the last `limit` rows
    /// of that.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError>;

    /// Returns whether this process is to ask Flashback about updates in a workspace now, and from when on. Each
    /// workspace is asked about once in `every`.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn watch(&self, workspace: &WorkspaceId, every: Duration) -> Result<Watch, StateError>;

    /// Records the updates in a workspace that Flashback has reported, and the time up to which they were read. Each
    /// update is recorded once, and only if a record names the updated configuration or stored key. Durable when it
    /// returns.
    ///
    /// # Errors
    /// Returns [`StateError`]; nothing was written then.
    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StateError>;

    /// Returns the keys that have updates to examine.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn edited(&self) -> Result<Vec<KeyId>, StateError>;

    /// Returns the updates that a key has to examine, in the order of their numbers.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StateError>;

    /// Returns what receivers of notifications know.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn notified(&self) -> Result<Vec<Notified>, StateError>;

    /// Writes what receivers of notifications know of these subjects; what [is
    /// over](Notified::is_over) is forgotten. Durable when it returns.
    ///
    /// # Errors
    /// Returns [`StateError`]; nothing was written then.
    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StateError>;

    /// Returns what each rule has discovered.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn discovered(&self) -> Result<BTreeMap<RuleId, Discovered>, StateError>;

    /// Writes what a rule has discovered in the place of what it had before; `None` where there is no such rule any
    /// more. Durable when it returns.
    ///
    /// # Errors
    /// Returns [`StateError`]; nothing was written then.
    async fn save_discovered(
        &self,
        rule: &RuleId,
        discovered: Option<&Discovered>,
    ) -> Result<(), StateError>;

    /// Writes the report of this daemon in the place of the one before; `stopped` where it is the last one.
    ///
    /// # Errors
    /// Returns [`StateError`]; the report before is still there then.
    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StateError>;

    /// Returns what is known of the daemons on this state: those that run and, where none does, the last that did.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn daemons(&self) -> Result<Daemons, StateError>;

    /// Returns why this process cannot use the state, where its last try failed: a write, which is tried again every
    /// few seconds until one succeeds, or the question for requests, which is asked all the time.
    fn failing(&self) -> Option<StateError>;

    /// Hands a request to the process that works on this state.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn submit(&self, request: &Request) -> Result<RequestId, StateError>;

    /// Takes the oldest request that is not taken yet. If a process dies before it has answered a request, the next
    /// process that opens the state makes it available again.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError>;

    /// Says how far a request has come.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn report_progress(&self, id: RequestId, done: u32, total: u32)
    -> Result<(), StateError>;

    /// Answers a request with one JSON document.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StateError>;

    /// Returns how far a request has come. One that is answered is forgotten with this call.
    ///
    /// # Errors
    /// Returns [`StateError`].
    async fn request_state(&self, id: RequestId) -> Result<RequestState, StateError>;
}

/// The number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub i64);

/// A request of another process to the one that works on the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Check keys now, and do what is due.
    Sync {
        /// Which keys; all of them where empty.
        keys: Vec<KeyId>,
        /// Push them even where they are unchanged, refused or held.
        force: bool,
        /// The time after the request was taken within which an answer is wanted, in milliseconds. The answer names the
        /// keys that are not done by then; they are done all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer_within_ms: Option<u64>,
    },
    /// Put the previous version of a key back, and hold the newer one.
    Rollback {
        /// Which key.
        key: KeyId,
    },
    /// Rotate a key at its provider now.
    Rotate {
        /// Which key.
        key: KeyId,
        /// What a person has asked for.
        wanted: RotateCommand,
        /// As that of `Sync`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer_within_ms: Option<u64>,
    },
    /// Say what a check would do, and change nothing.
    Plan {
        /// Which keys; all of them where empty.
        keys: Vec<KeyId>,
    },
    /// Say in which state keys are, by the configuration in force.
    Status {
        /// Which keys; all of them where empty.
        keys: Vec<KeyId>,
    },
}

impl Request {
    /// Returns the keys it is about, none where it is about all of them, and what is wanted of them.
    pub fn parts(&self) -> (Vec<KeyId>, KeyCommand) {
        match self {
            Self::Sync {
                keys, force: false, ..
            } => (keys.clone(), KeyCommand::None),
            Self::Sync {
                keys, force: true, ..
            } => (keys.clone(), KeyCommand::Force),
            Self::Rollback { key } => (vec![key.clone()], KeyCommand::RollBack),
            Self::Rotate { key, wanted, .. } => (vec![key.clone()], KeyCommand::Rotate(*wanted)),
            Self::Plan { keys } | Self::Status { keys } => (keys.clone(), KeyCommand::None),
        }
    }

    /// Returns how soon after it was taken an answer is wanted.
    pub fn answer_within(&self) -> Option<Duration> {
        match self {
            Self::Sync {
                answer_within_ms, ..
            }
            | Self::Rotate {
                answer_within_ms, ..
            } => answer_within_ms.map(Duration::from_millis),
            Self::Rollback { .. } | Self::Plan { .. } | Self::Status { .. } => None,
        }
    }
}

/// The progress of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It is not taken yet.
    Waiting,
    /// It is being worked on.
    Working {
        /// Keys done.
        done: u32,
        /// Keys in all.
        total: u32,
    },
    /// Done: the answer, a JSON document.
    Answered(String),
}

/// The answer to a request that this version does not know, because a newer one has submitted it.
const UNKNOWN_REQUEST: &str =
    r#"{"error": "the working process is an older version, which does not know this request"}"#;

/// The time for which unanswered requests are kept.
pub const REQUEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A state store that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another process works on this state.
    #[error(
        "the state {place} is in use by another process{}: stop that one, or give this one a state of its own in [state] url",
        holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default()
    )]
    Locked {
        /// The location of the state.
        place: String,
        /// The name that the other process gives itself.
        holder: Option<String>,
    },
    /// This process has lost the key: another one works on it, or may soon.
    #[error("another replica works on this key now")]
    Lost,
    /// It was written by a newer version of this program.
    #[error(
        "the state {place} was written by a newer flashback-rotator (schema {found}, this one knows {known}): install that version again, or give this one a state of its own"
    )]
    Newer {
        /// The location of the state.
        place: String,
        /// The schema found.
        found: i64,
        /// The newest schema known.
        known: i64,
    },
    /// It was written by an earlier version of this program, whose state this one does not read.
    #[error(
        "the state {place} was written by an older flashback-rotator (schema {found}, this one needs {known}): move it away and start again: the configurations in Flashback are then adopted by name, and each key is pushed once"
    )]
    Older {
        /// The location of the state.
        place: String,
        /// The schema found.
        found: i64,
        /// The schema this program needs.
        known: i64,
    },
    /// It cannot be read as a state store.
    #[error(
        "the state {place} is damaged or is not a state store: {reason}. Move it away and start again: the configurations in Flashback are then adopted by name, and each key is pushed once"
    )]
    Corrupt {
        /// The location of the state.
        place: String,
        /// The problem, for people.
        reason: String,
    },
    /// It cannot be opened, or not be written.
    #[error("cannot use the state {place}: {reason}")]
    Unusable {
        /// The location of the state.
        place: String,
        /// The problem and its remedy, for people.
        reason: String,
    },
    /// One operation failed.
    #[error("the state {place} failed: {reason}")]
    Failed {
        /// The location of the state.
        place: String,
        /// The problem, for people.
        reason: String,
    },
}

impl StateError {
    /// Returns the error for a state whose schema is not the one that is known.
    fn of_schema(found: i64, known: i64, place: &dyn fmt::Display) -> Self {
        let place = place.to_string();
        match found > known {
            true => Self::Newer {
                place,
                found,
                known,
            },
            false => Self::Older {
                place,
                found,
                known,
            },
        }
    }
}
