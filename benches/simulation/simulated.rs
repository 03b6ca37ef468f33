//! Sources and targets that answer at once, so that only the rotator itself is measured.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use flashback_rotator::config::KeyConfig;
use flashback_rotator::document::Document;
use flashback_rotator::engine::{Engine, ManagedKey, Next};
use flashback_rotator::flashback::{
    Account, Flashback, FlashbackError, Listing, Update, Validation,
};
use flashback_rotator::model::{
    AiLlmId, Appearance, CheckNote, DaemonReport, Daemons, Discovered, Edit, HistoryRow,
    KeyCommand, KeyId, Listed, Notified, Observation, Record, RuleId, Settings, SourceId,
    TargetKind, Verifier, Version, WorkspaceId,
};
use flashback_rotator::scheduler::{Reconciler, Requeue, pace};
use flashback_rotator::secret::{Credentials, Fingerprinter};
use flashback_rotator::source::{Reading, Source, SourceError};
use flashback_rotator::state::edits::{Heard, Watch};
use flashback_rotator::state::{Request, RequestId, RequestState, StateError, StateStore};
use flashback_rotator::upstream::{Outages, Upstream};
use flashback_rotator::verify::{Probe, Prober};
use parking_lot::Mutex;

/// A source behind a real upstream. Nothing is ever rotated.
pub struct Secrets {
    pub id: SourceId,
    pub upstream: Upstream,
    pub version: Version,
    pub written_at: DateTime<Utc>,
}

#[async_trait]
impl Source for Secrets {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn observe(&self, _: &str) -> Result<Observation, SourceError> {
        let looked = async {
            Ok(Observation::Present {
                version: self.version.clone(),
                written_at: Some(self.written_at),
            })
        };
        self.upstream.call("read_metadata", looked).await
    }

    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError> {
        let read = async {
            Ok(Reading::Present {
                version: version.clone(),
                written_at: Some(self.written_at),
                document: Document::from_text(format!("sk-{path}")),
            })
        };
        self.upstream.call("read_data", read).await
    }

    async fn connect(&self) -> Result<String, SourceError> {
        Ok("it is this process".to_owned())
    }
}

/// A Flashback in which every configuration exists already.
pub struct Target(pub Vec<Arc<KeyConfig>>);

#[async_trait]
impl Flashback for Target {
    async fn list(
        &self,
        workspace: &WorkspaceId,
        _: TargetKind,
    ) -> Result<Listing, FlashbackError> {
        let all = self.0.iter().map(|config| &config.settings);
        let all = all.filter(|settings| settings.workspace_id == *workspace);
        let listed = |settings: &Settings| Listed {
            id: AiLlmId::new(format!("5a4db0c5-0000-4000-8000-{:>12}", settings.name)),
            appearance: Appearance {
                name: settings.name.clone(),
                ai_type: Some(settings.ai_type.as_str().to_owned()),
                endpoint: Some(settings.endpoint.clone()),
                stored_key: None,
            },
        };
        Ok(Listing {
            entries: all.map(listed).collect(),
            unreadable: Vec::new(),
        })
    }

    async fn create(&self, _: &Settings, _: &Credentials) -> Result<AiLlmId, FlashbackError> {
        unreachable!("every configuration is there already")
    }

    async fn update(
        &self,
        _: &AiLlmId,
        _: &Settings,
        _: &Credentials,
    ) -> Result<(), FlashbackError> {
        Ok(())
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
        None
    }

    async fn sign_in(&self) -> Result<String, FlashbackError> {
        Ok("it is this process".to_owned())
    }
}

/// A provider that accepts every key.
pub struct Anything;

#[async_trait]
impl Prober for Anything {
    async fn probe(&self, _: &Settings, _: &Credentials) -> Probe {
        Probe::Works
    }
}

/// Ignores outages, as there are none.
pub struct Nobody;

impl Outages for Nobody {
    fn unavailable(&self, _: &str, _: &str, _: Duration) {}
    fn recovered(&self, _: &str, _: Duration) {}
}

/// A state that is a map, to measure a check without the cost of a real state.
#[derive(Default)]
pub struct Map(Mutex<HashMap<KeyId, Record>>);

impl Map {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<KeyId, Record>) -> T) -> T {
        work(&mut self.0.lock())
    }
}

#[async_trait]
impl StateStore for Map {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError> {
        Ok(Fingerprinter::ephemeral())
    }

    async fn load_all(&self) -> Result<Vec<Record>, StateError> {
        Ok(self.with(|all| all.values().cloned().collect()))
    }

    async fn load(&self, key: &KeyId) -> Result<Record, StateError> {
        let found = self.with(|all| all.get(key).cloned());
        Ok(found.unwrap_or_else(|| Record::new(key.clone())))
    }

    async fn save(&self, record: &Record, _: Option<&HistoryRow>) -> Result<(), StateError> {
        self.with(|all| all.insert(record.key.clone(), record.clone()));
        Ok(())
    }

    async fn save_verified(&self, record: &Record, _: Verifier) -> Result<(), StateError> {
        self.save(record, None).await
    }

    fn note_check(&self, key: &KeyId, note: CheckNote) {
        self.with(|all| {
            if let Some(record) = all.get_mut(key) {
                record.look = note;
            }
        });
    }

    async fn leave_report(&self, _: &DaemonReport, _: bool) -> Result<(), StateError> {
        Ok(())
    }

    async fn daemons(&self) -> Result<Daemons, StateError> {
        Ok(Daemons::none(Utc::now()))
    }

    fn failing(&self) -> Option<StateError> {
        None
    }

    async fn flush(&self) -> Result<(), StateError> {
        Ok(())
    }

    async fn history(
        &self,
        _: Option<&KeyId>,
        _: Option<DateTime<Utc>>,
        _: Option<u32>,
    ) -> Result<Vec<HistoryRow>, StateError> {
        Ok(Vec::new())
    }

    async fn watch(&self, _: &WorkspaceId, _: Duration) -> Result<Watch, StateError> {
        Ok(Watch::Another)
    }

    async fn hear(&self, _: &WorkspaceId, _: DateTime<Utc>, _: &[Heard]) -> Result<(), StateError> {
        Ok(())
    }

    async fn edited(&self) -> Result<Vec<KeyId>, StateError> {
        Ok(Vec::new())
    }

    async fn unheard(&self, _: &KeyId) -> Result<Vec<Edit>, StateError> {
        Ok(Vec::new())
    }

    async fn notified(&self) -> Result<Vec<Notified>, StateError> {
        Ok(Vec::new())
    }

    async fn save_notified(&self, _: &[Notified]) -> Result<(), StateError> {
        Ok(())
    }

    async fn discovered(&self) -> Result<BTreeMap<RuleId, Discovered>, StateError> {
        Ok(BTreeMap::new())
    }

    async fn save_discovered(&self, _: &RuleId, _: Option<&Discovered>) -> Result<(), StateError> {
        Ok(())
    }

    async fn submit(&self, _: &Request) -> Result<RequestId, StateError> {
        unreachable!("nobody asks for anything")
    }

    async fn take_request(&self) -> Result<Option<(RequestId, Request)>, StateError> {
        Ok(None)
    }

    async fn report_progress(&self, _: RequestId, _: u32, _: u32) -> Result<(), StateError> {
        Ok(())
    }

    async fn answer(&self, _: RequestId, _: &str) -> Result<(), StateError> {
        Ok(())
    }

    async fn request_state(&self, _: RequestId) -> Result<RequestState, StateError> {
        Ok(RequestState::Waiting)
    }
}

/// Reconciles keys as the daemon does, and counts the runs.
pub struct CountingReconciler {
    pub engine: Engine,
    pub managed_keys: HashMap<KeyId, Arc<ManagedKey>>,
    pub looks: AtomicU64,
}

#[async_trait]
impl Reconciler for CountingReconciler {
    async fn reconcile(
        &self,
        key: &KeyId,
        planned: Option<DateTime<Utc>>,
        _: Option<DateTime<Utc>>,
    ) -> Requeue {
        let managed = &self.managed_keys[key];
        let mut guard = managed.guard().await;
        let look = self
            .engine
            .reconcile(managed, &mut guard, KeyCommand::None, planned)
            .await;
        if let Some(at) = planned {
            let interval = pace(&managed.config.check, at);
            self.engine.metrics.next_check(key, at, interval);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        Requeue {
            again_in: match look.next {
                Next::OnSchedule => None,
                Next::In(wait) => Some(wait),
            },
            well: look.well,
        }
    }
}
