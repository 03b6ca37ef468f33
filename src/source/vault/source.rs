//! Reads the secrets of a KV engine, and records there which version is live.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use url::Url;

use super::acknowledge::{self, Live};
use super::asking::Asking;
use super::config::{VaultConfig, VaultLook};
use super::deletion::Deletions;
use super::denials::Denials;
use super::folders::Folders;
use super::keeper::Keeper;
use super::kv::{Engine, check_path};
use super::kv_version::KvVersion;
use super::may_store;
use super::mounted;
use super::older;
use super::sign_in::VaultCredentials;
use super::store;
use super::token::Token;
use super::tree;
use super::wire;
use crate::model::{Missing, Observation, SourceId, Version};
use crate::secret::Fingerprinter;
use crate::source::contract::{
    Changes, Exact, GoneVersion, Previous, Reading, Source, SourceError,
};
use crate::source::listing::{Listed, Scope};
use crate::source::replacement::{Replacement, StoreOutcome};
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;
use crate::upstream::Upstream;

/// A source in a KV engine of Vault or OpenBao.
pub struct VaultSource {
    id: SourceId,
    pub(super) engine: Engine,
    pub(super) kv: KvVersion,
    pub(super) fingerprinter: Fingerprinter,
    pub(super) keeper: Arc<Keeper>,
    tending: OnceLock<AbortHandle>,
    /// The paths whose metadata was denied while their data was not, and the lists that were.
    pub(super) denied: Denials,
    pub(super) look: VaultLook,
    pub(super) folders: Folders,
    /// The generation of the token with which the mounted engine was last checked, and the time.
    pub(super) asked: Mutex<Option<(u64, Instant)>>,
    acknowledges: bool,
}

impl VaultSource {
    /// Makes a source that reads and calls nothing before it is first used, so that a file which does not exist yet
    /// delays nothing. If `ca_file` is given, it replaces the system's authorities.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if the address, the mount or the namespace cannot be one.
    pub fn new(
        id: SourceId,
        config: VaultConfig,
        credentials: VaultCredentials,
        fingerprinter: Fingerprinter,
        upstream: Upstream,
    ) -> Result<Self, SourceError> {
        let address = checked_address(&config.address)?;
        check_path(&config.mount).map_err(|_| invalid("`mount` cannot be a mount's path"))?;
        let namespace = config
            .namespace
            .map(|name| name.trim_matches('/').to_owned())
            .filter(|name| !name.is_empty());
        if let Some(name) = &namespace
            && !name.chars().all(|c| c.is_ascii_graphic())
        {
            return Err(invalid("`namespace` has characters no namespace can have"));
        }
        let engine = Engine {
            mount: config.mount,
            namespace: namespace.clone(),
            deletions: Deletions::default(),
        };
        let keeper = Keeper::new(&address, namespace, config.ca_file, credentials, upstream);
        Ok(Self {
            id,
            engine,
            kv: config.kv_version,
            fingerprinter,
            keeper: Arc::new(keeper),
            tending: OnceLock::new(),
            denied: Denials::default(),
            look: match config.kv_version {
                KvVersion::V1 => VaultLook::Metadata,
                KvVersion::V2 => config.look,
            },
            folders: Folders::default(),
            asked: Mutex::default(),
            acknowledges: false,
        })
    }

    /// Sets if the source records which version is live. KV 1 cannot record it and ignores this.
    #[must_use]
    pub fn acknowledging(mut self, asked: bool) -> Self {
        self.acknowledges = asked && self.kv == KvVersion::V2;
        self
    }

    /// Returns a token. The first call starts the task that keeps it alive.
    pub(super) async fn token(&self) -> Result<Arc<Token>, SourceError> {
        self.tending.get_or_init(|| {
            let keeper = Arc::clone(&self.keeper);
            let tend = async move {
                Supervisor::default()
                    .keep(Task::Token, keeper, |keeper| keeper.tend().boxed())
                    .await;
            };
            tokio::spawn(tend).abort_handle()
        });
        self.keeper.token().await
    }

    /// Starts a request with the token in use.
    pub(super) async fn asking(&self) -> Result<Asking<'_>, SourceError> {
        Ok(Asking::new(&self.keeper, self.token().await?))
    }

    pub(super) async fn read_with(
        &self,
        token: &Token,
        path: &str,
        number: Option<u64>,
    ) -> Result<Reading, SourceError> {
        let (engine, keeper) = (&self.engine, &self.keeper);
        match self.kv {
            KvVersion::V1 => {
                engine
                    .read_unversioned(keeper, token, path, &self.fingerprinter)
                    .await
            }
            KvVersion::V2 => engine.read_version(keeper, token, path, number).await,
        }
    }

    /// Records which version is live, or that none is.
    async fn say(&self, path: &str, live: Option<&Live<'_>>) -> Result<(), SourceError> {
        check_path(path)?;
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let result = acknowledge::say(engine, keeper, asking.token(), path, live).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }
}

#[async_trait]
impl Source for VaultSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        check_path(path)?;
        match self.look {
            VaultLook::Metadata => self.observe_alone(path).await,
            VaultLook::Auto | VaultLook::List => self.observe_with_others(path).await,
        }
    }

    async fn observe_anew(&self, path: &str) -> Result<Observation, SourceError> {
        check_path(path)?;
        self.observe_alone(path).await
    }

    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError> {
        check_path(path)?;
        let mut asking = self.asking().await?;
        loop {
            let result = self.read_with(asking.token(), path, version.number()).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    async fn read_newest(&self, path: &str, index: Option<&str>) -> Result<Reading, SourceError> {
        check_path(path)?;
        let mut asking = self.asking().await?;
        loop {
            let read = self.read_with(asking.token(), path, None);
            let result = wire::not_before(index, read).await;
            if asking.is_over(&result).await? {
                self.folders.note(path);
                return result;
            }
        }
    }

    async fn read_exact(&self, path: &str, version: &Version) -> Result<Exact, SourceError> {
        check_path(path)?;
        if self.kv == KvVersion::V1 {
            return Ok(Exact::Gone(GoneVersion::NoVersions));
        }
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let token = asking.token();
            let result = older::read_exactly(engine, keeper, token, path, version).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    async fn previous(&self, path: &str, version: &Version) -> Result<Previous, SourceError> {
        check_path(path)?;
        if self.kv == KvVersion::V1 {
            return Ok(Previous::Gone(GoneVersion::NoVersions));
        }
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let token = asking.token();
            let result = older::version_before(engine, keeper, token, path, version).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let token = asking.token();
            let result = tree::list(engine, keeper, token, self.kv, scope, &self.denied).await;
            if result.as_ref().is_ok_and(Vec::is_empty) {
                self.check_engine(token).await?;
            }
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    async fn entry(&self, path: &str) -> Result<Option<Listed>, SourceError> {
        check_path(path)?;
        let mut asking = self.asking().await?;
        loop {
            let result = self.entry_with(asking.token(), path).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    fn tell_changes(&self, to: Changes) {
        self.folders.tell(to);
    }

    async fn hint(&self, path: &str, why: Missing) -> Option<String> {
        match why {
            Missing::NotFound => self.path_hint(path),
            Missing::Deleted => Some("undelete it, or write another version".to_owned()),
            Missing::Destroyed => Some("write another version".to_owned()),
            Missing::NoValueYet => None,
        }
    }

    fn place(&self, path: &str) -> String {
        mounted::place(&self.engine, path, self.kv)
    }

    async fn store(
        &self,
        path: &str,
        replacement: &Replacement<'_>,
    ) -> Result<StoreOutcome, SourceError> {
        check_path(path)?;
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let token = asking.token();
            let result = match self.kv {
                KvVersion::V1 => {
                    let prints = &self.fingerprinter;
                    store::store_unversioned(engine, keeper, token, path, replacement, prints).await
                }
                KvVersion::V2 => store::store(engine, keeper, token, path, replacement).await,
            };
            if asking.is_over(&result).await? {
                self.folders.note(path);
                return result;
            }
        }
    }

    async fn may_store(&self, path: &str) -> Result<(), SourceError> {
        check_path(path)?;
        let (engine, keeper) = (&self.engine, &self.keeper);
        let mut asking = self.asking().await?;
        loop {
            let result = may_store::may_store(engine, keeper, asking.token(), self.kv, path).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
    }

    fn acknowledges(&self) -> bool {
        self.acknowledges
    }

    async fn acknowledge(
        &self,
        path: &str,
        version: &Version,
        at: DateTime<Utc>,
    ) -> Result<(), SourceError> {
        self.say(path, Some(&Live { version, at })).await
    }

    async fn withdraw(&self, path: &str) -> Result<(), SourceError> {
        self.say(path, None).await
    }

    async fn connect(&self) -> Result<String, SourceError> {
        let method = self.keeper.method();
        let mut token = self.token().await?;
        let mut about = self.keeper.look_up(&token).await?;
        if about.is_none()
            && let Some(fresh) = self.keeper.doubt(&token).await?
        {
            token = fresh;
            about = self.keeper.look_up(&token).await?;
        }
        self.check_engine(&token).await?;
        Ok(match about {
            Some(about) => format!("signed in by {method} {}", token.described(about)),
            None => format!("signed in by {method}, with a token that may not look itself up"),
        })
    }
}

impl Drop for VaultSource {
    fn drop(&mut self) {
        if let Some(tending) = self.tending.get() {
            tending.abort();
        }
    }
}

/// Returns the address if it consists of a scheme, a host and a port. vaultrs drops a path, and credentials in an
/// address would end up in messages.
pub(super) fn checked_address(address: &str) -> Result<String, SourceError> {
    let url = Url::parse(address).map_err(|_| invalid("`address` is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("`address` must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("`address` cannot hold credentials"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(
            "`address` must be a scheme, a host and a port, without a path",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid {
        what: what.to_owned(),
    }
}
