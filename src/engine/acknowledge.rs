//! Tells a source which version is live and verified.

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

/// What came of telling the source what it is owed.
pub enum Acknowledgement {
    /// It is owed nothing.
    Nothing,
    /// It is to be told after this long.
    Later(Duration),
    /// Another key has told it.
    Heard(Told),
    /// It was told.
    Made(Told),
    /// It could not be told.
    Failed(SourceError),
}

/// Tells the source of a key what it is owed, by the key's record and those of the keys that read the same secret.
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
    /// Takes in that the source could not be told; returns how long to wait before it is tried again. A refusal is
    /// somebody's decision, and is asked about as seldom as one of Flashback's.
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

    /// Checks whether it may be tried now by a process that was started, or reloaded its configuration, then.
    pub fn may(&self, since: DateTime<Utc>) -> bool {
        self.since != since || self.not_before.is_none_or(|at| Instant::now() >= at)
    }
}
