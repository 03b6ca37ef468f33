//! The calls of Secrets Manager that a source makes, and the reading of their answers.

use std::collections::HashMap;
use std::future::Future;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::operation::update_secret_version_stage::UpdateSecretVersionStageOutput;
use chrono::{DateTime, Utc};
use zeroize::Zeroize;

use super::error::{Answer, Call};
use super::session::{Session, Sessions};
use crate::document::{Document, Malformed};
use crate::model::{Missing, Observation, Version};
use crate::source::contract::{Reading, SourceError};
use crate::upstream::Upstream;
use crate::words;

/// The staging label of the version that is in use.
pub(super) const CURRENT: &str = "AWSCURRENT";

/// The permitted lengths of a version's id
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>).
pub(super) const ID_LENGTH: std::ops::RangeInclusive<usize> = 32..=64;

/// Makes the calls of one source.
pub(super) struct Calls {
    pub(super) upstream: Upstream,
    pub(super) sessions: Sessions,
}

impl Calls {
    /// Makes one call through the upstream. If the credentials are refused, they are loaded anew and the request is
    /// repeated once, because the chain caches the profile files, which may have been rotated since.
    pub(super) async fn ask<T, E, F>(
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
        // The SDK's futures are large: without a box, a few calls after another would not fit on a thread's stack.
        let signed_in = Box::pin(async {
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
        });
        self.upstream
            .call(call.operation, async {
                let answer = signed_in.await;
                self.sessions.note(&self.upstream, answer.as_ref().err());
                answer
            })
            .await
    }

    pub(super) async fn describe(
        &self,
        path: &str,
    ) -> Result<Answer<DescribeSecretOutput>, SourceError> {
        let call = Call {
            operation: "DescribeSecret",
            path,
        };
        self.ask(call, |client| {
            client.describe_secret().secret_id(path).send()
        })
        .await
    }

    /// Reads a version, or the current one if none is given.
    pub(super) async fn get(
        &self,
        path: &str,
        version: Option<&Version>,
    ) -> Result<Answer<GetSecretValueOutput>, SourceError> {
        let call = Call {
            operation: "GetSecretValue",
            path,
        };
        self.ask(call, |client| {
            client
                .get_secret_value()
                .secret_id(path)
                .set_version_id(version.map(|version| version.as_str().to_owned()))
                .send()
        })
        .await
    }

    /// Moves a staging label, which AWS does only if it is where it is said to be.
    pub(super) async fn move_label(
        &self,
        path: &str,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Answer<UpdateSecretVersionStageOutput>, SourceError> {
        let call = Call {
            operation: "UpdateSecretVersionStage",
            path,
        };
        self.ask(call, |client| {
            client
                .update_secret_version_stage()
                .secret_id(path)
                .version_stage(label)
                .set_move_to_version_id(to.map(str::to_owned))
                .set_remove_from_version_id(from.map(str::to_owned))
                .send()
        })
        .await
    }

    /// Returns the description of the secret, which has no value, or the reason why the secret is missing.
    pub(super) async fn described(
        &self,
        path: &str,
    ) -> Result<Result<DescribeSecretOutput, Missing>, SourceError> {
        Ok(match self.describe(path).await? {
            Answer::Value(secret) if secret.deleted_date().is_none() => Ok(secret),
            Answer::Value(_) | Answer::WrongState => Err(Missing::Deleted),
            Answer::NotFound => Err(Missing::NotFound),
        })
    }
}

/// Returns the id of the version that has this label.
pub(super) fn holder<'a>(secret: &'a DescribeSecretOutput, label: &str) -> Option<&'a str> {
    let mut versions = secret.version_ids_to_stages()?.iter();
    let found = versions.find(|(_, stages)| stages.iter().any(|stage| stage == label));
    found.map(|(id, _)| id.as_str())
}

pub(super) fn observe(secret: &DescribeSecretOutput) -> Result<Observation, SourceError> {
    if secret.deleted_date().is_some() {
        return Ok(Observation::Missing(Missing::Deleted));
    }
    Ok(match secret.version_ids_to_stages().and_then(current) {
        Some(id) => Observation::Present {
            version: version(id)?,
            written_at: secret.last_changed_date().and_then(time),
        },
        None => Observation::Missing(Missing::NoValueYet),
    })
}

/// Returns the id of the version that is in use.
pub(super) fn current(versions: &HashMap<String, Vec<String>>) -> Option<&str> {
    let is_current = |stages: &[String]| stages.iter().any(|stage| stage == CURRENT);
    let mut versions = versions.iter();
    let found = versions.find(|(_, stages)| is_current(stages));
    found.map(|(id, _)| id.as_str())
}

/// Returns the version with this id. AWS's ids are at most 64 letters, digits and hyphens. Other servers may use any
/// visible ASCII characters. An id that is too long or has others is an error, because versions are kept and shown.
pub(super) fn version(id: &str) -> Result<Version, SourceError> {
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

pub(super) fn take(value: GetSecretValueOutput, version: &Version) -> Result<Reading, SourceError> {
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

pub(super) fn time(at: &aws_sdk_secretsmanager::primitives::DateTime) -> Option<DateTime<Utc>> {
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
