//! AWS Secrets Manager.
//!
//! The version of a secret is the id of the one that carries the staging label `AWSCURRENT`,
//! wherever the label is moved, backwards too. `AWSPENDING` is a rotation under way and is not
//! looked at. A look is `DescribeSecret`, which never carries a value, or, where the configuration
//! says so, one twentieth of a `BatchGetSecretValue`.
//!
//! `endpoint_url` is Secrets Manager's alone: a private (VPC) endpoint serves one service, so
//! signing in through it would fail. STS goes where the SDK's own settings say
//! (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`, or `services` in the profile).

mod batch;
mod credentials;
mod error;
mod identity;
mod session;
mod versions;

use std::future::Future;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use chrono::{DateTime, Utc};
use zeroize::Zeroize;

use self::batch::Gathered;
use self::error::{Answer, Call};
use self::session::{Session, Sessions};
use super::{Exact, Previous, Reading, Source, SourceError};
use crate::config::{AwsConfig, AwsLook, hints};
use crate::document::{Document, Malformed};
use crate::model::{Missing, Observation, SourceId, Version};
use crate::upstream::Upstream;
use crate::words;

const CURRENT: &str = "AWSCURRENT";

/// A `type = "aws-secrets-manager"` source.
pub struct AwsSource {
    id: SourceId,
    upstream: Upstream,
    sessions: Sessions,
    acknowledges: bool,
    look: AwsLook,
    gathered: Gathered,
}

impl AwsSource {
    /// Takes the settings. Nothing is read or called until the first look, so that credentials
    /// which cannot be had delay no start.
    pub fn new(id: SourceId, config: AwsConfig, upstream: Upstream) -> Self {
        Self::with_loader(id, config, upstream, || {
            aws_config::defaults(BehaviorVersion::v2026_01_12())
        })
    }

    /// As [`new`](Self::new), where the SDK's own settings (credentials, profile files, endpoints)
    /// begin from `loader` and not from the process's environment. It is asked again whenever the
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
            upstream,
            sessions,
            acknowledges: false,
            look,
            gathered: Gathered::default(),
        }
    }

    /// Whether it is to be told which version is live.
    #[must_use]
    pub fn acknowledging(mut self, asked: bool) -> Self {
        self.acknowledges = asked;
        self
    }

    /// Makes one call through the lane. Where the credentials are refused they are loaded anew
    /// and the request is repeated, once: the chain remembers the profile files it has read, and
    /// they may have been rotated since.
    async fn ask<T, E, F>(
        &self,
        call: Call<'_>,
        send: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<Answer<T>, SourceError>
    where
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        let attempt = async |session: &Session| {
            send(session.client())
                .await
                .map(Answer::Value)
                .or_else(|error| call.explain(&error))
        };
        let signed_in = async {
            let (session, fresh) = self.sessions.get().await?;
            let answer = attempt(&session).await;
            if !matches!(answer, Err(SourceError::SignIn { .. })) {
                return answer;
            }
            self.sessions.forget(&session).await;
            if fresh {
                return answer;
            }
            let (session, _) = self.sessions.get().await?;
            attempt(&session).await
        };
        self.upstream
            .call(call.operation, async {
                let answer = signed_in.await;
                self.sessions.note(&self.upstream, answer.as_ref().err());
                answer
            })
            .await
    }

    async fn describe(&self, path: &str) -> Result<Answer<DescribeSecretOutput>, SourceError> {
        let call = Call {
            operation: "DescribeSecret",
            path,
        };
        self.ask(call, |client| {
            client.describe_secret().secret_id(path).send()
        })
        .await
    }

    async fn get(
        &self,
        path: &str,
        version: &Version,
    ) -> Result<Answer<GetSecretValueOutput>, SourceError> {
        let call = Call {
            operation: "GetSecretValue",
            path,
        };
        self.ask(call, |client| {
            client
                .get_secret_value()
                .secret_id(path)
                .version_id(version.as_str())
                .send()
        })
        .await
    }

    async fn look_at_one(&self, path: &str) -> Result<Observation, SourceError> {
        match self.describe(path).await? {
            Answer::Value(secret) => observe(&secret),
            Answer::NotFound => Ok(Observation::Missing(Missing::NotFound)),
            Answer::WrongState => Ok(Observation::Missing(Missing::Deleted)),
        }
    }

    /// Why a version could not be read: one more look tells a secret that went away from a
    /// version without a value, for which AWS gives the same answer.
    async fn why_unreadable(&self, path: &str, asked: &Version) -> Result<Reading, SourceError> {
        Ok(Reading::Missing(match self.look_at_one(path).await? {
            Observation::Missing(missing) => missing,
            Observation::Present { version, .. } if version == *asked => Missing::NoValueYet,
            // Versions without a label are deleted by AWS in its own time.
            Observation::Present { .. } => Missing::Destroyed,
        }))
    }
}

#[async_trait]
impl Source for AwsSource {
    fn id(&self) -> &SourceId {
        &self.id
    }

    /// `written_at` is the secret's `LastChangedDate`, which moves with the label: the time a
    /// version became current, or a later change of the secret's settings. `DescribeSecret` has no
    /// time of a version's own; `BatchGetSecretValue` has, and no other.
    async fn observe(&self, path: &str) -> Result<Observation, SourceError> {
        match self.look {
            AwsLook::Describe => self.look_at_one(path).await,
            AwsLook::Batch => self.look_with_others(path).await,
        }
    }

    async fn read(&self, path: &str, version: &Version) -> Result<Reading, SourceError> {
        match self.get(path, version).await? {
            Answer::Value(value) => take(value, version),
            Answer::NotFound | Answer::WrongState => self.why_unreadable(path, version).await,
        }
    }

    async fn read_exact(&self, path: &str, version: &Version) -> Result<Exact, SourceError> {
        self.exactly(path, version).await
    }

    async fn previous(&self, path: &str, version: &Version) -> Result<Previous, SourceError> {
        self.before(path, version).await
    }

    async fn hint(&self, path: &str, why: Missing) -> Option<String> {
        match why {
            Missing::NotFound => {
                let (session, _) = self.sessions.get().await.ok()?;
                let region = session.region();
                hints::aws_path(region.as_deref(), path).map(|hint| hint.text)
            }
            Missing::Deleted => {
                let text = "it is scheduled for deletion: `aws secretsmanager restore-secret` brings it back";
                Some(text.to_owned())
            }
            Missing::Destroyed | Missing::NoValueYet => None,
        }
    }

    fn acknowledges(&self) -> bool {
        self.acknowledges
    }

    /// By the staging label `FLASHBACK_LIVE`, which has no place for a time.
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
        self.upstream
            .call("credentials", async {
                let (session, _) = self.sessions.get().await?;
                let signed_in = session.sign_in().await;
                if signed_in.is_err() {
                    self.sessions.forget(&session).await;
                }
                signed_in
            })
            .await
    }
}

fn observe(secret: &DescribeSecretOutput) -> Result<Observation, SourceError> {
    if secret.deleted_date().is_some() {
        return Ok(Observation::Missing(Missing::Deleted));
    }
    let current = secret
        .version_ids_to_stages()
        .into_iter()
        .flatten()
        .find(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
    Ok(match current {
        Some((id, _)) => Observation::Present {
            version: version(id)?,
            written_at: secret.last_changed_date().and_then(time),
        },
        None => Observation::Missing(Missing::NoValueYet),
    })
}

/// A version by its id, which is kept and shown: at most 64 letters, digits and hyphens of AWS, and
/// whatever can be seen and is not too long of others.
fn version(id: &str) -> Result<Version, SourceError> {
    let what = match words::too_long(id) {
        Some(length) => format!(
            "a version's id has {length} characters, and {} are the most that is accepted",
            words::LONGEST_NAME
        ),
        None if id.bytes().all(|byte| byte.is_ascii_graphic()) => return Ok(Version::new(id)),
        None => "a version's id has characters that no id has".to_owned(),
    };
    Err(SourceError::Protocol {
        what: format!("the answer is not Secrets Manager's: {what}"),
        status: "malformed".to_owned(),
    })
}

fn take(value: GetSecretValueOutput, version: &Version) -> Result<Reading, SourceError> {
    let GetSecretValueOutput {
        secret_string,
        secret_binary,
        created_date,
        ..
    } = value;
    if let Some(text) = secret_string {
        return Ok(Reading::Present {
            version: version.clone(),
            written_at: created_date.as_ref().and_then(time),
            document: Document::from_text(text),
        });
    }
    match secret_binary {
        Some(bytes) => {
            bytes.into_inner().zeroize();
            Err(SourceError::Malformed(Malformed::Binary))
        }
        None => Ok(Reading::Missing(Missing::NoValueYet)),
    }
}

fn time(at: &aws_sdk_secretsmanager::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_cannot_be_kept_is_refused_and_not_repeated() {
        assert!(version("b7c1f2de-6c0e-4b59-9f0e-1d2c3b4a5968").is_ok());
        for id in ["canary".repeat(100_000), "canary\u{202e}".to_owned()] {
            let error = version(&id).expect_err("refused").to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
