//! The half of the decision that keeps a working key from being replaced by a broken one.
//!
//! ```text
//!              the newest value is to be pushed
//!                            │
//!                    ┌───────▼───────┐ before = "provider", and it said no so far
//!                    │     Probe     │───────▶ Rest(Probing) ── through the grace ──▶ Hold
//!                    └───────┬───────┘
//!                            │ yes, or nobody knows
//!                          Push                                        ┌──────────────┐
//!                            │ after = "flashback"                     │  verified,   │
//!                    ┌───────▼───────┐ works, or nobody can tell       │  or nobody   │
//!                    │     After     │────────────────────────────────▶│  can tell:   │
//!                    └───────┬───────┘                                 │  the trial   │
//!                            │ no, through the grace                   │  is over     │
//!          can be read again │                                         │              │
//!           ┌────────────────┴──────────────┐ it cannot, or            │              │
//!           ▼                               ▼ on_failure = "hold"      │              │
//!   ┌───────────────┐  no, through  ┌───────────────┐ works            │              │
//!   │     Back      │──────────────▶│    Forward    │─────────────────▶│              │
//!   │ push previous │   the grace   │ push subject  │ no: asked again, │              │
//!   └───────┬───────┘               └───────────────┘ ever more calmly │              │
//!           │ works, or nobody can tell: the subject is held           │              │
//!           └─────────────────────────────────────────────────────────▶└──────────────┘
//! ```
//!
//! A verdict of *no* is what takes a key out again; silence never is. Everything a trial has come to
//! is in the record, so that a process that dies at any step finds its place again, and whatever
//! waits ends the pass. Where Flashback refuses to take the previous value back, the subject stays for
//! now, and as long as it is rejected the way back is tried again as any refused write is. Another version in the store ends the trial of the one before: the newest
//! wins, and what would be put back stays what was last known to be good. An older value that
//! somebody has put back by hand is asked about too ([`Stage::Kept`]), and stays.

use super::{Facts, HoldReason, Reason, Rest, Stand, Step, What};
use super::{drift, known_id, push, repair_is_due, resync_is_due};
use crate::model::{
    Held, KeyCommand, Live, Observation, Origin, Record, Stage, Stored, Verification, Version,
    is_over,
};
use crate::secret::Fingerprint;

/// Whether the provider is to be asked about a value first, or has turned it down; `None` where
/// nothing is in the way of a push. `written` says that Flashback holds it already.
pub(super) fn ask_first(facts: &Facts<'_>, value: &Stored, written: bool) -> Option<Step> {
    let asked = facts.verify.before_provider && facts.command != KeyCommand::Force;
    if !asked || written || facts.cleared || goes_back_in(facts, value) {
        return None;
    }
    let Some(candidate) = candidate(facts.record, value) else {
        return Some(Step::Probe);
    };
    let said = candidate.rejected.clone().unwrap_or_default();
    Some(if candidate.failed(facts.verify.grace) {
        Step::Hold {
            version: value.version.clone(),
            reason: HoldReason::Provider(said),
        }
    } else if candidate.waits(facts.now) {
        Step::Rest(Rest::Probing(said))
    } else {
        Step::Probe
    })
}

/// What the provider has said of this value so far, where that was a no.
pub(super) fn candidate<'a>(record: &'a Record, value: &Stored) -> Option<&'a Verification> {
    let candidate = record.candidate.as_ref();
    candidate.filter(|candidate| candidate.subject == *value)
}

/// Whether this value goes in a second time, after the one before it did not work either.
pub(super) fn goes_back_in(facts: &Facts<'_>, value: &Stored) -> bool {
    facts
        .record
        .verification
        .as_ref()
        .is_some_and(|verification| {
            verification.stage == Stage::Forward
                && verification.subject.fingerprint == value.fingerprint
        })
}

/// What is left to do when the newest version is not to be pushed (any more): an older one may
/// have to be, and what is live may have to prove itself.
pub(super) fn settle(facts: &Facts<'_>, rest: Rest) -> Step {
    let watched = drift::matters(facts, &rest);
    match put_older(facts, &rest).unwrap_or_else(|| prove(facts, rest)) {
        Step::Rest(rest) if watched => drift::at_rest(facts, rest),
        step => step,
    }
}

/// Whether an older value than the newest is to be in Flashback, and can be written there.
pub(super) fn keeps_older(facts: &Facts<'_>, rest: &Rest) -> bool {
    to_put(facts, rest).is_some()
}

/// The older value that should be in Flashback, and whether it is on trial.
fn to_put<'a>(facts: &Facts<'a>, rest: &Rest) -> Option<(&'a Stored, bool)> {
    let record = facts.record;
    let turning = record
        .verification
        .as_ref()
        .is_some_and(|verification| verification.stage == Stage::Back);
    if turning {
        return Some((record.previous.as_ref()?, true));
    }
    let held = record.held.as_ref()?;
    let left = |at| !is_over(at, facts.rules.refused_for(at, 1), facts.now);
    if !matches!(rest, Rest::Held(_)) || held.left_at.is_some_and(left) {
        return None;
    }
    Some((held.instead.as_ref()?, false))
}

/// Sees to it that Flashback holds the older value that it should.
fn put_older(facts: &Facts<'_>, rest: &Rest) -> Option<Step> {
    let (to, turning) = to_put(facts, rest)?;
    let reason = why_put(facts, to, turning)?;
    if matches!(reason, Reason::Resync | Reason::Repair)
        && let Some(step) = drift::before_resync(facts)
    {
        return Some(step);
    }
    let given_up = |stand, why: String| match turning {
        true => Step::LetStand { stand, why },
        false => Step::Leave(why),
    };
    match read(facts, &to.version, &to.origin) {
        Err(step) => Some(*step),
        Ok(Err(why)) => Some(given_up(Stand::Best, why)),
        Ok(Ok(found)) if found != to.fingerprint => Some(given_up(Stand::Best, changed(to))),
        Ok(Ok(_)) => Some(match push(facts, &to.version, reason, What::Older) {
            Step::Refuse { error, .. } => given_up(Stand::ForNow, error),
            step => step,
        }),
    }
}

/// Why an older value has to be written, if it has.
fn why_put(facts: &Facts<'_>, to: &Stored, turning: bool) -> Option<Reason> {
    let record = facts.record;
    let live = record.live.as_ref();
    let there = |live: &&Live| live.fingerprint == to.fingerprint;
    let Some(live) = live.filter(there) else {
        // Nothing is live, too, where a write has found that the configuration is gone.
        return Some(drift::due(facts).unwrap_or(Reason::RolledBack));
    };
    if let Some(intent) = &record.intent {
        Some(Reason::of(intent))
    } else if live.settings != *facts.settings {
        Some(Reason::SettingsChanged)
    } else if let Some(drifted) = drift::due(facts) {
        Some(drifted)
    } else if repair_is_due(facts) {
        Some(Reason::Repair)
    } else {
        let resync = !turning && resync_is_due(facts, live);
        resync.then_some(Reason::Resync)
    }
}

/// The digest of an older version, or the step that finds it.
fn read(
    facts: &Facts<'_>,
    version: &Version,
    origin: &Origin,
) -> Result<Result<Fingerprint, String>, Box<Step>> {
    match facts.older {
        Some(older) if older.version == *version && older.origin == *origin => {
            Ok(older.found.clone())
        }
        _ => Err(Box::new(Step::ReadOlder {
            version: version.clone(),
            origin: origin.clone(),
        })),
    }
}

fn changed(to: &Stored) -> String {
    format!("version {} is another value now", to.version)
}

/// Lets what is live prove itself, where it has to.
fn prove(facts: &Facts<'_>, rest: Rest) -> Step {
    let record = facts.record;
    let (Some(verification), Some(live), Some(id)) =
        (&record.verification, &record.live, known_id(facts))
    else {
        return Step::Rest(rest);
    };
    if record.intent.is_some() {
        // What Flashback holds is not known; the next push finds out.
        return Step::Rest(rest);
    }
    let tried = match verification.stage {
        Stage::Back => record.previous.as_ref().unwrap_or(&verification.subject),
        _ => &verification.subject,
    };
    if live.fingerprint != tried.fingerprint {
        return Step::Keep;
    }
    if !facts.verify.after_flashback {
        return Step::EndTrial;
    }
    if verification.failed(facts.verify.grace) {
        match verification.stage {
            Stage::After => return turn_back(facts, verification),
            Stage::Back => {
                let said = verification.rejected.clone().unwrap_or_default();
                let why = format!("version {} does not work either: {said}", live.version);
                let stand = Stand::Best;
                return Step::LetStand { stand, why };
            }
            Stage::Before | Stage::Forward | Stage::Kept => {}
        }
    }
    let after = |at| facts.rules.refused_for(at, 1);
    if verification.stage == Stage::Forward && verification.may_turn_back_again(after, facts.now) {
        return turn_back(facts, verification);
    }
    if !verification.waits(facts.now) {
        return Step::Validate(id.clone());
    }
    let given_up = verification.stage == Stage::Forward || verification.failed(facts.verify.grace);
    Step::Rest(match (&verification.rejected, rest) {
        (Some(said), Rest::InSync) if given_up => Rest::Unproven(said.clone()),
        (Some(said), Rest::Held(_)) if given_up && verification.stage == Stage::Kept => {
            Rest::Unproven(said.clone())
        }
        (_, rest) => rest,
    })
}

/// The value on trial does not work. What was live before goes back in, if it can be had.
fn turn_back(facts: &Facts<'_>, verification: &Verification) -> Step {
    let said = verification.rejected.clone().unwrap_or_default();
    let stands = |stand, why: String| Step::LetStand { stand, why };
    if !facts.verify.rollback {
        return stands(Stand::Held, "on_failure is \"hold\"".to_owned());
    }
    if !verification.fresh {
        let why = "the same value was live before".to_owned();
        return stands(Stand::Best, why);
    }
    match older_than(facts, &verification.subject) {
        Err(step) => *step,
        Ok(Err(why)) => stands(Stand::Best, why),
        // The store was set back to it, and it is not wanted either.
        Ok(Ok(to)) if held(facts, &to) => {
            let why = format!("version {} is held", to.version);
            stands(Stand::Best, why)
        }
        Ok(Ok(to)) => Step::TurnBack {
            to,
            from: verification.subject.version.clone(),
            reason: HoldReason::Flashback(said),
        },
    }
}

fn held(facts: &Facts<'_>, value: &Stored) -> bool {
    let held = facts.record.held.as_ref();
    held.is_some_and(|held| held.is(&value.version, &value.origin))
}

/// The value that stands before `value` and can be read again: what was live before it or, where
/// that is not on record, what the store has; or why there is none, or the step that finds out.
fn older_than(facts: &Facts<'_>, value: &Stored) -> Result<Result<Stored, String>, Box<Step>> {
    let on_record = facts.record.previous.as_ref();
    let (version, origin, expected) =
        match on_record.filter(|previous| previous.fingerprint != value.fingerprint) {
            Some(previous) => (
                &previous.version,
                &previous.origin,
                Some(previous.fingerprint),
            ),
            None => match facts.before {
                None => return Err(Box::new(Step::FindOlder(value.version.clone()))),
                Some(Err(why)) => return Ok(Err(why.clone())),
                Some(Ok(version)) => (version, &value.origin, None),
            },
        };
    let to = |fingerprint| Stored {
        version: version.clone(),
        fingerprint,
        origin: origin.clone(),
    };
    Ok(match read(facts, version, origin)? {
        Err(why) => Err(why),
        Ok(found) if expected.is_some_and(|expected| expected != found) => Err(changed(&to(found))),
        Ok(found) if found == value.fingerprint => {
            Err(format!("version {version} is the same value"))
        }
        Ok(found) => Ok(to(found)),
    })
}

/// What `rollback KEY` asks for; `None` where it is so already.
pub(super) fn back_by_hand(facts: &Facts<'_>) -> Option<Step> {
    let record = facts.record;
    let Some(live) = &record.live else {
        let why = "nothing is live in Flashback for this key yet".to_owned();
        return Some(Step::Rest(Rest::NoWayBack(why)));
    };
    let newest = match facts.observation {
        Observation::Present { version, .. } => version,
        // What the store has lost is still what is to be replaced.
        Observation::Missing(_) => &live.version,
    };
    let held = |held: &Held| held.is(newest, facts.origin);
    if record.held.as_ref().is_some_and(held) && !live.stored().is(newest, facts.origin) {
        return None;
    }
    let hold = || Step::Hold {
        version: newest.clone(),
        reason: HoldReason::ByHand,
    };
    if !live.stored().is(newest, facts.origin) {
        // What is live is the previous one.
        return Some(hold());
    }
    Some(match older_than(facts, &live.stored()) {
        Err(step) => *step,
        Ok(Err(why)) => Step::Rest(Rest::NoWayBack(why)),
        Ok(Ok(to)) => Step::TurnBack {
            to,
            from: newest.clone(),
            reason: HoldReason::ByHand,
        },
    })
}
