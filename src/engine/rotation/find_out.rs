//! The questions of a rotation, to the provider and to the source.

use chrono::Utc;

use super::{Rotator, Then};
use crate::engine::problem::Fault;
use crate::model::{Observation, ProviderKeyId};
use crate::provider::ProviderError;
use crate::rotation::{Newest, Question};
use crate::secret::Credentials;
use crate::source::{Reading, SourceError};
use crate::upstream::Failure as _;

impl Rotator<'_> {
    /// Finds out what is asked for. Without an answer, the pass ends.
    pub(super) async fn find_out(&mut self, question: Question) -> Result<Then, Fault> {
        match question {
            Question::List => match self.ask.unless_stopped(self.provider.list()).await? {
                Ok(list) => self.found_out.list = Some(list),
                Err(error) => return self.provider_failed(None, &error).await,
            },
            Question::LastUse(id) => {
                let asked = self.provider.last_use(&id);
                match self.ask.unless_stopped(asked).await? {
                    Ok(last_use) => {
                        self.found_out.last_uses.push((id, last_use));
                    }
                    Err(error) => return self.provider_failed(Some(&id), &error).await,
                }
            }
            Question::Find => return self.find().await,
            Question::Newest => match self.newest().await? {
                Ok(newest) => self.found_out.newest = Some(newest),
                Err(error) => return self.source_failed(&error).await,
            },
        }
        Ok(Then::GoOn)
    }

    /// Asks which of the listed keys has the live value.
    async fn find(&mut self) -> Result<Then, Fault> {
        let Some(value) = self.live_value().await? else {
            // The value has changed since, or the source does not answer: a later check tells.
            return Ok(Then::at(Utc::now() + super::doubt(), None));
        };
        let list = self.found_out.list.as_deref().unwrap_or_default();
        let asked = self.provider.find(list, &value);
        match self.ask.unless_stopped(asked).await? {
            Ok(found) => {
                self.found_out.found = Some(found);
                Ok(Then::GoOn)
            }
            Err(error) => self.provider_failed(None, &error).await,
        }
    }

    /// Reads the live value, if the source still has it.
    async fn live_value(&self) -> Result<Option<Credentials>, Fault> {
        let Some(live) = &self.record.live else {
            return Ok(None);
        };
        let managed = self.ask.managed;
        let read = managed
            .source
            .read(&managed.config.origin.path, &live.version);
        let Ok(Reading::Present { document, .. }) = self.ask.unless_stopped(read).await? else {
            return Ok(None);
        };
        let taken = document.credentials(&managed.config.origin.fields).ok();
        let fingerprinter = &self.ask.engine.fingerprinter;
        Ok(taken
            .map(|taken| taken.credentials)
            .filter(|value| fingerprinter.credentials(value) == live.fingerprint))
    }

    /// Asks what the source has now.
    pub(super) async fn newest(&self) -> Result<Result<Newest, SourceError>, Fault> {
        let managed = self.ask.managed;
        let (source, origin) = (&managed.source, &managed.config.origin);
        let ask = async {
            let version = match source.observe_anew(&origin.path).await? {
                Observation::Present { version, .. } => version,
                Observation::Missing(_) => return Ok(Newest::default()),
            };
            let (version, document) = match source.read(&origin.path, &version).await {
                Ok(Reading::Present {
                    version, document, ..
                }) => (version, Some(document)),
                Ok(Reading::Missing(_)) => return Ok(Newest::default()),
                Err(SourceError::Malformed(_)) => (version, None),
                Err(error) => return Err(error),
            };
            let taken = document.and_then(|document| document.credentials(&origin.fields).ok());
            let fingerprinter = &self.ask.engine.fingerprinter;
            Ok(Newest {
                version: Some(version),
                fingerprint: taken.map(|taken| fingerprinter.credentials(&taken.credentials)),
            })
        };
        self.ask.unless_stopped(ask).await
    }

    /// Records that the provider does not answer, or refuses; the pass ends.
    pub(super) async fn provider_failed(
        &mut self,
        id: Option<&ProviderKeyId>,
        error: &ProviderError,
    ) -> Result<Then, Fault> {
        let why = format!("provider `{}`: {error}", self.config.provider);
        self.failed(id, &why, error.class().retry_after()).await
    }

    /// Records that the source does not answer, or refuses; the pass ends.
    pub(super) async fn source_failed(&mut self, error: &SourceError) -> Result<Then, Fault> {
        let why = format!("source `{}`: {error}", self.ask.managed.source.id());
        self.failed(None, &why, error.class().retry_after()).await
    }
}
