//! The questions of a check to the source, the provider and Flashback. They change nothing.

mod flashback;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::context::Engine;
use super::managed_key::ManagedKey;
use super::problem::{BrokenOff, Fault};
use super::told::Told;
use crate::document::{Document, Taken};
use crate::failpoint;
use crate::model::{Observation, Origin, Stored, Verdict, Version};
use crate::reconcile::{Older, Read, ReadValue};
use crate::retry::Class;
use crate::secret::Credentials;
use crate::source::{Exact, Previous, Reading, SourceError};
use crate::upstream::Failure as _;
use crate::verify::{Probe, sanity};

/// Asks questions on behalf of one key.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub engine: &'a Engine,
    pub managed: &'a ManagedKey,
    /// `true` if a person waits for the answer, so that no old list will do.
    pub waited_for: bool,
}

/// The result of reading the newest version.
pub struct NewestRead {
    pub found: Read,
    /// The time at which the source got the version, if it says so.
    pub written_at: Option<DateTime<Utc>>,
    /// The version, if there was white space around its value.
    pub trimmed: Option<Version>,
}

impl NewestRead {
    fn malformed(version: Version, error: String) -> Self {
        Self::of(Read::Malformed { version, error })
    }

    fn of(found: Read) -> Self {
        Self {
            found,
            written_at: None,
            trimmed: None,
        }
    }
}

impl Ask<'_> {
    /// Does some work, and breaks it off when the process is to stop.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        let stop = &self.engine.stop;
        stop.run_until_cancelled(work)
            .await
            .ok_or(Fault::BrokenOff(BrokenOff::Stopped))
    }

    /// Asks the source which version it has: `anew` if what it said a moment ago will not do. `seen` is the version on
    /// record.
    pub async fn observe(&self, seen: Option<&Version>, anew: bool) -> Result<Observation, Fault> {
        let source = &self.managed.source;
        let path = &*self.managed.config.origin.path;
        let looked = match anew || self.waited_for {
            true => self.unless_stopped(source.observe_anew(path)).await?,
            false => self.unless_stopped(source.observe(path)).await?,
        };
        self.count(seen, &looked);
        looked.map_err(Fault::Source)
    }

    fn count(&self, seen: Option<&Version>, looked: &Result<Observation, SourceError>) {
        let outcome = match looked {
            Ok(Observation::Present { version, .. }) if seen == Some(version) => "unchanged",
            Ok(Observation::Present { .. }) => "changed",
            Ok(Observation::Missing(_)) => "missing",
            Err(SourceError::CircuitOpen { .. }) => "held_back",
            Err(_) => "failed",
        };
        let metrics = &self.engine.metrics;
        let source = self.managed.source.id();
        metrics.check(&self.managed.key, source, outcome, Utc::now());
    }

    /// Reads the newest version in the one call that also tells which one it is. A value that cannot hold a key is
    /// asked about as if nothing had been told.
    pub async fn read_newest(
        &self,
        seen: Option<&Version>,
        told: &Told,
    ) -> Result<(Observation, Option<NewestRead>), Fault> {
        let path = &self.managed.config.origin.path;
        let read = self.managed.source.read_newest(path, told.index.as_deref());
        let read = match self.unless_stopped(read).await? {
            Err(SourceError::Malformed(_)) => return Ok((self.observe(seen, true).await?, None)),
            read => read.map(|reading| match reading {
                Reading::Missing(why) => (Observation::Missing(why), None),
                Reading::Present {
                    version,
                    written_at,
                    document,
                } => {
                    let observation = Observation::Present {
                        version: version.clone(),
                        written_at,
                    };
                    let read = NewestRead {
                        written_at,
                        ..self.judge(version, &document)
                    };
                    (observation, Some(read))
                }
            }),
        };
        let observed = read.as_ref().map(|(observation, _)| observation.clone());
        self.count(seen, &observed.map_err(Clone::clone));
        failpoint::reach("secret_read");
        read.map_err(Fault::Source)
    }

    /// Reads the newest version.
    pub async fn read(&self, version: &Version) -> Result<NewestRead, Fault> {
        let read = self
            .managed
            .source
            .read(&self.managed.config.origin.path, version);
        let read = match self.unless_stopped(read).await? {
            Ok(Reading::Missing(why)) => NewestRead::of(Read::Missing(why)),
            Ok(Reading::Present {
                version,
                written_at,
                document,
            }) => NewestRead {
                written_at,
                ..self.judge(version, &document)
            },
            Err(SourceError::Malformed(error)) => {
                NewestRead::malformed(version.clone(), error.to_string())
            }
            Err(error) => return Err(Fault::Source(error)),
        };
        failpoint::reach("secret_read");
        Ok(read)
    }

    /// Returns what a secret holds: credentials, or a value that cannot be a key of its provider.
    fn judge(&self, version: Version, document: &Document) -> NewestRead {
        let config = &self.managed.config;
        let Taken {
            credentials,
            trimmed,
        } = match document.credentials(&config.origin.fields) {
            Ok(taken) => taken,
            Err(error) => return NewestRead::malformed(version, error.to_string()),
        };
        let trimmed = trimmed.then(|| version.clone());
        let found = match sanity::check(&config.settings, &credentials) {
            Err(error) => Read::Malformed { version, error },
            Ok(()) => Read::Value(self.value(version, config.origin.clone(), credentials)),
        };
        NewestRead {
            trimmed,
            ..NewestRead::of(found)
        }
    }

    fn value(&self, version: Version, origin: Origin, credentials: Credentials) -> ReadValue {
        ReadValue {
            stored: Stored {
                version,
                fingerprint: self.engine.fingerprinter.credentials(&credentials),
                origin,
            },
            credentials: Arc::new(credentials),
        }
    }

    /// Reads a previous version. One that a policy does not let the rotator read counts as gone.
    pub async fn read_older(&self, version: Version, origin: Origin) -> Result<Older, Fault> {
        let found = match origin.source == *self.managed.source.id() {
            false => Err(format!(
                "version {version} is in the source `{}`, and the key has another one now",
                origin.source
            )),
            true => self.credentials_of(&version, &origin).await?,
        };
        failpoint::reach("older_read");
        Ok(Older {
            found: found
                .map(|credentials| self.value(version.clone(), origin.clone(), credentials)),
            version,
            origin,
        })
    }

    async fn credentials_of(
        &self,
        version: &Version,
        origin: &Origin,
    ) -> Result<Result<Credentials, String>, Fault> {
        let read = self.managed.source.read_exact(&origin.path, version);
        let unreadable = |why: String| Ok(Err(format!("version {version}: {why}")));
        match self.unless_stopped(read).await? {
            Ok(Exact::Present { document, .. }) => match document.credentials(&origin.fields) {
                Ok(taken) => Ok(Ok(taken.credentials)),
                Err(error) => unreadable(error.to_string()),
            },
            Ok(Exact::Gone(why)) => unreadable(why.describe().to_owned()),
            Err(error) if error.class() == Class::Refused => unreadable(error.to_string()),
            Err(error) => Err(Fault::Source(error)),
        }
    }

    /// Asks the source which version it had before this one, or why there is none.
    pub async fn find_older(&self, version: &Version) -> Result<Result<Version, String>, Fault> {
        let source = &self.managed.source;
        let find = source.previous(&self.managed.config.origin.path, version);
        match self.unless_stopped(find).await? {
            Ok(Previous::Version(older)) => Ok(Ok(older)),
            Ok(Previous::Gone(why)) => {
                let why = why.describe();
                Ok(Err(format!("before version {version}: {why}")))
            }
            Err(error) if error.class() == Class::Refused => Ok(Err(error.to_string())),
            Err(error) => Err(Fault::Source(error)),
        }
    }

    /// Asks the provider whether it takes a value.
    pub async fn probe(&self, value: &ReadValue) -> Result<Verdict, Fault> {
        let settings = &self.managed.config.settings;
        let probe = self.engine.prober.probe(settings, &value.credentials);
        let verdict = match self.unless_stopped(probe).await? {
            Probe::Works => Verdict::Works,
            Probe::Rejected(said) => Verdict::Rejected(said),
            Probe::Inconclusive(why) => Verdict::Inconclusive(why),
        };
        failpoint::reach("provider_answered");
        Ok(verdict)
    }
}
