//! The half of a pass that looks at the store: which version is there, and what is in it.

use chrono::Utc;

use super::pass::Pass;
use super::{Fault, tell};
use crate::document::Taken;
use crate::failpoint;
use crate::model::{Observation, Version};
use crate::reconcile::Read;
use crate::secret::Credentials;
use crate::source::{Reading, SourceError};
use crate::verify::sanity;

impl Pass<'_> {
    pub(super) async fn observe(&mut self) -> Result<Observation, Fault> {
        let looked = self
            .unless_stopped(
                self.managed
                    .source
                    .observe(&self.managed.config.origin.path),
            )
            .await?;
        let outcome = match &looked {
            Ok(Observation::Present { version, .. })
                if self.record.seen.as_ref() == Some(version) =>
            {
                "unchanged"
            }
            Ok(Observation::Present { .. }) => "changed",
            Ok(Observation::Missing(_)) => "missing",
            Err(SourceError::CircuitOpen { .. }) => "held_back",
            Err(_) => "failed",
        };
        self.engine.metrics.check(
            &self.managed.key,
            self.managed.source.id(),
            outcome,
            Utc::now(),
        );
        let observation = looked.map_err(Fault::Source)?;
        if let Observation::Present {
            version,
            written_at,
        } = &observation
        {
            self.done.version = Some(version.clone());
            self.written_at = *written_at;
        }
        Ok(observation)
    }

    /// Remembers which version the store holds, and says so if it is another one.
    pub(super) async fn notice(&mut self, observation: &Observation) -> Result<(), Fault> {
        let Observation::Present { version, .. } = observation else {
            return Ok(());
        };
        if self.record.seen.as_ref() == Some(version) {
            return Ok(());
        }
        if let Some(previous) = &self.record.seen {
            tell::rotation_detected(self.managed, &self.record, previous, version);
        }
        self.save(self.record.having_seen(version), None).await
    }

    /// What was read may be newer than what was seen a moment before.
    pub(super) async fn notice_read(&mut self) -> Result<(), Fault> {
        let Some(Read::Value { version, .. } | Read::Malformed { version, .. }) = &self.reading
        else {
            return Ok(());
        };
        let read = Observation::Present {
            version: version.clone(),
            written_at: self.written_at,
        };
        self.notice(&read).await
    }

    pub(super) async fn read(&mut self, version: &Version) -> Result<(), Fault> {
        let read = self
            .managed
            .source
            .read(&self.managed.config.origin.path, version);
        let read = self.unless_stopped(read).await?;
        self.reading = Some(match read {
            Ok(Reading::Missing(why)) => Read::Missing(why),
            Ok(Reading::Present {
                version,
                written_at,
                document,
            }) => {
                self.done.version = Some(version.clone());
                self.created_at = written_at;
                // The look's time first: it moves when a label is moved to an old version.
                self.written_at = self.written_at.or(written_at);
                match document.credentials(&self.managed.config.origin.fields) {
                    Ok(Taken {
                        credentials,
                        trimmed,
                    }) => {
                        self.trimmed = trimmed.then(|| version.clone());
                        self.judged(version, credentials)
                    }
                    Err(error) => Read::Malformed {
                        version,
                        error: error.to_string(),
                    },
                }
            }
            Err(SourceError::Malformed(error)) => Read::Malformed {
                version: version.clone(),
                error: error.to_string(),
            },
            Err(error) => return Err(Fault::Source(error)),
        });
        failpoint::reach("secret_read");
        Ok(())
    }

    /// A value that is no key of its provider is none that is pushed.
    fn judged(&mut self, version: Version, credentials: Credentials) -> Read {
        if let Err(error) = sanity::check(&self.managed.config.settings, &credentials) {
            return Read::Malformed { version, error };
        }
        let fingerprint = self.engine.fingerprinter.credentials(&credentials);
        self.credentials = Some(credentials);
        Read::Value {
            version,
            fingerprint,
        }
    }
}
