//! The questions of a rotation, to the provider and to the source. They change nothing.

use chrono::{DateTime, Utc};

use crate::engine::ask::Ask;
use crate::engine::problem::Fault;
use crate::model::{IssuedKey, LastUse, Observation, ProviderKeyId, Record};
use crate::provider::{Provider, ProviderError};
use crate::rotation::{Newest, Question};
use crate::secret::Credentials;
use crate::source::{Reading, SourceError};

/// What the questions of a pass have brought to light since the last step with an effect.
pub(super) struct FoundOut {
    /// The time before the first of them.
    pub since: DateTime<Utc>,
    pub list: Option<Vec<IssuedKey>>,
    pub found: Option<Option<ProviderKeyId>>,
    pub newest: Option<Newest>,
    pub last_uses: Vec<(ProviderKeyId, LastUse)>,
}

/// The reason why a question has no answer.
pub(super) enum Unanswered {
    /// The provider gives none, about this key if it was about one.
    Provider(Option<ProviderKeyId>, ProviderError),
    /// The source gives none.
    Source(SourceError),
    /// The live value cannot be read now.
    Later,
}

/// Whom the questions are asked.
pub(super) struct Asking<'a> {
    pub ask: Ask<'a>,
    pub provider: &'a dyn Provider,
    pub record: &'a Record,
}

impl FoundOut {
    /// Begins to find things out.
    pub fn begin() -> Self {
        Self {
            since: Utc::now(),
            list: None,
            found: None,
            newest: None,
            last_uses: Vec::new(),
        }
    }

    /// Finds out what is asked for.
    pub async fn find_out(
        &mut self,
        question: Question,
        asking: &Asking<'_>,
    ) -> Result<Result<(), Unanswered>, Fault> {
        let (ask, provider) = (asking.ask, asking.provider);
        let of_provider = |error| Unanswered::Provider(None, error);
        Ok(match question {
            Question::List => {
                let list = ask.unless_stopped(provider.list()).await?;
                list.map(|list| self.list = Some(list)).map_err(of_provider)
            }
            Question::LastUse(id) => match ask.unless_stopped(provider.last_use(&id)).await? {
                Ok(last_use) => {
                    self.last_uses.push((id, last_use));
                    Ok(())
                }
                Err(error) => Err(Unanswered::Provider(Some(id), error)),
            },
            Question::Find => {
                let Some(value) = asking.live_value().await? else {
                    return Ok(Err(Unanswered::Later));
                };
                let list = self.list.as_deref().unwrap_or_default();
                let found = ask.unless_stopped(provider.find(list, &value)).await?;
                found
                    .map(|found| self.found = Some(found))
                    .map_err(of_provider)
            }
            Question::Newest => {
                let newest = asking.newest().await?;
                newest
                    .map(|newest| self.newest = Some(newest))
                    .map_err(Unanswered::Source)
            }
        })
    }
}

impl Asking<'_> {
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
    pub async fn newest(&self) -> Result<Result<Newest, SourceError>, Fault> {
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
}
