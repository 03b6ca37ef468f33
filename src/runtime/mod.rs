//! A configuration made real: the sources, the target and the keys it asks for.
//!
//! On a reload whatever did not change is taken over as it is, with its connections, its tokens
//! and the work under way.

mod announce;
mod credential;
mod error;
mod handle;
mod lists;
mod provider;
mod readers;
mod receivers;
mod schedule;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::error::RuntimeError;
pub use self::handle::RuntimeHandle;
pub use self::sync::PANICKED;

use self::readers::Readers;

use crate::config::{Config, FlashbackAuth, Owner, SourceConfig};
use crate::engine::{Changes, Engine, ManagedKey};
use crate::failpoint;
use crate::flashback::Flashback;
use crate::flashback::client::{Auth, Client};
use crate::lease::LeaseTable;
use crate::model::{KeyId, ReceiverId, SourceId, WorkspaceId};
use crate::notify::Receiver;
use crate::progress::Checks;
use crate::reconcile::Rules;
use crate::secret::Fingerprinter;
use crate::source::{Context, Source};
use crate::state::StateStore;
use crate::telemetry::metrics::{FLASHBACK, Metrics};
use crate::upstream::{Outages, Terms, Upstream, UpstreamView};

/// The time of one call to a source.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time of one call to Flashback. A write may wait for its own checks there.
const FLASHBACK_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls to a source under way at once.
const SOURCE_PERMITS: usize = 16;

/// Calls to Flashback under way at once …
const FLASHBACK_PERMITS: usize = 64;

/// … and those for one workspace at most. Where there are many workspaces each has fewer, so that
/// all of them but one may be slow and it still finds a place.
const WORKSPACE_PERMITS: usize = 16;

/// What a fleet is built on.
#[derive(Clone)]
pub struct RuntimeContext {
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// Which keys this process may work on.
    pub leases: Arc<LeaseTable>,
    /// What this process is called among those that share the keys.
    pub replica: Option<String>,
    /// Makes the digests the state keeps.
    pub fingerprinter: Fingerprinter,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
    /// Sees whether looks get on.
    pub checks: Arc<Checks>,
    /// Is told when a service goes away and comes back.
    pub outages: Arc<dyn Outages>,
    /// Is told what happens to keys.
    pub changes: Changes,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// What was refused before this is tried again at once.
    pub since: DateTime<Utc>,
}

/// Everything a configuration asks for.
pub struct Runtime {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// What looks at keys.
    pub engine: Arc<Engine>,
    /// The enabled keys.
    pub managed_keys: BTreeMap<KeyId, Arc<ManagedKey>>,
    /// The sources.
    pub sources: BTreeMap<SourceId, Arc<dyn Source>>,
    /// Who is told of what happens.
    pub receivers: BTreeMap<ReceiverId, Arc<Receiver>>,
    /// The way to each service, under the name that metrics show.
    pub upstreams: BTreeMap<String, UpstreamView>,
    /// Keys that left the configuration while somebody looked at them: one that comes back
    /// meanwhile must not be looked at twice at once.
    gone: BTreeMap<KeyId, Weak<ManagedKey>>,
}

impl Runtime {
    /// Makes what `config` asks for, taking over from `old` what did not change.
    ///
    /// # Errors
    /// [`RuntimeError`]; nothing was started then.
    pub fn build(
        config: Arc<Config>,
        context: &RuntimeContext,
        old: Option<&Self>,
    ) -> Result<Self, RuntimeError> {
        let mut builder = Builder {
            config: &config,
            context,
            old,
            sources: BTreeMap::new(),
            upstreams: BTreeMap::new(),
        };
        for id in config.credentials.in_order(config.sources.keys()) {
            builder.source(id)?;
        }
        let flashback = builder.flashback()?;
        let provider = provider::provider(&config, &context.metrics, old);
        let receivers = receivers::receivers(&builder);
        let (sources, upstreams) = (builder.sources, builder.upstreams);
        let engine = Arc::new(Engine {
            store: Arc::clone(&context.store),
            leases: Arc::clone(&context.leases),
            lists: lists::lists(&flashback, old),
            flashback,
            provider,
            fingerprinter: context.fingerprinter.clone(),
            metrics: Arc::clone(&context.metrics),
            checks: Arc::clone(&context.checks),
            rules: Rules {
                resync: config.resync,
                refused: config.refused,
                since: context.since,
            },
            edited: match old {
                Some(old) => Arc::clone(&old.engine.edited),
                None => Arc::default(),
            },
            told_unsupported: match old {
                Some(old) => Arc::clone(&old.engine.told_unsupported),
                None => Arc::default(),
            },
            changes: context.changes.clone(),
            retry: config.retry,
            stop: context.stop.clone(),
        });
        let enabled = || config.keys.values().filter(|key| key.enabled);
        let workspaces: BTreeSet<_> = enabled().map(|key| &key.settings.workspace_id).collect();
        let membership = (FLASHBACK_PERMITS / (workspaces.len() + 1)).clamp(1, WORKSPACE_PERMITS);
        let mut permits: BTreeMap<WorkspaceId, Arc<Semaphore>> = BTreeMap::new();
        let mut managed_keys = BTreeMap::new();
        let readers = Readers::new(&config);
        for (id, key) in config.keys.iter().filter(|(_, key)| key.enabled) {
            let permits = permits
                .entry(key.settings.workspace_id.clone())
                .or_insert_with(|| Arc::new(Semaphore::new(membership)));
            let source = Arc::clone(&sources[&key.origin.source]);
            let managed = ManagedKey::new(id.clone(), key.clone(), source, Arc::clone(permits))
                .among(readers.of(key));
            let managed = match old.and_then(|old| old.known(id)) {
                Some(old) => managed.taking_over(&old),
                None => managed,
            };
            managed_keys.insert(id.clone(), Arc::new(managed));
        }
        let gone = old
            .map(|old| old.left_by(&managed_keys))
            .unwrap_or_default();
        Ok(Self {
            config,
            engine,
            managed_keys,
            sources,
            receivers,
            upstreams,
            gone,
        })
    }

    /// Tells from now on which services are there, in the place of `old`: what calls of a lane that
    /// was replaced find is told no more, and a source that was removed is forgotten.
    pub fn report_services(&self, old: Option<&Self>) {
        let metrics = &self.engine.metrics;
        for (service, upstream) in old.iter().flat_map(|old| &old.upstreams) {
            let now = self.upstreams.get(service);
            if now.is_none_or(|now| !now.is(upstream)) {
                upstream.replaced();
            }
            if now.is_none() {
                metrics.forget_source(&SourceId::new(service));
            }
        }
        for (service, upstream) in &self.upstreams {
            metrics.service_up(service, upstream.is_up());
        }
    }

    /// A key of this configuration, or of an earlier one that somebody still looks at.
    fn known(&self, key: &KeyId) -> Option<Arc<ManagedKey>> {
        let gone = || self.gone.get(key).and_then(Weak::upgrade);
        self.managed_keys.get(key).cloned().or_else(gone)
    }

    /// The known keys that are not among `units`.
    fn left_by(
        &self,
        managed_keys: &BTreeMap<KeyId, Arc<ManagedKey>>,
    ) -> BTreeMap<KeyId, Weak<ManagedKey>> {
        let here = self
            .managed_keys
            .iter()
            .map(|(id, managed)| (id, Arc::downgrade(managed)));
        let earlier = self.gone.iter().map(|(id, managed)| (id, managed.clone()));
        here.chain(earlier)
            .filter(|(id, managed)| !managed_keys.contains_key(*id) && managed.strong_count() > 0)
            .map(|(id, managed)| (id.clone(), managed))
            .collect()
    }

    /// The keys that `keys` names, all of them where it is empty.
    pub fn named(&self, keys: &[KeyId]) -> Vec<KeyId> {
        if keys.is_empty() {
            return self.config.keys.keys().cloned().collect();
        }
        keys.iter()
            .filter(|key| self.config.keys.contains_key(*key))
            .cloned()
            .collect()
    }
}

struct Builder<'a> {
    config: &'a Config,
    context: &'a RuntimeContext,
    old: Option<&'a Runtime>,
    sources: BTreeMap<SourceId, Arc<dyn Source>>,
    upstreams: BTreeMap<String, UpstreamView>,
}

impl Builder<'_> {
    /// Makes a source, after those that hold its credentials. The old one is taken over where it is of the same
    /// settings, and they are the old ones, too.
    fn source(&mut self, id: &SourceId) -> Result<(), RuntimeError> {
        let config = &self.config.sources[id];
        let owner = Owner::Source(id.clone());
        let source = match self.was(id) {
            Some((old, source))
                if old == config && self.same_retry() && self.same_credentials(&owner) =>
            {
                let source = Arc::clone(source);
                self.same_lane(id.as_str());
                source
            }
            _ => self.make(id, config)?,
        };
        self.sources.insert(id.clone(), source);
        Ok(())
    }

    fn was(&self, id: &SourceId) -> Option<(&SourceConfig, &Arc<dyn Source>)> {
        let old = self.old?;
        Some((old.config.sources.get(id)?, old.sources.get(id)?))
    }

    fn same_retry(&self) -> bool {
        self.old
            .is_some_and(|old| old.config.retry == self.config.retry)
    }

    fn make(
        &mut self,
        id: &SourceId,
        config: &SourceConfig,
    ) -> Result<Arc<dyn Source>, RuntimeError> {
        let upstream = self.upstream(
            id.as_str(),
            Some(config.max_rps),
            failpoint::interval("FLASHBACK_ROTATOR_SOURCE_TIMEOUT_MS", SOURCE_TIMEOUT),
            SOURCE_PERMITS,
        );
        let context = Context {
            id: id.clone(),
            acknowledge: config.acknowledge,
            upstream,
            fingerprinter: self.context.fingerprinter.clone(),
            secret: &|reference| self.credential(reference),
        };
        let source = config.kind.build(context);
        source.map_err(|error| RuntimeError::Source {
            id: id.clone(),
            error,
        })
    }

    fn flashback(&mut self) -> Result<Arc<dyn Flashback>, RuntimeError> {
        if let Some(old) = self.old
            && old.config.flashback == self.config.flashback
            && self.same_retry()
            && self.same_credentials(&Owner::Flashback)
        {
            self.same_lane(FLASHBACK);
            return Ok(Arc::clone(&old.engine.flashback));
        }
        let auth = match &self.config.flashback.auth {
            FlashbackAuth::Token(token) => Auth::Token(self.credential(token)),
            FlashbackAuth::Login {
                email,
                password,
                totp,
            } => Auth::Login {
                email: email.resolve(&|reference| self.credential(reference)),
                password: self.credential(password),
                totp: totp.as_ref().map(|totp| self.credential(totp)),
            },
            FlashbackAuth::RefreshToken(path) => Auth::RefreshToken(path.clone()),
        };
        let timeout = failpoint::interval("FLASHBACK_ROTATOR_TIMEOUT_MS", FLASHBACK_TIMEOUT);
        let upstream = self.upstream(FLASHBACK, None, timeout, FLASHBACK_PERMITS);
        let (base, replica) = (
            &self.config.flashback.base_url,
            self.context.replica.as_deref(),
        );
        let client = Client::of_replica(base, auth, Arc::new(upstream), replica);
        Ok(Arc::new(client.map_err(RuntimeError::Flashback)?))
    }

    /// Returns true where the sources that hold the credentials of `owner`, if any, are the old ones.
    fn same_credentials(&self, owner: &Owner) -> bool {
        let old = |id| self.old.and_then(|old| old.sources.get(id));
        let mut sources = self.config.credentials.sources_of(owner);
        sources.all(|id| match (old(id), self.sources.get(id)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        })
    }

    /// The service is the old one, and so is the way to it.
    fn same_lane(&mut self, service: &str) {
        if let Some(upstream) = self.old.and_then(|old| old.upstreams.get(service)) {
            self.upstreams.insert(service.to_owned(), upstream.clone());
        }
    }

    fn upstream(
        &mut self,
        service: &str,
        max_rps: Option<f64>,
        timeout: Duration,
        permits: usize,
    ) -> Upstream {
        let terms = Terms {
            max_rps,
            timeout,
            permits,
            retry: self.config.retry,
        };
        let context = self.context;
        let upstream = Upstream::new(
            service,
            terms,
            Arc::clone(&context.metrics),
            Arc::clone(&context.outages),
        );
        self.upstreams.insert(service.to_owned(), upstream.view());
        upstream
    }
}
