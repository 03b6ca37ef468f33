//! Previous versions: the way back to one, and its value.

use super::knowledge::{Knowledge, ReadValue};
use super::step::{Conclusion, HoldReason, Question, Rest, Stand, Step};
use crate::model::{Held, Observation, Origin, Stored, Verification, Version};

/// A value, or the reason why there is none.
type Found<T> = Result<T, String>;

/// Returns the value of a previous version, or why it cannot be written again. An outer `Err` is not a failure: it is the
/// step to take first.
pub fn read(known: &Knowledge, wanted: &Stored) -> Result<Found<ReadValue>, Box<Step>> {
    let found = found(known, &wanted.version, &wanted.origin)?;
    Ok(match found {
        Ok(value) if value.stored.fingerprint != wanted.fingerprint => {
            Err(changed(&wanted.version))
        }
        found => found,
    })
}

/// Returns the value that was read of a version. An outer `Err` is not a failure: it is the step that reads it.
fn found(
    known: &Knowledge,
    version: &Version,
    origin: &Origin,
) -> Result<Found<ReadValue>, Box<Step>> {
    match &known.older {
        Some(older) if older.version == *version && older.origin == *origin => {
            Ok(older.found.clone())
        }
        _ => Err(Box::new(Step::Ask(Question::ReadOlder {
            version: version.clone(),
            origin: origin.clone(),
        }))),
    }
}

fn changed(version: &Version) -> String {
    format!("version {version} is another value now")
}

/// Returns the value before `value` that can be read again, or why there is none: the one that was live before it or,
/// if none is on record, the one that the source had before it. An outer `Err` is not a failure: it is the step to take
/// first.
fn before(known: &Knowledge, value: &Stored) -> Result<Found<Stored>, Box<Step>> {
    let on_record = known.record.previous.as_ref();
    if let Some(previous) = on_record.filter(|one| one.fingerprint != value.fingerprint) {
        return Ok(read(known, previous)?.map(|found| found.stored));
    }
    let version = match &known.before {
        None => {
            return Err(Box::new(Step::Ask(Question::FindOlder(
                value.version.clone(),
            ))));
        }
        Some(Err(why)) => return Ok(Err(why.clone())),
        Some(Ok(version)) => version,
    };
    Ok(match found(known, version, &value.origin)? {
        Ok(found) if found.stored.fingerprint == value.fingerprint => {
            Err(format!("version {version} is the same value"))
        }
        found => found.map(|found| found.stored),
    })
}

/// Returns the step after a value has failed its verification: the one before it is put back, if it can be read again.
pub fn turn_back(known: &Knowledge, verification: &Verification) -> Step {
    let said = verification.rejected.clone().unwrap_or_default();
    let stands = |stand, why: String| Step::Conclude(Conclusion::LetStand { stand, why });
    if !known.config.verify.rollback {
        return stands(Stand::Held, "on_failure is \"hold\"".to_owned());
    }
    if !verification.fresh {
        let why = "the same value was live before".to_owned();
        return stands(Stand::Best, why);
    }
    let held = |held: &Held, to: &Stored| held.is(&to.version, &to.origin);
    match before(known, &verification.subject) {
        Err(step) => *step,
        Ok(Err(why)) => stands(Stand::Best, why),
        // The source was set back to it, and it is not wanted either.
        Ok(Ok(to)) if known.record.held.as_ref().is_some_and(|one| held(one, &to)) => {
            let why = format!("version {} is held", to.version);
            stands(Stand::Best, why)
        }
        Ok(Ok(to)) => Step::Conclude(Conclusion::TurnBack {
            to,
            from: verification.subject.version.clone(),
            reason: HoldReason::Flashback(said),
        }),
    }
}

/// Returns the step that carries out `rollback KEY`; `None` if the key is rolled back already.
pub fn by_hand(known: &Knowledge) -> Option<Step> {
    let (record, origin) = (&known.record, &known.config.origin);
    let Some(live) = &record.live else {
        let why = "nothing is live in Flashback for this key yet".to_owned();
        return Some(Step::Rest(Rest::NoWayBack(why)));
    };
    let newest = match &known.observation {
        Observation::Present { version, .. } => version,
        // The source has lost the live version, but it is still the one to replace.
        Observation::Missing(_) => &live.version,
    };
    if !live.stored().is(newest, origin) {
        let held = |held: &Held| held.is(newest, origin);
        // The live version is the previous one already.
        let hold = || {
            Step::Conclude(Conclusion::Hold {
                version: newest.clone(),
                reason: HoldReason::ByHand,
            })
        };
        return (!record.held.as_ref().is_some_and(held)).then(hold);
    }
    Some(match before(known, &live.stored()) {
        Err(step) => *step,
        Ok(Err(why)) => Step::Rest(Rest::NoWayBack(why)),
        Ok(Ok(to)) => Step::Conclude(Conclusion::TurnBack {
            to,
            from: newest.clone(),
            reason: HoldReason::ByHand,
        }),
    })
}
