//! The engine over a source and a Flashback that do what a test says, and a state in memory.

mod lease;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use parking_lot::Mutex as Plain;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::reconciler::STALE;
use super::*;
use crate::config::{Check, KeyConfig, VerifyConfig};
use crate::document::{Document, FieldMap};
use crate::flashback::{Account, Flashback, FlashbackError, Listing, Update, Validation};
use crate::lease::LeaseTable;
use crate::model::{
    Action, AiLlmId, AiType, KeyCommand, KeyId, Observation, Origin, Record, Settings, SourceId,
    Target, TargetKind, Version, WorkspaceId,
};
use crate::reconcile::Rules;
use crate::retry::Limits;
use crate::secret::Credentials;
use crate::source::{Reading, Source, SourceError};
use crate::state::sqlite::Sqlite;
use crate::state::{StateError, StateStore};
use crate::telemetry::metrics::Metrics;
use crate::trigger::Feed;
use crate::verify::{Probe, Prober};

struct FakeSource {
    id: SourceId,
    look: Plain<Result<&'static str, SourceError>>,
    /// The version and the secret.
    read: Plain<(&'static str, &'static str)>,
    /// How often it still answers with the first version.
    behind: Plain<usize>,
    observed: AtomicUsize,
    read_newest: AtomicUsize,
}

impl FakeSource {
    /// Returns how often it was asked for the version, and how often for the newest value.
    fn asked(&self) -> (usize, usize) {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (count(&self.observed), count(&self.read_newest))
    }
}

#[async_trait]
impl Source for FakeSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn observe(&self, _: &str) -> Result<Observation, SourceError> {
        self.observed.fetch_add(1, Ordering::Relaxed);
        self.look
            .lock()
            .clone()
            .map(|version| Observation::Present {
                version: Version::new(version),
                written_at: Some(Utc::now() - Duration::from_secs(5)),
            })
    }

    async fn read(&self, _: &str, _: &Version) -> Result<Reading, SourceError> {
        let (version, secret) = *self.read.lock();
        Ok(Reading::Present {
            version: Version::new(version),
            written_at: None,
            document: Document::from_fields(
                json!({ "secret": secret })
                    .as_object()
                    .cloned()
                    .unwrap_or_default(),
            ),
        })
    }

    async fn read_newest(&self, path: &str, _: Option<&str>) -> Result<Reading, SourceError> {
        self.read_newest.fetch_add(1, Ordering::Relaxed);
        let is_behind = {
            let mut behind = self.behind.lock();
            let is_behind = *behind > 0;
            *behind = behind.saturating_sub(1);
            is_behind
        };
        if !is_behind {
            return self.read(path, &Version::new("newest")).await;
        }
        Ok(Reading::Present {
            version: Version::new("1"),
            written_at: None,
            document: Document::from_text("sk-one".to_owned()),
        })
    }

    async fn connect(&self) -> Result<String, SourceError> {
        Ok(String::new())
    }
}

/// Takes every key.
struct FakeProvider;

#[async_trait]
impl Prober for FakeProvider {
    async fn probe(&self, _: &Settings, _: &Credentials) -> Probe {
        Probe::Works
    }
}

#[derive(Default)]
struct FakeFlashback {
    circuit_open: Plain<Option<Duration>>,
    /// The errors of the next writes.
    fails: Plain<Vec<FlashbackError>>,
    writes: AtomicUsize,
    /// Done when a write has arrived; `true`: no answer comes.
    arrived: Plain<Option<Arrived>>,
}

type Arrived = Box<dyn Fn() -> bool + Send>;

impl FakeFlashback {
    async fn write(&self) -> Result<(), FlashbackError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let silent = self
            .arrived
            .lock()
            .as_ref()
            .is_some_and(|arrived| arrived());
        if silent {
            std::future::pending::<()>().await;
        }
        self.fails.lock().pop().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Flashback for FakeFlashback {
    async fn list(&self, _: &WorkspaceId, _: TargetKind) -> Result<Listing, FlashbackError> {
        Ok(Listing::default())
    }

    async fn create(&self, _: &Settings, _: &Credentials) -> Result<AiLlmId, FlashbackError> {
        self.write().await.map(|()| AiLlmId::new("id"))
    }

    async fn update(
        &self,
        _: &AiLlmId,
        _: &Settings,
        _: &Credentials,
    ) -> Result<(), FlashbackError> {
        self.write().await
    }

    async fn delete(&self, _: &AiLlmId, _: TargetKind) -> Result<(), FlashbackError> {
        Ok(())
    }

    async fn validate(&self, _: &AiLlmId) -> Result<Validation, FlashbackError> {
        Ok(Validation::Valid)
    }

    async fn account(&self) -> Result<Account, FlashbackError> {
        Ok(Account::default())
    }

    async fn updates(
        &self,
        _: &WorkspaceId,
        _: Option<DateTime<Utc>>,
    ) -> Result<Vec<Update>, FlashbackError> {
        Ok(Vec::new())
    }

    fn circuit_open(&self) -> Option<FlashbackError> {
        let retry_in = (*self.circuit_open.lock())?;
        let cause = "Flashback answered 503".to_owned();
        Some(FlashbackError::CircuitOpen { cause, retry_in })
    }

    async fn sign_in(&self) -> Result<String, FlashbackError> {
        Ok(String::new())
    }
}

struct Bench {
    engine: Engine,
    flashback: Arc<FakeFlashback>,
    source: Arc<FakeSource>,
    managed: ManagedKey,
}

impl Bench {
    async fn new() -> Self {
        let store = Arc::new(Sqlite::in_memory().expect("a state"));
        Self::on(store, Arc::new(LeaseTable::alone())).await
    }

    async fn on(store: Arc<dyn StateStore>, leases: Arc<LeaseTable>) -> Self {
        let flashback = Arc::new(FakeFlashback::default());
        let source = Arc::new(FakeSource {
            id: SourceId::new("s"),
            look: Plain::new(Ok("1")),
            read: Plain::new(("1", "sk-one")),
            behind: Plain::default(),
            observed: AtomicUsize::new(0),
            read_newest: AtomicUsize::new(0),
        });
        let config = KeyConfig {
            settings: Settings {
                workspace_id: WorkspaceId::new("w"),
                name: "k".to_owned(),
                ai_type: AiType::Other,
                endpoint: "https://example.com".to_owned(),
                target: Target::Configuration,
            },
            origin: Origin {
                source: SourceId::new("s"),
                path: "p".to_owned(),
                fields: FieldMap::default(),
            },
            check: Check::Every(Duration::from_secs(30)),
            check_with_events: None,
            verify: VerifyConfig {
                before_provider: false,
                after_flashback: false,
                grace: Duration::from_secs(1),
                rollback: false,
                settle: Duration::ZERO,
            },
            max_age: None,
            rotate: None,
            enabled: true,
            may_create: true,
            rule: None,
        };
        let places = Arc::new(Semaphore::new(1));
        let managed = ManagedKey::new(KeyId::new("k"), config, source.clone(), places);
        let engine = Engine {
            fingerprinter: store.fingerprinter().await.expect("a key"),
            store,
            leases,
            flashback: flashback.clone(),
            lists: Arc::default(),
            edited: Arc::default(),
            prober: Arc::new(FakeProvider),
            providers: BTreeMap::new(),
            metrics: Arc::new(Metrics::new()),
            checks: Arc::default(),
            rules: Rules {
                resync: Duration::from_secs(86_400),
                refused: Duration::from_secs(900),
                since: DateTime::<Utc>::MIN_UTC,
            },
            retry: Limits {
                initial: Duration::from_millis(1),
                max: Duration::from_millis(2),
                give_up_after: Duration::from_secs(60),
            },
            stop: CancellationToken::new(),
            feed: Arc::new(Feed::new(Arc::default())),
            told: Arc::default(),
            changes: Changes::default(),
            logged_unsupported: Arc::default(),
        };
        Self {
            engine,
            flashback,
            source,
            managed,
        }
    }

    async fn reconcile(&self) -> Reconciled {
        let mut guard = self.managed.guard().await;
        self.engine
            .reconcile(&self.managed, &mut guard, KeyCommand::None, None)
            .await
    }

    fn metric(&self, line: &str) -> bool {
        let text = self.engine.metrics.render();
        text.contains(&format!("flashback_rotator_{line}"))
    }
}

#[tokio::test]
async fn a_push_that_would_be_turned_away_is_not_begun() {
    let bench = Bench::new().await;
    *bench.flashback.circuit_open.lock() = Some(Duration::from_secs(30));
    let look = bench.reconcile().await;
    assert!(matches!(look.next, Next::In(wait) if wait >= Duration::from_secs(30)));
    let record = bench
        .engine
        .store
        .load(&bench.managed.key)
        .await
        .expect("a record");
    assert!(record.intent.is_none());
    assert_eq!(bench.flashback.writes.load(Ordering::Relaxed), 0);
    assert!(!bench.metric("pushes_total{"));
    assert!(bench.metric("key_in_sync{key=\"k\"} 0"));
}

#[tokio::test]
async fn a_key_that_was_read_newer_than_it_was_seen_is_in_sync() {
    let bench = Bench::new().await;
    *bench.source.read.lock() = ("2", "sk-two");
    let look = bench.reconcile().await;
    assert!(look.well);
    assert_eq!(look.report.version.as_deref(), Some("2"));
    assert!(bench.metric("key_in_sync{key=\"k\"} 1"));
}

#[tokio::test]
async fn a_rotation_that_took_several_tries_counts_as_one_propagation() {
    let bench = Bench::new().await;
    bench.flashback.fails.lock().push(FlashbackError::Faulty {
        what: "500".to_owned(),
        status: "500".to_owned(),
        retry_after: None,
    });
    let report = bench.engine.settle(&bench.managed, KeyCommand::None).await;
    assert_eq!(report.action, Some(Action::Create));
    assert_eq!(bench.flashback.writes.load(Ordering::Relaxed), 2);
    assert!(bench.metric("propagation_seconds_count 1"));
    // The same value again is no propagation.
    bench.engine.settle(&bench.managed, KeyCommand::Force).await;
    assert!(bench.metric("propagation_seconds_count 1"));
}

#[tokio::test]
async fn reconcile_aborted_by_a_stop_is_no_success() {
    let bench = Bench::new().await;
    bench.engine.stop.cancel();
    let report = bench.engine.settle(&bench.managed, KeyCommand::None).await;
    assert_eq!(report.action, Some(Action::Error));
    assert_eq!(report.ended, report::Ended::BrokenOff(BrokenOff::Stopped));
}

#[tokio::test]
async fn remembers_a_logged_source_fault_until_the_next_success() {
    let bench = Bench::new().await;
    *bench.source.look.lock() = Err(SourceError::Protocol {
        what: "no JSON".to_owned(),
        status: "bad_answer".to_owned(),
    });
    bench.reconcile().await;
    let told = bench.managed.guard().await.logged_problem.clone();
    assert!(told.is_some_and(|problem| problem.error.contains("no JSON")));
    *bench.source.look.lock() = Ok("1");
    assert!(bench.reconcile().await.well);
    assert!(bench.managed.guard().await.logged_problem.is_none());
}
