//! Drift: the decision about changes that other users make in Flashback.
//!
//! ```text
//!   nothing to push ──▶ Compare ── not known, or as written ────────────▶ as it was
//!                          │ ours is gone or edited
//!                  Compare afresh ── not known, or as written after all ─▶ as it was
//!                          │ it is so
//!                        Push (the live value), which a 404 turns into a creation
//!
//!   ours is gone or renamed, and another has its name ──▶ Rest(Contradiction): no write
//! ```
//!
//! A list that may be from before the key's last push shows no drift, and a write requires a list that was requested in
//! the same check. A repair that the list does not show afterwards is not repeated before the next resync: either
//! Flashback has accepted it and shows it in a form of its own, or another user writes the configuration too, and the
//! two would overwrite each other forever.

use super::compare::differences;
use super::knowledge::{Drift, Knowledge, ListAge};
use super::step::{Question, Reason, Rest, Step};
use crate::model::Shown;

/// Returns `true` if the list is to be compared when nothing is to be pushed: the live value could be written again,
/// and nothing more urgent is to be found out about it. `keeps_previous` says that a previous version should be live.
pub fn is_watched(known: &Knowledge, at_rest: &Rest, keeps_previous: bool) -> bool {
    let record = &known.record;
    let (Some(live), Some(_), None) = (&record.live, known.known_id(), &record.intent) else {
        return false;
    };
    // Within the grace, it is found out first whether the value works.
    let grace = known.config.verify.grace;
    let verification = record.verification.as_ref();
    if verification.is_some_and(|verification| !verification.pace(grace, known.now).1) {
        return false;
    }
    let held = record.held.as_ref();
    let is_held = || held.is_some_and(|held| held.is(&live.version, &live.origin));
    match at_rest {
        Rest::InSync => true,
        Rest::Held(_) => keeps_previous || is_held(),
        _ => false,
    }
}

/// Returns the comparison to make next or, after the last one, the result of the check: `rest`, unless there is
/// something for people to put right.
pub fn at_rest(known: &Knowledge, rest: Rest) -> Step {
    let confirmed = match &known.compared {
        None => return Step::Ask(Question::Compare(ListAge::Minutes)),
        Some(compared) => compared.age == ListAge::Zero || repair(known, &compared.drift).is_none(),
    };
    match confirmed {
        true => Step::Rest(reported(known).unwrap_or(rest)),
        false => Step::Ask(Question::Compare(ListAge::Zero)),
    }
}

/// Returns the step before an unchanged value is written again, if there is one: the comparison that shows if another
/// user has taken the configuration over, or the end of the check if so.
pub fn before_resync(known: &Knowledge) -> Option<Step> {
    if known.record.verification.is_some() || known.known_id().is_none() {
        return None;
    }
    match &known.compared {
        None => Some(Step::Ask(Question::Compare(ListAge::Minutes))),
        Some(compared) => taken_over(known, &compared.drift).map(Step::Rest),
    }
}

/// Returns the reason for writing the live value again because of a change in Flashback: another user has written the
/// credentials, or a fresh list has confirmed a difference.
pub fn due(known: &Knowledge) -> Option<Reason> {
    if let Some(user) = &known.record.edits.changed_by {
        return Some(Reason::Overwritten(user.clone()));
    }
    let compared = known.compared.as_ref();
    let fresh = compared.filter(|compared| compared.age == ListAge::Zero)?;
    repair(known, &fresh.drift)
}

/// Returns the reason for repairing a difference, if it is to be repaired. A value that is being verified is not written
/// again because of an edit: that would begin its verification anew.
fn repair(known: &Knowledge, drift: &Drift) -> Option<Reason> {
    let record = &known.record;
    let shown = record.live.as_ref().and_then(|live| live.shown.as_ref());
    match drift {
        Drift::Gone => (shown != Some(&Shown::Nowhere)).then_some(Reason::Unlisted),
        Drift::Edited(found) if record.verification.is_none() => {
            let again = matches!(shown, Some(Shown::As(before)) if before == found);
            let written = &record.live.as_ref()?.settings;
            (!again).then(|| Reason::Drifted(differences(written, found)))
        }
        Drift::Edited(_)
        | Drift::Unknown
        | Drift::AsWritten
        | Drift::Shared(_)
        | Drift::TakenOver { .. } => None,
    }
}

/// Returns the contradiction that a person has to resolve, if there is one.
fn reported(known: &Knowledge) -> Option<Rest> {
    if known.record.verification.is_some() {
        return None;
    }
    let drift = &known.compared.as_ref()?.drift;
    match drift {
        // It is shown as before its repair.
        Drift::Edited(found) if repair(known, drift).is_none() => {
            let written = &known.record.live.as_ref()?.settings;
            Some(Rest::Contradiction(format!(
                "{} again after it was put right: somebody else writes it, too, or Flashback shows \
                 it in another form. Let only one of them write it, or configure the key as \
                 Flashback shows it",
                differences(written, found)
            )))
        }
        drift => taken_over(known, drift),
    }
}

fn taken_over(known: &Knowledge, drift: &Drift) -> Option<Rest> {
    let Drift::TakenOver { by, renamed } = drift else {
        return None;
    };
    let id = known.record.ai_llm_id.as_ref()?;
    let (name, workspace) = (
        &known.config.settings.name,
        &known.config.settings.workspace_id,
    );
    let (happened, remedy) = match renamed {
        Some(renamed) => (
            format!("was renamed to `{renamed}`"),
            "Rename or delete that one".to_owned(),
        ),
        None => (
            "is gone".to_owned(),
            "Rename or delete that one, or have it taken over with `sync --force`".to_owned(),
        ),
    };
    Some(Rest::Contradiction(format!(
        "the configuration {id} {happened} in Flashback, and its name `{name}` in workspace \
         `{workspace}` belongs to another one now ({by}), to which nothing is written by itself. \
         {remedy}"
    )))
}
