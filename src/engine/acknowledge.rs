//! Acknowledges the live and verified version to its source.

use std::time::Duration;

use chrono::Utc;

use super::ask::Ask;
use super::problem::Fault;
use crate::failpoint;
use crate::model::{Acknowledged, Record, Version};
use crate::reconcile::{Owed, owed, stands_apart};
use crate::source::SourceError;

/// The result of an acknowledgement.
pub enum Acknowledgement {
    /// Nothing is due.
    Nothing,
    /// The version is to be acknowledged after this long.
    Later(Duration),
    /// Another key has acknowledged the version.
    Heard(Acknowledged),
    /// The version was acknowledged, or the acknowledgement was withdrawn.
    Made(Acknowledged),
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
    let told = |version: Version, withdrawn| Acknowledged {
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
