//! A value proves that it works: to its provider before it is pushed, to Flashback after.
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
//! A verdict of *no* is what takes a key out again; silence never is. Everything a trial has come to is in
//! the record, so that a process that dies at any step finds its place again, and whatever waits ends the
//! check. Where Flashback refuses to take the previous value back, the subject stays for now, and as long as
//! it is rejected the way back is tried again as any refused write is. Another version in the source ends the
//! trial of the one before: the newest wins, and what would be put back stays what was last known to be good.
//! An older value that somebody has put back by hand is asked about too ([`Stage::Kept`]), and stays.

use super::knowledge::{Knowledge, ReadValue};
use super::previous;
use super::step::{Conclusion, HoldReason, Question, Rest, Stand, Step};
use crate::model::{KeyCommand, Record, Stage, Verification};
use crate::secret::Fingerprint;

/// Returns the step that asks the provider about a value, or ends where the provider has turned it down; `None`
/// where nothing is in the way of a push. `written` says that Flashback holds the value already.
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

/// Returns whether this value goes in a second time, after the one before it did not work either.
pub fn goes_back_in(record: &Record, value: &Fingerprint) -> bool {
    record.verification.as_ref().is_some_and(|verification| {
        verification.stage == Stage::Forward && verification.subject.fingerprint == *value
    })
}

/// Returns the step that lets what is live prove itself, where it has to; where it waits for that, or has not
/// to, the check ends as it would: `at_rest`.
pub fn prove(known: &Knowledge, at_rest: Rest) -> Step {
    let (record, verify) = (&known.record, &known.config.verify);
    let (Some(verification), Some(live), Some(id)) =
        (&record.verification, &record.live, known.known_id())
    else {
        return Step::Rest(at_rest);
    };
    if record.intent.is_some() {
        // What Flashback holds is not known; the next push finds out.
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
        return Step::Conclude(Conclusion::EndTrial);
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

/// Returns how a check ends while a value waits for the next question: that it does not work is said once the
/// grace is over, where nothing else stands in the way of the key.
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
