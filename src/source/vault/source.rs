//! Reads the secrets of a KV engine, and records there which version is live.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use url::Url;

use super::acknowledge::{self, Live};
use super::asking::Asking;
use super::config::VaultConfig;
use super::deletion::Deletions;
use super::hints;
use super::keeper::Keeper;
use super::kv::{Engine, check_path};
use super::kv_version::KvVersion;
use super::mounted::{self, DENIED_FOR};
use super::older;
use super::sign_in::VaultCredentials;
use super::token::Token;
use crate::model::{Missing, Observation, SourceId, Version};
use crate::secret::Fingerprinter;
use crate::source::contract::{Exact, GoneVersion, Previous, Reading, Source, SourceError};
use crate::supervise::Supervisor;
use crate::telemetry::panics::Task;
use crate::upstream::Upstream;

/// A source in a KV engine of Vault or OpenBao.
pub struct VaultSource {
    id: SourceId,
    engine: Engine,
    kv: KvVersion,
    fingerprinter: Fingerprinter,
    keeper: Arc<Keeper>,
    tending: OnceLock<AbortHandle>,
    /// The paths whose metadata was denied while their data was not, with the generation of the token and the time.
    denied: Mutex<HashMap<String, (u64, Instant)>>,
    /// The generation of the token with which the mounted engine was last checked, and the time.
    asked: Mutex<Option<(u64, Instant)>>,
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
            denied: Mutex::default(),
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
    async fn token(&self) -> Result<Arc<Token>, SourceError> {
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
    async fn asking(&self) -> Result<Asking<'_>, SourceError> {
        Ok(Asking::new(&self.keeper, self.token().await?))
    }

    /// Observes a secret. If it is missing or denied, checks that the configured engine is the mounted one.
    async fn look_with(&self, token: &Token, path: &str) -> Result<Observation, SourceError> {
        let looked = self.look_at(token, path).await;
        let is_nothing = matches!(
            looked,
            Ok(Observation::Missing(Missing::NotFound)) | Err(SourceError::Denied { .. })
        );
        if is_nothing {
            self.check_engine(token).await?;
        }
        looked.map_err(|error| self.explained(path, error))
    }

    /// Adds the hint to the denial of a path that has one: the path should be corrected then, not the policy widened.
    fn explained(&self, path: &str, error: SourceError) -> SourceError {
        match (error, self.path_hint(path)) {
            (SourceError::Denied { what, status }, Some(hint)) => SourceError::Denied {
                what: format!("{hint}. As it is written, {what}"),
                status,
            },
            (error, _) => error,
        }
    }

    fn path_hint(&self, path: &str) -> Option<String> {
        let Engine {
            mount, namespace, ..
        } = &self.engine;
        let hint = hints::path(namespace.as_deref(), mount, self.kv, path);
        let hint = hint.or_else(|| hints::kv_mount(self.kv, mount));
        hint.map(|hint| hint.text)
    }

    async fn look_at(&self, token: &Token, path: &str) -> Result<Observation, SourceError> {
        if self.kv == KvVersion::V1 {
            let reading = self.read_with(token, path, None).await?;
            return Ok(observation(reading));
        }
        if !self.metadata_denied(path, token) {
            match self
                .engine
                .look_at_metadata(&self.keeper, token, path)
                .await
            {
                Err(SourceError::Denied { .. }) => {}
                other => {
                    self.denials().remove(path);
                    return other;
                }
            }
        }
        let reading = match self.read_with(token, path, None).await {
            Err(SourceError::Denied { status, .. }) => {
                self.denials().remove(path);
                return Err(self.both_denied(path, status));
            }
            other => other?,
        };
        self.denials()
            .entry(path.to_owned())
            .or_insert_with(|| (token.generation, Instant::now()));
        Ok(observation(reading))
    }

    async fn read_with(
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

    /// Checks that the mounted engine is the configured one, at most once an hour for each token.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if it is another. Not being able to check is not an error.
    async fn check_engine(&self, token: &Token) -> Result<(), SourceError> {
        let has_asked = self.asked().is_some_and(|(generation, at)| {
            generation == token.generation && at.elapsed() < DENIED_FOR
        });
        if has_asked {
            return Ok(());
        }
        let checked = mounted::check_mounted(&self.engine, &self.keeper, token, self.kv).await;
        if let Err(wrong @ SourceError::Invalid { .. }) = checked {
            return Err(wrong);
        }
        *self.asked() = Some((token.generation, Instant::now()));
        Ok(())
    }

    /// Locks the record of the last successful check of the mounted engine.
    fn asked(&self) -> MutexGuard<'_, Option<(u64, Instant)>> {
        self.asked.lock()
    }

    fn metadata_denied(&self, path: &str, token: &Token) -> bool {
        let mut denials = self.denials();
        let denied = denials.get(path).is_some_and(|(generation, at)| {
            *generation == token.generation && at.elapsed() < DENIED_FOR
        });
        if !denied {
            denials.remove(path);
        }
        denied
    }

    fn both_denied(&self, path: &str, status: String) -> SourceError {
        let mount = &self.engine.mount;
        let metadata = self.engine.needs(&format!("{mount}/metadata/{path}"));
        SourceError::Denied {
            what: format!(
                "the token's policies lack {metadata}, and `read` on `{mount}/data/{path}` ({status})"
            ),
            status,
        }
    }

    fn denials(&self) -> MutexGuard<'_, HashMap<String, (u64, Instant)>> {
        self.denied.lock()
    }
}

#[async_trait]
impl Source for VaultSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        check_path(path)?;
        let mut asking = self.asking().await?;
        loop {
            let result = self.look_with(asking.token(), path).await;
            if asking.is_over(&result).await? {
                return result;
            }
        }
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

    async fn read_newest(&self, path: &str, _: Option<&str>) -> Result<Reading, SourceError> {
        check_path(path)?;
        let mut asking = self.asking().await?;
        loop {
            let result = self.read_with(asking.token(), path, None).await;
            if asking.is_over(&result).await? {
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

fn observation(reading: Reading) -> Observation {
    match reading {
        Reading::Present {
            version,
            written_at,
            ..
        } => Observation::Present {
            version,
            written_at,
        },
        Reading::Missing(missing) => Observation::Missing(missing),
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
