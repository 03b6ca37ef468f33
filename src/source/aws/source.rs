//! A source in AWS Secrets Manager.

use async_trait::async_trait;
use aws_config::{BehaviorVersion, ConfigLoader};
use chrono::{DateTime, Utc};

use super::batch::Gathered;
use super::calls::{Calls, observe, take, version};
use super::config::{AwsConfig, AwsLook};
use super::error::Answer;
use super::hints;
use super::list;
use super::session::Sessions;
use super::store;
use crate::model::{Missing, Observation, SourceId, Version};
use crate::source::contract::{Exact, Previous, Reading, Source, SourceError};
use crate::source::listing::{Listed, Scope};
use crate::source::replacement::{Replacement, StoreOutcome};
use crate::upstream::Upstream;

/// A `type = "aws-secrets-manager"` source.
pub struct AwsSource {
    id: SourceId,
    pub(super) calls: Calls,
    acknowledges: bool,
    look: AwsLook,
    gathered: Gathered,
}

impl AwsSource {
    /// Creates a source with these settings. Nothing is read or called before the first observation, so that missing
    /// credentials do not delay a start.
    pub fn new(id: SourceId, config: AwsConfig, upstream: Upstream) -> Self {
        Self::with_loader(id, config, upstream, || {
            aws_config::defaults(BehaviorVersion::v2026_01_12())
        })
    }

    /// Creates a source like [`new`](Self::new), but takes the SDK's own settings (credentials, profile files,
    /// endpoints) from `loader` and not from the process's environment. `loader` is called again whenever the
    /// credentials were refused.
    pub fn with_loader(
        id: SourceId,
        config: AwsConfig,
        upstream: Upstream,
        loader: impl Fn() -> ConfigLoader + Send + Sync + 'static,
    ) -> Self {
        let look = config.look;
        let sessions = Sessions::new(config, Box::new(loader));
        Self {
            id,
            calls: Calls { upstream, sessions },
            acknowledges: false,
            look,
            gathered: Gathered::default(),
        }
    }

    /// Sets if the source records which version is live.
    #[must_use]
    pub fn acknowledging(mut self, asked: bool) -> Self {
        self.acknowledges = asked;
        self
    }

    async fn look_at_one(&self, path: &str) -> Result<Observation, SourceError> {
        match self.calls.describe(path).await? {
            Answer::Value(secret) => observe(&secret),
            Answer::NotFound => Ok(Observation::Missing(Missing::NotFound)),
            Answer::WrongState => Ok(Observation::Missing(Missing::Deleted)),
        }
    }

    /// Returns the reason why a version could not be read. AWS gives the same answer for a deleted secret and for a
    /// version without a value; one more observation distinguishes them.
    async fn why_unreadable(&self, path: &str, asked: &Version) -> Result<Reading, SourceError> {
        Ok(Reading::Missing(match self.look_at_one(path).await? {
            Observation::Missing(missing) => missing,
            Observation::Present { version, .. } if version == *asked => Missing::NoValueYet,
            // AWS deletes versions without a label at a time of its own choice.
            Observation::Present { .. } => Missing::Destroyed,
        }))
    }
}

#[async_trait]
impl Source for AwsSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    /// Returns the current version. With `DescribeSecret`, `written_at` is the secret's `LastChangedDate`: the time at
    /// which a version became current, or of a later change of the secret's settings. With `BatchGetSecretValue` it is
    /// the time at which the version was created. Neither answer has the other time.
    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        match self.look {
            AwsLook::Describe => self.look_at_one(path).await,
            AwsLook::Batch => self.gathered.observe(&self.calls, path).await,
        }
    }

    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError> {
        match self.calls.get(path, Some(version)).await? {
            Answer::Value(value) => take(value, version),
            Answer::NotFound | Answer::WrongState => self.why_unreadable(path, version).await,
        }
    }

    async fn read_newest(&self, path: &str, _: Option<&str>) -> Result<Reading, SourceError> {
        match self.calls.get(path, None).await? {
            Answer::Value(value) => {
                let id = value.version_id().unwrap_or_default();
                let version = version(id)?;
                take(value, &version)
            }
            Answer::NotFound | Answer::WrongState => match self.observe(path).await? {
                Observation::Present { version, .. } => self.read(path, &version).await,
                Observation::Missing(why) => Ok(Reading::Missing(why)),
            },
        }
    }

    async fn read_exact(&self, path: &str, version: &Version) -> Result<Exact, SourceError> {
        self.exactly(path, version).await
    }

    async fn previous(&self, path: &str, version: &Version) -> Result<Previous, SourceError> {
        self.before(path, version).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
        list::list(&self.calls, scope).await
    }

    async fn entry(&self, path: &str) -> Result<Option<Listed>, SourceError> {
        list::entry(&self.calls, path).await
    }

    async fn hint(&self, path: &str, why: Missing) -> Option<String> {
        match why {
            Missing::NotFound => {
                let (session, _) = self.calls.sessions.get().await.ok()?;
                let region = session.region();
                hints::path(region.as_deref(), path).map(|hint| hint.text)
            }
            Missing::Deleted => {
                let text = "it is scheduled for deletion: `aws secretsmanager restore-secret` brings it back";
                Some(text.to_owned())
            }
            Missing::Destroyed | Missing::NoValueYet => None,
        }
    }

    async fn store(
        &self,
        path: &str,
        replacement: &Replacement<'_>,
    ) -> Result<StoreOutcome, SourceError> {
        store::store(&self.calls, path, replacement).await
    }

    async fn may_store(&self, path: &str) -> Result<(), SourceError> {
        store::may_store(&self.calls, path).await
    }

    fn acknowledges(&self) -> bool {
        self.acknowledges
    }

    /// Moves the staging label `FLASHBACK_LIVE`, which cannot hold a time.
    async fn acknowledge(
        &self,
        path: &str,
        version: &Version,
        _: DateTime<Utc>,
    ) -> Result<(), SourceError> {
        self.label(path, Some(version)).await
    }

    async fn withdraw(&self, path: &str) -> Result<(), SourceError> {
        self.label(path, None).await
    }

    async fn connect(&self) -> Result<String, SourceError> {
        self.calls
            .upstream
            .call("credentials", async {
                let (session, _) = self.calls.sessions.get().await?;
                let signed_in = session.sign_in().await;
                if signed_in.is_err() {
                    self.calls.sessions.forget(&session).await;
                }
                signed_in
            })
            .await
    }
}
