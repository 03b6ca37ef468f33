//! The decision: the next step for one key.

use super::desired::{self, Desired};
use super::knowledge::Knowledge;
use super::step::{Rest, Step};
use super::{drift, gap, previous, verification};
use crate::model::KeyCommand;

/// Returns the next step for one key.
pub fn decide(known: &Knowledge) -> Step {
    if known.command == KeyCommand::RollBack
        && let Some(step) = previous::by_hand(known)
    {
        return step;
    }
    let close = |newest: Desired<'_>| gap::close(known, newest).unwrap_or(Step::Rest(Rest::InSync));
    match desired::newest(known).map_or_else(Step::Rest, close) {
        Step::Rest(rest) => settle(known, rest),
        step => step,
    }
}

/// Returns the next step when the newest version needs no write, for the reason `at_rest`: a previous version is
/// written, the live value is verified, or Flashback is checked for changes by other users.
fn settle(known: &Knowledge, at_rest: Rest) -> Step {
    let previous = desired::previous(known, &at_rest);
    let watched = drift::is_watched(known, &at_rest, previous.is_some());
    let step = previous.and_then(|previous| gap::close(known, previous));
    match step.unwrap_or_else(|| verification::prove(known, at_rest)) {
        Step::Rest(rest) if watched => drift::at_rest(known, rest),
        step => step,
    }
}
