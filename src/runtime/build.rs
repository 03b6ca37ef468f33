//! Builds a runtime from a configuration, and takes over from the one before what did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::by_secret::BySecret;
use super::context::RuntimeContext;
use super::error::RuntimeError;
use super::instance::Runtime;
use super::readers::Readers;
use super::{credential, lists, prober, receivers};
use crate::config::{Config, FlashbackAuth, Owner, SourceConfig};
use crate::credential::{SecretRef, SharedCredential};
use crate::engine::{Engine, ManagedKey};
use crate::failpoint;
use crate::flashback::Flashback;
use crate::flashback::client::{Auth, Client};
use crate::model::{KeyId, ProviderId, ReceiverId, SourceId, Version, WorkspaceId};
use crate::notify::Receiver;
use crate::provider::{self, Provider};
use crate::reconcile::Rules;
use crate::source::{Context, Source};
use crate::state::membership::LATE_WRITE;
use crate::telemetry::metrics::{FLASHBACK, service_of};
use crate::upstream::{Terms, Upstream, UpstreamView};
use crate::verify::Prober;

/// The timeout of one call to a source.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of one call to Flashback, which validates a key before it answers a write.
const FLASHBACK_TIMEOUT: Duration = Duration::from_secs(20);

/// A late write is waited for twice as long as a request is.
const _: () = assert!(LATE_WRITE.as_secs() >= 2 * FLASHBACK_TIMEOUT.as_secs());

/// The most calls to a source under way at once.
const SOURCE_PERMITS: usize = 16;

/// The most calls to Flashback under way at once.
const FLASHBACK_PERMITS: usize = 64;

/// The most calls to Flashback for one workspace under way at once. With many workspaces each has fewer, so that
/// slow workspaces cannot use up the permits of the others.
const WORKSPACE_PERMITS: usize = 16;

/// The timeout of one call to a provider's administrative API.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(20);

/// The most calls to a provider under way at once.
const PROVIDER_PERMITS: usize = 8;

/// The most calls to a provider in a second: administrative APIs have low limits.
const PROVIDER_RPS: f64 = 10.0;

/// The providers by the names of their tables.
type Providers = BTreeMap<ProviderId, Arc<dyn Provider>>;

/// Builds what `config` asks for, taking over from `old` what did not change.
///
/// # Errors
/// Returns [`RuntimeError`]; nothing was started then.
pub fn build(
    config: Arc<Config>,
    context: &RuntimeContext,
    old: Option<&Runtime>,
) -> Result<Runtime, RuntimeError> {
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
    let providers = builder.providers()?;
    let prober = prober::prober(&config, &context.metrics, old);
    let engine = Arc::new(builder.engine(flashback, prober, providers));
    let receivers = builder.receivers();
    let managed_keys = builder.managed_keys();
    let gone = old.map(|old| old.left_by(&managed_keys));
    let (sources, upstreams) = (builder.sources, builder.upstreams);
    Ok(Runtime {
        feed: Arc::clone(&context.feed),
        by_secret: BySecret::new(&managed_keys),
        config,
        engine,
        managed_keys,
        sources,
        receivers,
        upstreams,
        gone: gone.unwrap_or_default(),
    })
}

struct Builder<'a> {
    config: &'a Config,
    context: &'a RuntimeContext,
    old: Option<&'a Runtime>,
    sources: BTreeMap<SourceId, Arc<dyn Source>>,
    upstreams: BTreeMap<String, UpstreamView>,
}

impl Builder<'_> {
    fn engine(
        &self,
        flashback: Arc<dyn Flashback>,
        prober: Arc<dyn Prober>,
        providers: Providers,
    ) -> Engine {
        let (config, context, old) = (self.config, self.context, self.old);
        Engine {
            store: Arc::clone(&context.store),
            leases: Arc::clone(&context.leases),
            lists: lists::lists(&flashback, old),
            flashback,
            prober,
            providers,
            fingerprinter: context.fingerprinter.clone(),
            metrics: Arc::clone(&context.metrics),
            checks: Arc::clone(&context.checks),
            rules: Rules {
                resync: config.resync,
                refused: config.refused,
                since: context.since,
            },
            edited: old
                .map(|old| Arc::clone(&old.engine.edited))
                .unwrap_or_default(),
            logged_unsupported: old
                .map(|old| Arc::clone(&old.engine.logged_unsupported))
                .unwrap_or_default(),
            feed: Arc::clone(&context.feed),
            told: Arc::clone(&context.told),
            changes: context.changes.clone(),
            retry: config.retry,
            stop: context.stop.clone(),
        }
    }

    fn managed_keys(&self) -> BTreeMap<KeyId, Arc<ManagedKey>> {
        let enabled = || self.config.keys.iter().filter(|(_, key)| key.enabled);
        let workspaces: BTreeSet<_> = enabled()
            .map(|(_, key)| &key.settings.workspace_id)
            .collect();
        let each = (FLASHBACK_PERMITS / (workspaces.len() + 1)).clamp(1, WORKSPACE_PERMITS);
        let mut permits: BTreeMap<&WorkspaceId, Arc<Semaphore>> = BTreeMap::new();
        let readers = Readers::new(self.config);
        let managed = enabled().map(|(id, key)| {
            let permits = permits
                .entry(&key.settings.workspace_id)
                .or_insert_with(|| Arc::new(Semaphore::new(each)));
            let source = Arc::clone(&self.sources[&key.origin.source]);
            let managed = ManagedKey::new(id.clone(), key.clone(), source, Arc::clone(permits))
                .among(readers.of(key))
                .sharing(readers.sharers(id, key));
            let managed = match self.old.and_then(|old| old.known(id)) {
                Some(old) => managed.taking_over(&old),
                None => managed,
            };
            (id.clone(), Arc::new(managed))
        });
        managed.collect()
    }

    fn receivers(&self) -> BTreeMap<ReceiverId, Arc<Receiver>> {
        receivers::receivers(self.config, &|reference| self.credential(reference))
    }

    fn credential(&self, reference: &SecretRef) -> SharedCredential {
        credential::credential(reference, &self.sources)
    }

    /// Builds a source, after those that hold its credentials. The old one is taken over if its settings are the same
    /// and the sources that hold its credentials are the old ones, too.
    fn source(&mut self, id: &SourceId) -> Result<(), RuntimeError> {
        let config = &self.config.sources[id];
        let owner = Owner::Source(id.clone());
        let source = match self.was(id) {
            Some((old, source))
                if old == config && self.same_retry() && self.same_credentials(&owner) =>
            {
                let source = Arc::clone(source);
                self.same_upstream(id.as_str());
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
        let source = source.map_err(|error| RuntimeError::Source {
            id: id.clone(),
            error,
        })?;
        let (feed, id) = (Arc::clone(&self.context.feed), id.clone());
        source.tell_changes(Arc::new(move |path: &str, version: &Version| {
            feed.found(&id, path, version);
        }));
        Ok(source)
    }

    fn flashback(&mut self) -> Result<Arc<dyn Flashback>, RuntimeError> {
        if let Some(old) = self.old
            && old.config.flashback == self.config.flashback
            && self.same_retry()
            && self.same_credentials(&Owner::Flashback)
        {
            self.same_upstream(FLASHBACK);
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

    /// Builds the providers. One whose settings and credentials are the old ones is taken over.
    fn providers(&mut self) -> Result<Providers, RuntimeError> {
        let mut providers = Providers::new();
        for (id, config) in &self.config.providers {
            let service = service_of(id);
            let owner = Owner::Provider(id.clone());
            let old = self.old.and_then(|old| {
                let is_same = old.config.providers.get(id) == Some(config);
                let old = old.engine.providers.get(id);
                old.filter(|_| is_same && self.same_retry() && self.same_credentials(&owner))
            });
            let provider = match old {
                Some(old) => {
                    let old = Arc::clone(old);
                    self.same_upstream(&service);
                    old
                }
                None => {
                    let timeout = failpoint::interval(
                        "FLASHBACK_ROTATOR_PROVIDER_TIMEOUT_MS",
                        PROVIDER_TIMEOUT,
                    );
                    let upstream =
                        self.upstream(&service, Some(PROVIDER_RPS), timeout, PROVIDER_PERMITS);
                    let context = provider::Context {
                        id: id.clone(),
                        upstream,
                        secret: &|reference| self.credential(reference),
                    };
                    let built = config.settings.build(context);
                    built.map_err(|error| RuntimeError::Provider {
                        id: id.clone(),
                        error,
                    })?
                }
            };
            providers.insert(id.clone(), provider);
        }
        Ok(providers)
    }

    /// Returns `true` if the sources that hold the credentials of `owner` are the old ones.
    fn same_credentials(&self, owner: &Owner) -> bool {
        let old = |id| self.old.and_then(|old| old.sources.get(id));
        let mut sources = self.config.credentials.sources_of(owner);
        sources.all(|id| match (old(id), self.sources.get(id)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            _ => false,
        })
    }

    /// Takes over the upstream of a service that is taken over.
    fn same_upstream(&mut self, service: &str) {
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
