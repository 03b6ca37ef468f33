//! The value that should be live.

use super::drift;
use super::knowledge::{Knowledge, Read};
use super::step::Rest;
use crate::model::{KeyCommand, Observation, Stage, Stored, Version, is_over};

/// A value that should be live.
#[derive(Clone, Copy, Debug)]
pub enum Desired<'a> {
    /// The newest version that the source has.
    Newest(&'a Version),
    /// A previous version instead of the newest.
    Previous {
        /// The version and its fingerprint.
        value: &'a Stored,
        /// `true` if the newest version failed its verification and this one is put back and verified in turn.
        /// `false` if the newest version is held and this one stays meanwhile.
        in_verification: bool,
    },
}

/// Returns the newest version of the source as the value that should be live.
///
/// `Err` is not a failure: it is the result of the check if that version is not to be pushed, or not for now.
pub fn newest(known: &Knowledge) -> Result<Desired<'_>, Rest> {
    let version = match (&known.observation, &known.newest) {
        (Observation::Missing(why), _) | (_, Some(Read::Missing(why))) => {
            return Err(Rest::Missing(*why));
        }
        (_, Some(Read::Value(value))) => &value.stored.version,
        (_, Some(Read::Malformed { version, .. }))
        | (Observation::Present { version, .. }, None) => version,
    };
    let ruled_out = match known.command {
        KeyCommand::Force => None,
        KeyCommand::None | KeyCommand::RollBack | KeyCommand::Rotate(_) => {
            held(known, version).or_else(|| refused(known, version))
        }
    };
    ruled_out.map_or(Ok(Desired::Newest(version)), Err)
}

/// Returns the previous version that should be live, if one should. `at_rest` is the reason why the newest version
/// needs no write.
pub fn previous<'a>(known: &'a Knowledge, at_rest: &Rest) -> Option<Desired<'a>> {
    let record = &known.record;
    let verification = record.verification.as_ref();
    if verification.is_some_and(|verification| verification.stage == Stage::Back) {
        let value = record.previous.as_ref()?;
        let in_verification = true;
        return Some(Desired::Previous {
            value,
            in_verification,
        });
    }
    let held = record.held.as_ref()?;
    let given_up = |at| !is_over(at, known.rules.refused_for(at, 1), known.now);
    if !matches!(at_rest, Rest::Held(_)) || held.left_at.is_some_and(given_up) {
        return None;
    }
    let (value, in_verification) = (held.instead.as_ref()?, false);
    Some(Desired::Previous {
        value,
        in_verification,
    })
}

/// Returns the result of a check whose newest version is held: by a person, because its provider rejected it, or
/// because it did not work once it was live.
fn held(known: &Knowledge, version: &Version) -> Option<Rest> {
    let (record, origin) = (&known.record, &known.config.origin);
    if let Some(held) = &record.held
        && held.is(version, origin)
        && !is_live_and_to_be_written_again(known, version)
    {
        return Some(Rest::Held(held.reason.clone()));
    }
    let verification = record.verification.as_ref()?;
    let turned_back = verification.stage == Stage::Back && verification.subject.is(version, origin);
    turned_back.then(|| Rest::Held(verification.reason.clone().unwrap_or_default()))
}

/// Returns `true` if a held version is live and is to be written again: its settings have changed, which may make it
/// work, another user changed it in Flashback, or a late write may have.
fn is_live_and_to_be_written_again(known: &Knowledge, version: &Version) -> bool {
    let live = known.record.live.as_ref();
    live.is_some_and(|live| {
        let otherwise = live.settings != known.config.settings
            || drift::due(known).is_some()
            || known.repair_is_due();
        live.stored().is(version, &known.config.origin) && otherwise
    })
}

/// Returns the result of a check whose newest version Flashback has refused a while ago.
fn refused(known: &Knowledge, version: &Version) -> Option<Rest> {
    let refusal = known.record.refusal.as_ref()?;
    let wait = known.rules.refused_for(refusal.at, refusal.early);
    let waiting = !is_over(refusal.at, wait, known.now);
    let same = refusal.is_of(version, &known.config.origin, &known.config.settings);
    (same && waiting).then(|| Rest::Refused {
        error: refusal.error.clone(),
        until: refusal.at + wait,
    })
}
