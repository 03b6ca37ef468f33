//! Acknowledges the live and verified version to its source.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::ask::Ask;
use super::{Engine, Fault, ManagedKey, events};
use crate::failpoint;
use crate::model::{Record, Told, Version};
use crate::reconcile::{Owed, owed, stands_apart};
use crate::retry::{self, Class};
use crate::source::SourceError;
use crate::upstream::Failure as _;

/// The result of an acknowledgement.
pub enum Acknowledgement {
    /// Nothing is to be said.
    Nothing,
    /// The version is to be acknowledged after this long.
    Later(Duration),
    /// Another key has acknowledged the version.
    Heard(Told),
    /// The version was acknowledged, or the acknowledgement was withdrawn.
    Made(Told),
    /// The source did not accept it.
    Failed(SourceError),
}

/// Says to a key's source what is to be said, by the key's record and those of the keys that read the same secret.
pub async fn acknowledge(ask: Ask<'_>, record: &Record) -> Result<Acknowledgement, Fault> {
    let Ask {
        engine, managed, ..
    } = ask;
    let (source, origin) = (&managed.source, &managed.config.origin);
    let mut others = Vec::new();
    for key in managed.readers.iter().filter(|key| **key != managed.key) {
        let other = engine.store.load(key).await?;
        let apart = stands_apart(record, &other, origin);
        others.push(other);
        if apart {
            break;
        }
    }
    let now = Utc::now();
    let told = |version: Version, withdrawn| Told {
        source: source.id().clone(),
        path: origin.path.clone(),
        version,
        at: Utc::now(),
        withdrawn,
    };
    let (told, answer) = match owed(record, origin, &others, managed.config.verify.settle, now) {
        None => return Ok(Acknowledgement::Nothing),
        Some(Owed::Later(wait)) => return Ok(Acknowledgement::Later(wait)),
        Some(Owed::Heard(told)) => return Ok(Acknowledgement::Heard(told)),
        Some(Owed::Tell(version)) => {
            let telling = source.acknowledge(&origin.path, &version, now);
            let answer = ask.unless_stopped(telling).await?;
            (told(version, false), answer)
        }
        Some(Owed::Withdraw(version)) => {
            let answer = ask.unless_stopped(source.withdraw(&origin.path)).await?;
            (told(version, true), answer)
        }
    };
    failpoint::reach("store_told");
    Ok(match answer {
        Ok(()) => Acknowledgement::Made(told),
        Err(error) => Acknowledgement::Failed(error),
    })
}

/// Failed attempts to acknowledge a version.
#[derive(Debug, Default)]
pub struct Telling {
    /// The number of failures in a row.
    pub tries: u32,
    /// The time before which it is not tried again.
    pub not_before: Option<Instant>,
    /// The last start or reload before the last attempt.
    pub since: DateTime<Utc>,
    /// The error last logged.
    pub error: Option<SourceError>,
}

impl Telling {
    /// Records a failure and returns the wait before the next attempt. A refusal is somebody's decision and is tried
    /// again as rarely as one of Flashback's.
    pub(super) fn failed(
        &mut self,
        engine: &Engine,
        managed: &ManagedKey,
        error: SourceError,
    ) -> Duration {
        let wait = match error.class() {
            Class::Refused => engine.rules.refused,
            Class::Outage { retry_after } | Class::Transient { retry_after } => {
                retry::wait(engine.retry, self.tries, retry_after)
            }
        };
        if self.error.as_ref() != Some(&error) && !matches!(error, SourceError::CircuitOpen { .. })
        {
            events::untold(managed, &error);
            self.error = Some(error);
        }
        self.tries += 1;
        self.since = engine.rules.since;
        self.not_before = Some(Instant::now() + wait);
        wait
    }

    /// Returns whether it may be tried now. `since` is the last start or reload, which brings a try forward.
    pub fn may(&self, since: DateTime<Utc>) -> bool {
        self.since != since || self.not_before.is_none_or(|at| Instant::now() >= at)
    }
}
