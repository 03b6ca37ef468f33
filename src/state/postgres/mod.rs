//! The state in a PostgreSQL database, which any number of processes share.
//!
//! Everything is done in single statements, or in transactions that are sent whole: nothing is kept in a
//! session, so a pooler may stand in between (PgBouncer in transaction mode needs
//! `ignore_startup_parameters = options`; the limits on statements are this program's alone then).
//! Nothing is waited for without end. Where the connection breaks amid an operation, that may have
//! been done: each can be done again without harm.

mod connect;
mod daemons;
mod edits;
mod notes;
mod notified;
mod password;
mod place;
mod pool;
mod records;
mod requests;
mod rows;
mod schema;
mod sharing;
mod tls;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::task::AbortHandle;

use self::connect::Connector;
use self::notes::Notes;
use self::place::Place;
use self::pool::Pool;
use super::edits::{Heard, Watch};
use super::health::Health;
use super::{Request, RequestId, RequestState, StateError, StateStore};
use crate::config::{PostgresConfig, SecretRef};
use crate::credential::{FromEnv, FromFile, FromSystemd, SharedCredential};
use crate::model::{
    CheckNote, DaemonReport, Daemons, Edit, HistoryRow, KeyId, Notified, Record, ReplicaId,
    Verifier, WorkspaceId,
};
use crate::secret::Fingerprinter;
use crate::telemetry::panics::{Task, within};

/// A database that is open. Notes that were left after the last [`flush`](StateStore::flush) are lost when
/// it is dropped.
pub struct Postgres {
    inner: Arc<Inner>,
    writer: AbortHandle,
}

struct Inner {
    pool: Pool,
    notes: Notes,
    health: Health,
    /// As whom this process has joined; zero where it has not.
    replica: AtomicI64,
    /// Held by whoever takes a request.
    taking: tokio::sync::Mutex<()>,
}

impl Postgres {
    /// Opens the state to work on it, and makes its tables where there are none.
    ///
    /// # Errors
    /// [`StateError`], but not [`StateError::Locked`].
    pub async fn open(config: &PostgresConfig) -> Result<Self, StateError> {
        let opened = Self::new(config)?;
        schema::migrate(&opened.inner.pool).await?;
        Ok(opened)
    }

    /// Opens the state to read it, and to hand requests to those who work on it. `None` where there are
    /// no tables yet; none are made then.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_beside(config: &PostgresConfig) -> Result<Option<Self>, StateError> {
        let opened = Self::new(config)?;
        let there = schema::is_there(&opened.inner.pool).await?;
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
        let connector = Connector {
            config: config.clone(),
            password,
            place,
        };
        let inner = Arc::new(Inner {
            pool: Pool::new(connector)?,
            notes: Notes::new(),
            health: Health::default(),
            replica: AtomicI64::new(0),
            taking: tokio::sync::Mutex::default(),
        });
        let writing = inner.clone();
        let writer = async move { writing.keep_writing().await };
        let writer = tokio::spawn(within(Task::State, None, writer)).abort_handle();
        Ok(Self { inner, writer })
    }
}

/// What a reference outside of the sources leads to.
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
        self.writer.abort();
    }
}

impl Inner {
    fn joined(&self, replica: ReplicaId) {
        self.replica.store(replica.0, Ordering::Relaxed);
    }

    fn left(&self, replica: ReplicaId) {
        let relaxed = Ordering::Relaxed;
        let _ = self
            .replica
            .compare_exchange(replica.0, 0, relaxed, relaxed);
    }

    /// As whom this process works.
    fn replica(&self) -> Option<i64> {
        let replica = self.replica.load(Ordering::Relaxed);
        (replica != 0).then_some(replica)
    }
}

#[async_trait]
impl StateStore for Postgres {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        let mut session = self.inner.pool.session().await?;
        let sql = "SELECT value FROM rotator_meta WHERE name = 'fingerprint_key'";
        let rows = session.query(sql, &[]).await?;
        let key = rows
            .first()
            .and_then(|row| row.get::<_, &[u8]>(0).try_into().ok());
        key.map(Fingerprinter::new).ok_or_else(|| {
            let place = self.inner.pool.place();
            place.corrupt("its key for fingerprints is gone")
        })
    }

    async fn load_all(&self) -> Result<Vec<Record>, StateError> {
        self.inner.load_records(None).await
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StateError> {
        let found = self.inner.load_records(Some(key)).await?;
        Ok(found
            .into_iter()
            .next()
            .unwrap_or_else(|| Record::new(key.clone())))
    }

    async fn save(&self, record: &Record, row: Option<&HistoryRow>) -> Result<(), StateError> {
        let put = self.inner.put(record, row, None).await;
        self.inner.health.written(put)
    }

    async fn save_verified(&self, record: &Record, by: Verifier) -> Result<(), StateError> {
        let put = self.inner.put(record, None, Some(by)).await;
        self.inner.health.written(put)
    }

    fn note_check(&self, key: &KeyId, note: CheckNote) {
        self.inner.notes.leave(key, note);
    }

    async fn flush(&self) -> Result<(), StateError> {
        self.inner.write_notes().await
    }

    async fn history(
        &self,
        key: Option<&KeyId>,
        since: Option<DateTime<Utc>>,
        limit: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        self.inner.history_rows(key, since, limit).await
    }

    async fn watch(&self, workspace: &WorkspaceId, every: Duration) -> Result<Watch, StateError> {
        self.inner.watched(workspace, every).await
    }

    async fn hear(
        &self,
        workspace: &WorkspaceId,
        read_to: DateTime<Utc>,
        heard: &[Heard],
    ) -> Result<(), StateError> {
        let kept = self.inner.heard(workspace, read_to, heard).await;
        self.inner.health.written(kept)
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StateError> {
        self.inner.edited_keys().await
    }

    async fn unheard(&self, key: &KeyId) -> Result<Vec<Edit>, StateError> {
        self.inner.unheard_of(key).await
    }

    async fn notified(&self) -> Result<Vec<Notified>, StateError> {
        self.inner.load_notified().await
    }

    async fn save_notified(&self, lines: &[Notified]) -> Result<(), StateError> {
        let put = self.inner.put_notified(lines).await;
        self.inner.health.written(put)
    }

    async fn leave_report(&self, report: &DaemonReport, stopped: bool) -> Result<(), StateError> {
        self.inner.leave(report, stopped).await
    }

    async fn daemons(&self) -> Result<Daemons, StateError> {
        self.inner.known_daemons().await
    }

    fn failing(&self) -> Option<StateError> {
        self.inner.health.failing()
    }

    async fn submit(&self, request: &Request) -> Result<RequestId, StateError> {
        self.inner.submit_request(request).await
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError> {
        self.inner.take_part().await
    }

    async fn report_progress(&self, id: RequestId, done: u32, _: u32) -> Result<(), StateError> {
        self.inner.progress(id, done).await
    }

    async fn answer(&self, id: RequestId, answer: &str) -> Result<(), StateError> {
        self.inner.answer_part(id, answer).await
    }

    async fn request_state(&self, id: RequestId) -> Result<RequestState, StateError> {
        self.inner.standing_of(id).await?.ok_or_else(|| {
            let place = self.inner.pool.place();
            place.failed(format!(
                "it knows no request {}: one is forgotten when its answer was fetched, or after a day",
                id.0
            ))
        })
    }
}
