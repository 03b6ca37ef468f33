//! The state in a PostgreSQL database, which any number of processes share.
//!
//! Everything is done in single statements, or in transactions that are sent whole: nothing is kept in a
//! session, so a pooler may stand in between (PgBouncer in transaction mode needs
//! `ignore_startup_parameters = options`; the limits on statements are this program's alone then, and
//! `listen.rs` hears nothing).
//! Every wait has a time limit. If the connection breaks during an operation, it may have been carried out or
//! not: each can be done again without harm.

mod connect;
mod daemons;
mod discovered;
mod edits;
mod listen;
mod notes;
mod notified;
mod own_replica;
mod password;
mod place;
mod pool;
mod records;
mod requests;
mod schema;
mod sharing;
mod tls;
mod value;
mod wakeups;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::task::AbortHandle;

use self::connect::Connector;
use self::notes::{NoteWriter, Notes};
use self::own_replica::OwnReplica;
use self::place::Place;
use self::pool::Pool;
use super::edits::{Heard, Watch};
use super::health::Health;
use super::{Request, RequestId, RequestState, StateError, StateStore};
use crate::config::{PostgresConfig, SecretRef};
use crate::credential::{FromEnv, FromFile, FromSystemd, SharedCredential};
use crate::model::{
    CheckNote, DaemonReport, Daemons, Discovered, Edit, HistoryRow, KeyId, Notified, Record,
    RuleId, Verifier, WorkspaceId,
};
use crate::secret::Fingerprinter;
use crate::telemetry::panics::{Task, within};

/// A database that is open. Notes that were left after the last [`flush`](StateStore::flush) are lost when
/// it is dropped.
pub struct Postgres {
    connector: Connector,
    pool: Pool,
    notes: Arc<Notes>,
    health: Arc<Health>,
    own_replica: Arc<OwnReplica>,
    note_writer: NoteWriter,
    writing: AbortHandle,
    /// Locked while a request is taken.
    taking: tokio::sync::Mutex<()>,
}

impl Postgres {
    /// Opens the state to work on it, and makes its tables where there are none.
    ///
    /// # Errors
    /// Returns [`StateError`], but not [`StateError::Locked`].
    pub async fn open(config: &PostgresConfig) -> Result<Self, StateError> {
        let opened = Self::new(config)?;
        schema::make(&opened.pool).await?;
        Ok(opened)
    }

    /// Opens the state to read it, and to send requests to the processes that work on it. Returns `None` if there are no
    /// tables yet, and creates none.
    ///
    /// # Errors
    /// Returns the errors of [`open`](Self::open).
    pub async fn open_beside(config: &PostgresConfig) -> Result<Option<Self>, StateError> {
        let opened = Self::new(config)?;
        let there = schema::is_there(&opened.pool).await?;
        Ok(there.then_some(opened))
    }

    fn new(config: &PostgresConfig) -> Result<Self, StateError> {
        let place = Place::new(config.to_string());
        let password = match &config.password {
            Some(reference) => Some(credential(reference).ok_or_else(|| {
                place.unusable("its password is in a source, and sources need the state")
            })?),
            None => None,
        };
        let connector = Connector::new(config.clone(), password, place);
        let note_writer = NoteWriter {
            pool: Pool::new(connector.clone())?,
            notes: Arc::new(Notes::new()),
            health: Arc::default(),
            own_replica: Arc::default(),
        };
        let kept = note_writer.clone();
        let writing = async move { kept.keep_writing().await };
        Ok(Self {
            connector,
            pool: note_writer.pool.clone(),
            notes: Arc::clone(&note_writer.notes),
            health: Arc::clone(&note_writer.health),
            own_replica: Arc::clone(&note_writer.own_replica),
            writing: tokio::spawn(within(Task::State, None, writing)).abort_handle(),
            note_writer,
            taking: tokio::sync::Mutex::default(),
        })
    }
}

/// Returns the credential that a reference names, unless it is in a source.
fn credential(reference: &SecretRef) -> Option<SharedCredential> {
    Some(match reference {
        SecretRef::Env(name) => Arc::new(FromEnv(name.clone())),
        SecretRef::File(path) => Arc::new(FromFile(path.clone())),
        SecretRef::Credential(name) => Arc::new(FromSystemd(name.clone())),
        SecretRef::Source { .. } => return None,
    })
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

#[async_trait]
impl StateStore for Postgres {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        let mut session = self.pool.session().await?;
        let sql = "SELECT value FROM rotator_meta WHERE name = 'fingerprint_key'";
        let rows = session.query(sql, &[]).await?;
        let key = rows
            .first()
            .and_then(|row| row.get::<_, &[u8]>(0).try_into().ok());
        key.map(Fingerprinter::new).ok_or_else(|| {
            let place = self.pool.place();
            place.corrupt("its key for fingerprints is gone")
        })
    }

    async fn load_all(&self) -> Result<Vec<Record>, StateError> {
        records::load(&self.pool, &self.notes, None).await
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StateError> {
        let found = records::load(&self.pool, &self.notes, Some(key)).await?;
        Ok(found
            .into_iter()
            .next()
            .unwrap_or_else(|| Record::new(key.clone())))
    }

    async fn save(&self, record: &Record, row: Option<&HistoryRow>) -> Result<(), StateError> {
        let put = records::put(&self.pool, &self.notes, record, row, None);
        self.health.written(put.await)
    }

    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StateError> {
        let put = records::put(&self.pool, &self.notes, record, None, Some(by));
        self.health.written(put.await)
    }

    fn note_check(&self, key: &KeyId, note: CheckNote) {
        self.notes.leave(key, note);
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.note_writer.write_notes().await
    }

    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        records::history(&self.pool, key, since, limit).await
    }

    async fn watch(&self, workspace: &WorkspaceId, every: Duration) -> Result<Watch, StateError> {
        edits::watch(&self.pool, workspace, every).await
    }

    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StateError> {
        let kept = edits::hear(&self.pool, workspace, read_to, heard).await;
        self.health.written(kept)
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StateError> {
        edits::edited(&self.pool).await
    }

    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StateError> {
        edits::unheard(&self.pool, key).await
    }

    async fn notified(&self) -> Result<Vec<Notified>, StateError> {
        notified::load(&self.pool).await
    }

    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StateError> {
        let put = notified::save(&self.pool, lines).await;
        self.health.written(put)
    }

    async fn discovered(&self) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
        discovered::load(&self.pool).await
    }

    async fn save_discovered(
        &self,
        rule: &RuleId,
        discovered: Option<&Discovered>,
    ) -> Result<(), StateError> {
        let put = discovered::save(&self.pool, rule, discovered).await;
        self.health.written(put)
    }

    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StateError> {
        daemons::leave(&self.pool, report, stopped).await
    }

    async fn daemons(&self) -> Result<Daemons, StateError> {
        daemons::known(&self.pool).await
    }

    fn failing(&self) -> Option<StateError> {
        self.health.failing()
    }

    async fn submit(&self, request: &Request) -> Result<RequestId, StateError> {
        requests::submit(&self.pool, request).await
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError> {
        let Some(replica) = self.own_replica.replica() else {
            return Ok(None);
        };
        let _alone = self.taking.lock().await;
        requests::take_part(&self.pool, replica).await
    }

    async fn report_progress(&self, id: RequestId, done: u32, _: u32) -> Result<(), StateError> {
        match self.own_replica.replica() {
            Some(replica) => requests::report_progress(&self.pool, replica, id, done).await,
            None => Ok(()),
        }
    }

    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StateError> {
        requests::answer(&self.pool, self.own_replica.replica(), id, answer).await
    }

    async fn request_state(&self, id: RequestId) -> Result<RequestState, StateError> {
        requests::state(&self.pool, id).await?.ok_or_else(|| {
            let place = self.pool.place();
            place.failed(format!(
                "it knows no request {}: one is forgotten when its answer was fetched, or after a day",
                id.0
            ))
        })
    }
}
