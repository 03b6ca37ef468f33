//! The verification of a value: by its provider before it is pushed, by Flashback after.
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
//!                    └───────┬───────┘                                 │ verification │
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
//! Only a rejection takes a value out of Flashback again; the absence of an answer never does. The whole state of a
//! verification is in the record, so that another process can go on with it, and a wait for the next question ends
//! the check. If Flashback refuses to take the previous value back, the new one stays for now, and as long as it is
//! rejected the way back is tried again like any refused write. A newer version in the source ends the verification
//! of the one before, and the value to put back stays the one that was last known to work. A previous value that a
//! person has put back is asked about too ([`Stage::Kept`]), and stays whatever the answer is.

use super::knowledge::{Knowledge, ReadValue};
use super::previous;
use super::step::{Conclusion, HoldReason, Question, Rest, Stand, Step};
use crate::model::{KeyCommand, Record, Stage, Verification};
use crate::secret::Fingerprint;

/// Returns the step before a value is pushed, if there is one: its provider is asked, or has rejected the value.
/// `written` says that Flashback has the value already.
pub fn ask_provider(known: &Knowledge, value: &ReadValue, written: bool) -> Option<Step> {
    let verify = &known.config.verify;
    let asked = verify.before_provider && known.command != KeyCommand::Force;
    let best_guess = goes_back_in(&known.record, &value.stored.fingerprint);
    if !asked || written || known.clearance.is_some() || best_guess {
        return None;
    }
    let Some(candidate) = known.record.candidate_for(&value.stored) else {
        return Some(Step::Ask(Question::Probe(value.clone())));
    };
    let said = candidate.rejected.clone().unwrap_or_default();
    Some(if candidate.failed(verify.grace) {
        Step::Conclude(Conclusion::Hold {
            version: value.stored.version.clone(),
            reason: HoldReason::Provider(said),
        })
    } else if candidate.waits(known.now) {
        Step::Rest(Rest::Probing(said))
    } else {
        Step::Ask(Question::Probe(value.clone()))
    })
}

/// Returns `true` if this value is pushed a second time because the one before it did not work either.
pub fn goes_back_in(record: &Record, value: &Fingerprint) -> bool {
    record.verification.as_ref().is_some_and(|verification| {
        verification.stage == Stage::Forward && verification.subject.fingerprint == *value
    })
}

/// Returns the next step of the verification of the live value. If there is none for now, the check ends: with
/// `at_rest`, unless the live value does not work.
pub fn prove(known: &Knowledge, at_rest: Rest) -> Step {
    let (record, verify) = (&known.record, &known.config.verify);
    let (Some(verification), Some(live), Some(id)) =
        (&record.verification, &record.live, known.known_id())
    else {
        return Step::Rest(at_rest);
    };
    if record.intent.is_some() {
        // The value in Flashback is not known until the next push.
        return Step::Rest(at_rest);
    }
    let tried = match verification.stage {
        Stage::Back => record.previous.as_ref().unwrap_or(&verification.subject),
        _ => &verification.subject,
    };
    if live.fingerprint != tried.fingerprint {
        return Step::Conclude(Conclusion::Keep);
    }
    if !verify.after_flashback {
        return Step::Conclude(Conclusion::EndVerification);
    }
    if verification.failed(verify.grace) {
        match verification.stage {
            Stage::After => return previous::turn_back(known, verification),
            Stage::Back => {
                let said = verification.rejected.clone().unwrap_or_default();
                let why = format!("version {} does not work either: {said}", live.version);
                let stand = Stand::Best;
                return Step::Conclude(Conclusion::LetStand { stand, why });
            }
            Stage::Before | Stage::Forward | Stage::Kept => {}
        }
    }
    let after = |at| known.rules.refused_for(at, 1);
    if verification.stage == Stage::Forward && verification.may_turn_back_again(after, known.now) {
        return previous::turn_back(known, verification);
    }
    if !verification.waits(known.now) {
        return Step::Validate {
            id: id.clone(),
            verification: Box::new(verification.clone()),
        };
    }
    Step::Rest(waiting(known, verification, at_rest))
}

/// Returns the result of a check while a value waits for the next question. After the grace it is that the value does
/// not work, unless the key has another problem.
fn waiting(known: &Knowledge, verification: &Verification, at_rest: Rest) -> Rest {
    let given_up =
        verification.stage == Stage::Forward || verification.failed(known.config.verify.grace);
    let shown = match at_rest {
        Rest::InSync => true,
        Rest::Held(_) => verification.stage == Stage::Kept,
        _ => false,
    };
    match &verification.rejected {
        Some(said) if given_up && shown => Rest::Unproven(said.clone()),
        _ => at_rest,
    }
}
