//! The end of a pass: the store is told which version is live and verified.

use chrono::Utc;

use super::pass::Pass;
use super::{Fault, tell};
use crate::failpoint;
use crate::model::{Record, Told, Version};
use crate::reconcile::{Owed, may_be_owed, owed, stands_apart};
use crate::source::SourceError;

impl Pass<'_> {
    /// Whether the store may have to be told something, as far as this key alone shows it.
    pub(super) fn may_owe(&self) -> bool {
        let wants = self.may_tell && self.unit.source.acknowledges();
        wants && may_be_owed(&self.record, &self.unit.config.origin)
    }

    /// Tells the store what it is owed. That it cannot be told harms no key: the error is left for
    /// the engine to tell people, and to come back.
    pub(super) async fn acknowledge(&mut self) -> Result<(), Fault> {
        if !self.may_owe() {
            return Ok(());
        }
        let (unit, source) = (self.unit, &self.unit.source);
        let mut others = Vec::new();
        for key in unit.readers.iter().filter(|key| **key != unit.key) {
            let other = self.engine.store.load(key).await?;
            let apart = stands_apart(&self.record, &other, &unit.config.origin);
            others.push(other);
            if apart {
                break;
            }
        }
        let (now, settle) = (Utc::now(), unit.config.verify.settle);
        let owed = owed(&self.record, &unit.config.origin, &others, settle, now);
        let Some(owed) = owed else {
            return Ok(());
        };
        let path = &unit.config.origin.path;
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
                tell::acknowledged(self.unit, &self.record, &told);
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
            source: self.unit.source.id().clone(),
            path: self.unit.config.origin.path.clone(),
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

/// A store that could not be told.
#[derive(Debug, Default)]
pub struct Telling {
    /// How often in a row.
    pub tries: u32,
    /// Not again before this.
    pub not_before: Option<tokio::time::Instant>,
    /// The error last logged.
    pub error: Option<SourceError>,
}

impl Telling {
    /// Whether it may be tried now.
    pub fn may(&self) -> bool {
        self.not_before
            .is_none_or(|at| tokio::time::Instant::now() >= at)
    }
}
