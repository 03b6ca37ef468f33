//! The decision: what to do next for one key, given all that is known of it.
//!
//! [`decide`] is a pure function. It is asked again after each step, with what the step has
//! brought to light, until it says [`Step::Rest`]. It has no clock of its own, does no I/O, logs
//! nothing and draws no random numbers, so every situation can be laid before it in a test.
//!
//! ```text
//!                      ┌────────────┐
//!   look ────────────▶ │ observed?  │── nothing to push ─────────────────▶ Rest(Missing)
//!                      └─────┬──────┘
//!                            │ a version
//!                      ┌─────▼──────┐   held, or refused not long ago ──▶ Rest(Held, Refused)
//!                      │ changed?   │── no, and nothing unfinished ─────▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ yes, unfinished, repair or resync due, or forced
//!                      ┌─────▼──────┐   gone, or no usable value ───────▶ Rest(Missing, Malformed)
//!                      │    Read    │── the live value again ───▶ Note ─▶ Rest(InSync)
//!                      └─────┬──────┘
//!                            │ another value
//!                      ┌─────▼──────┐ yes                     404: the id is forgotten
//!                      │ id known?  │────────▶ Push(update) ──────────────┐
//!                      └─────┬──────┘                │ 400, 403           │
//!                            │ no  ◀─────────────────┼────────────────────┘
//!                      ┌─────▼──────┐ one of that name                 │
//!                      │    List    │────────▶ Push(adopt) ──▶ Refuse ─▶ Rest(Refused)
//!                      └─────┬──────┘            ▲    ▲
//!                            │ none, or the list │    │ 400, 403, and the list has it not
//!                            ▼ is refused        │    │
//!                       Push(create) ────────────┴────┘
//!                                    refused: list once more
//! ```
//!
//! A push that succeeds leaves a record for which the answer is `Rest(InSync)`. A push whose
//! outcome is not known leaves an intent, and an intent alone is reason enough to push again, to
//! the configuration on record or, with none on record, to the one the list shows: that is how a
//! crash or a lost answer ends in one configuration and not two.
//!
//! A key on which somebody may have written who had lost it already is marked for repair: what should
//! be live is written once more, as at a resync, and the record of that push takes the mark back.
//!
//! Where nothing is to be pushed, `drift` asks whether Flashback still has what was written.

mod acknowledge;
mod drift;
mod facts;
mod push;
mod transition;
mod verdict;
mod verification;

#[cfg(test)]
mod before;
#[cfg(test)]
mod case;
#[cfg(test)]
mod drift_table;
#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod repair_table;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod stored_key_table;
#[cfg(test)]
mod table;
#[cfg(test)]
mod verification_record;
#[cfg(test)]
mod verification_table;
#[cfg(test)]
mod world;

pub use self::acknowledge::{Owed, may_be_owed, owed, stands_apart};
pub use self::drift::{Compared, Drift, compare};
pub use self::facts::{
    Facts, HoldReason, ListAge, Older, Read, Reason, Rejection, Remote, Rest, Rules, Stand, Step,
    What,
};
pub use self::push::find;
pub use self::transition::Pushed;

use self::push::{known_id, push};

use crate::model::{KeyCommand, Live, Observation, Stage, Stored, Version, is_over};
use crate::secret::Fingerprint;

/// The next step for one key.
pub fn decide(facts: &Facts<'_>) -> Step {
    if facts.command == KeyCommand::RollBack
        && let Some(step) = verification::back_by_hand(facts)
    {
        return step;
    }
    match newest(facts) {
        Step::Rest(rest) => verification::settle(facts, rest),
        step => step,
    }
}

/// What the store's newest version asks for, as if no other had ever been live.
fn newest(facts: &Facts<'_>) -> Step {
    let version = match (facts.observation, facts.reading) {
        (Observation::Missing(why), _) | (_, Some(Read::Missing(why))) => {
            return Step::Rest(Rest::Missing(*why));
        }
        (_, Some(Read::Value { version, .. } | Read::Malformed { version, .. }))
        | (Observation::Present { version, .. }, None) => version,
    };
    if let Some(rest) = stands_in_the_way(facts, version) {
        return Step::Rest(rest);
    }
    let due = push_is_due(facts);
    let live = facts
        .record
        .live
        .as_ref()
        .filter(|live| live.settings == *facts.settings);
    let current = |live: &Live| live.version == *version && live.origin == *facts.origin;
    if due.is_none() && live.is_some_and(current) {
        return Step::Rest(Rest::InSync);
    }
    if matches!(due, Some(Reason::Resync | Reason::Repair))
        && let Some(step) = drift::before_resync(facts)
    {
        return step;
    }
    let fingerprint = match facts.reading {
        None => return Step::Read(version.clone()),
        Some(Read::Malformed { error, .. }) => {
            return Step::Rest(Rest::Malformed(error.clone()));
        }
        Some(Read::Value { fingerprint, .. }) => fingerprint,
        Some(Read::Missing(why)) => return Step::Rest(Rest::Missing(*why)),
    };
    let same = live.is_some_and(|live| live.fingerprint == *fingerprint);
    if due.is_none() && same {
        return Step::Note(version.clone());
    }
    let value = Stored {
        version: version.clone(),
        fingerprint: *fingerprint,
        origin: facts.origin.clone(),
    };
    let written = same && facts.record.intent.is_none();
    if let Some(step) = verification::ask_first(facts, &value, written) {
        return step;
    }
    let reason = match !same && verification::goes_back_in(facts, &value) {
        true => Reason::BestGuess,
        // Another value is more than a repair.
        false => due
            .filter(|due| same || *due != Reason::Repair)
            .unwrap_or_else(|| what_changed(facts, fingerprint)),
    };
    push(facts, version, reason, What::Newest)
}

/// What keeps this version from being pushed, whatever else is the case.
fn stands_in_the_way(facts: &Facts<'_>, version: &Version) -> Option<Rest> {
    if facts.command == KeyCommand::Force {
        return None;
    }
    if let Some(held) = &facts.record.held
        && held.is(version, facts.origin)
        && !is_to_be_written_again(facts, version)
    {
        return Some(Rest::Held(held.reason.clone()));
    }
    if let Some(verification) = &facts.record.verification
        && verification.stage == Stage::Back
        && verification.subject.is(version, facts.origin)
    {
        let why = verification.reason.clone().unwrap_or_default();
        return Some(Rest::Held(why));
    }
    let refusal = facts.record.refusal.as_ref()?;
    let wait = facts.rules.refused_for(refusal.at, refusal.early);
    let waiting = !is_over(refusal.at, wait, facts.now);
    let same = refusal.is_of(version, facts.origin, facts.settings);
    (same && waiting).then(|| Rest::Refused {
        error: refusal.error.clone(),
        until: refusal.at + wait,
    })
}

/// Whether this version is what Flashback holds, and the configuration wants it with other
/// settings, which may be what was wrong, or somebody has changed those in Flashback, or may have
/// written to it.
fn is_to_be_written_again(facts: &Facts<'_>, version: &Version) -> bool {
    let live = facts.record.live.as_ref();
    live.is_some_and(|live| {
        let otherwise =
            live.settings != *facts.settings || drift::due(facts).is_some() || repair_is_due(facts);
        live.stored().is(version, facts.origin) && otherwise
    })
}

/// Why an unchanged key would be pushed all the same.
fn push_is_due(facts: &Facts<'_>) -> Option<Reason> {
    if facts.command == KeyCommand::Force {
        Some(Reason::Forced)
    } else if let Some(intent) = &facts.record.intent {
        Some(Reason::of(intent))
    } else if let Some(drifted) = drift::due(facts) {
        Some(drifted)
    } else if repair_is_due(facts) {
        Some(Reason::Repair)
    } else {
        let live = facts.record.live.as_ref();
        live.is_some_and(|live| resync_is_due(facts, live))
            .then_some(Reason::Resync)
    }
}

/// Whether what is live was written so long ago that it is written again.
fn resync_is_due(facts: &Facts<'_>, live: &Live) -> bool {
    is_over(live.pushed_at, facts.rules.resync, facts.now)
}

/// Whether what should be live is to be written once more, whatever is known of it.
fn repair_is_due(facts: &Facts<'_>) -> bool {
    facts.record.repair.is_some_and(|repair| repair.is_due())
}

fn what_changed(facts: &Facts<'_>, fingerprint: &Fingerprint) -> Reason {
    match &facts.record.live {
        None => Reason::First,
        Some(live) if live.fingerprint == *fingerprint => Reason::SettingsChanged,
        Some(_) => Reason::Rotated,
    }
}
