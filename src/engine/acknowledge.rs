//! The end of a pass: the store is told which version is live and verified.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::pass::Pass;
use super::{Engine, Fault, KeyGuard, ManagedKey, tell};
use crate::failpoint;
use crate::model::{Record, Told, Version};
use crate::reconcile::{Owed, may_be_owed, owed, stands_apart};
use crate::retry::{self, Class};
use crate::source::SourceError;
use crate::upstream::Failure as _;

impl Pass<'_> {
    /// Whether the store may have to be told something, as far as this key alone shows it.
    pub(super) fn may_owe(&self) -> bool {
        let wants = self.may_tell && self.managed.source.acknowledges();
        wants && may_be_owed(&self.record, &self.managed.config.origin)
    }

    /// Tells the store what it is owed. That it cannot be told harms no key: the error is left for
    /// the engine to tell people, and to come back.
    pub(super) async fn acknowledge(&mut self) -> Result<(), Fault> {
        if !self.may_owe() {
            return Ok(());
        }
        let (managed, source) = (self.managed, &self.managed.source);
        let mut others = Vec::new();
        for key in managed.readers.iter().filter(|key| **key != managed.key) {
            let other = self.engine.store.load(key).await?;
            let apart = stands_apart(&self.record, &other, &managed.config.origin);
            others.push(other);
            if apart {
                break;
            }
        }
        let (now, settle) = (Utc::now(), managed.config.verify.settle);
        let owed = owed(&self.record, &managed.config.origin, &others, settle, now);
        let Some(owed) = owed else {
            return Ok(());
        };
        let path = &managed.config.origin.path;
        let (told, answer) = match owed {
            Owed::Later(wait) => {
                self.settles_in = Some(wait);
                return Ok(());
            }
            // Said already, and logged then.
            Owed::Heard(told) => return self.remember(told).await,
            Owed::Tell(version) => {
                let telling = source.acknowledge(path, &version, now);
                let answer = self.unless_stopped(telling).await?;
                (self.told(version, false), answer)
            }
            Owed::Withdraw(version) => {
                let answer = self.unless_stopped(source.withdraw(path)).await?;
                (self.told(version, true), answer)
            }
        };
        failpoint::reach("store_told");
        match answer {
            Ok(()) => {
                self.remember(told.clone()).await?;
                tell::acknowledged(self.managed, &self.record, &told);
                Ok(())
            }
            Err(error) => {
                self.untold = Some(error);
                Ok(())
            }
        }
    }

    fn told(&self, version: Version, withdrawn: bool) -> Told {
        Told {
            source: self.managed.source.id().clone(),
            path: self.managed.config.origin.path.clone(),
            version,
            at: Utc::now(),
            withdrawn,
        }
    }

    async fn remember(&mut self, told: Told) -> Result<(), Fault> {
        let next = Record {
            told: Some(told),
            ..self.record.clone()
        };
        self.save(next, None).await?;
        failpoint::reach("telling_recorded");
        Ok(())
    }
}

impl Engine {
    /// Handles a failed acknowledgement to the source; returns how long to wait where it has to be
    /// tried again. A refusal is somebody's decision, and is asked about as seldom as one of
    /// Flashback's.
    pub(super) fn untold(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        tried: bool,
        error: Option<SourceError>,
    ) -> Option<Duration> {
        let Some(error) = error else {
            if tried {
                guard.telling = None;
            }
            return None;
        };
        let telling = guard.telling.get_or_insert_default();
        let wait = match error.class() {
            Class::Refused => self.rules.refused,
            Class::Outage { retry_after } | Class::Transient { retry_after } => {
                retry::wait(self.retry, telling.tries, retry_after)
            }
        };
        if telling.error.as_ref() != Some(&error)
            && !matches!(error, SourceError::CircuitOpen { .. })
        {
            tell::untold(managed, &error);
            telling.error = Some(error);
        }
        telling.tries += 1;
        telling.since = self.rules.since;
        telling.not_before = Some(Instant::now() + wait);
        Some(wait)
    }
}

/// A store that could not be told.
#[derive(Debug, Default)]
pub struct Telling {
    /// How often in a row.
    pub tries: u32,
    /// Not again before this.
    pub not_before: Option<Instant>,
    /// When the process was started, or had reloaded its configuration, as it was last tried.
    pub since: DateTime<Utc>,
    /// The error last logged.
    pub error: Option<SourceError>,
}

impl Telling {
    /// Checks whether it may be tried now by a process that was started, or reloaded its configuration, then.
    pub fn may(&self, since: DateTime<Utc>) -> bool {
        self.since != since || self.not_before.is_none_or(|at| Instant::now() >= at)
    }
}
