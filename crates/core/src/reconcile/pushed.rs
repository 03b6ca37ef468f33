//! The change of a record by a push that Flashback has accepted.

use chrono::{DateTime, Utc};

use super::step::What;
use crate::model::{
    Action, AiLlmId, Edits, Intent, Live, Record, Repair, Settings, Shown, Stage, Stored,
    Verification, Verifier,
};

/// A push that Flashback has accepted.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The id that was written to.
    pub id: AiLlmId,
    /// The value that was written.
    pub value: Stored,
    /// The settings that it was written with.
    pub settings: Settings,
    /// Which of the key's values it is.
    pub what: What,
    /// Flashback is to be asked whether the value works.
    pub validate: bool,
    /// Flashback is to be asked even if the value was live and verified before.
    pub anew: bool,
    /// The verifier of the value before the push.
    pub verified_by: Option<Verifier>,
    /// The appearance of the configuration in the list before the push, if the push repairs it.
    pub shown: Option<Shown>,
    /// The time at which the source got the version, if it says so.
    pub created_at: Option<DateTime<Utc>>,
    /// The time of Flashback's answer.
    pub at: DateTime<Utc>,
}

/// Returns the record after a push.
pub fn pushed(record: &Record, pushed: Pushed) -> Record {
    let there = record.live.as_ref().filter(|live| {
        live.fingerprint == pushed.value.fingerprint && live.settings == pushed.settings
    });
    let again = there.filter(|_| !pushed.anew);
    let verification = match again {
        Some(_) => record.verification.clone(),
        None => verification_of(record, &pushed),
    };
    let verified = again.and_then(|live| Some((live.verified_by?, live.verified_at)));
    let verified = verified.or(pushed.verified_by.map(|by| (by, Some(pushed.at))));
    let held = again.and(record.held.clone());
    let held = held.filter(|held| held.is(&pushed.value.version, &pushed.value.origin));
    let created_at = created_at(record, &pushed);
    let shown = pushed
        .shown
        .or_else(|| shown_of(record, &pushed.id, &pushed.settings));
    let creates = |intent: &Intent| intent.action == Action::Create;
    let created = match record.intent.as_ref().is_some_and(creates) {
        true => Some(pushed.id.clone()),
        false => record.created.clone(),
    };
    let next = Record {
        ai_llm_id: Some(pushed.id),
        created,
        live: Some(Live {
            version: pushed.value.version,
            fingerprint: pushed.value.fingerprint,
            origin: pushed.value.origin,
            settings: pushed.settings,
            created_at,
            pushed_at: pushed.at,
            verified_by: verified.map(|(by, _)| by),
            verified_at: verified.and_then(|(_, at)| at),
            shown,
        }),
        intent: None,
        refusal: None,
        verification,
        repair: record.repair.map(Repair::written),
        edits: Edits {
            changed_by: None,
            ..record.edits.clone()
        },
        ..record.clone()
    };
    match pushed.what {
        What::Newest => Record {
            previous: record
                .last_good()
                .filter(|good| good.fingerprint != pushed.value.fingerprint)
                .or_else(|| record.previous.clone()),
            // Writing the value again does not end the hold of the version that it replaces.
            held,
            candidate: None,
            ..next
        },
        What::Older => next.reading_older_again(),
    }
}

/// Returns the time since which the source has the value. A value keeps its age when it is pushed again, or
/// stored again under another version.
fn created_at(record: &Record, pushed: &Pushed) -> Option<DateTime<Utc>> {
    let same = |live: &&Live| live.fingerprint == pushed.value.fingerprint;
    let known = record
        .live
        .as_ref()
        .filter(same)
        .and_then(|live| live.created_at);
    let version = &pushed.value.version;
    known.or(match pushed.what {
        What::Newest if version.is_fingerprint() => Some(pushed.at),
        What::Newest => version.created_at().or(pushed.created_at),
        What::Older => version.created_at(),
    })
}

/// Returns how the list shows this configuration with these settings, if that is on record.
fn shown_of(record: &Record, id: &AiLlmId, settings: &Settings) -> Option<Shown> {
    let live = record.live.as_ref()?;
    let same = record.ai_llm_id.as_ref() == Some(id) && live.settings == *settings;
    live.shown.clone().filter(|_| same)
}

/// Returns the verification of the value that was just pushed, if it needs one.
fn verification_of(record: &Record, pushed: &Pushed) -> Option<Verification> {
    let value = pushed.value.clone();
    let same = |live: &Live| live.fingerprint == value.fingerprint;
    // A value that is still being verified is not the one that was live before it.
    let in_verification = |verification: &Verification| {
        verification.fresh
            && verification.stage == Stage::After
            && verification.subject.fingerprint == value.fingerprint
    };
    let fresh = !record.live.as_ref().is_some_and(same)
        || record.verification.as_ref().is_some_and(in_verification);
    match (&record.verification, pushed.what) {
        (Some(verification), What::Older) if verification.stage == Stage::Back => {
            Some(verification.enter(Stage::Back, pushed.at))
        }
        _ if !pushed.validate => None,
        (Some(verification), What::Newest)
            if verification.stage == Stage::Forward
                && verification.subject.fingerprint == value.fingerprint
                && !pushed.anew =>
        {
            Some(verification.enter(Stage::Forward, pushed.at))
        }
        (_, What::Newest) => Some(Verification::begin(value, Stage::After, fresh, pushed.at)),
        (_, What::Older) => Some(Verification::begin(value, Stage::Kept, false, pushed.at)),
    }
}
