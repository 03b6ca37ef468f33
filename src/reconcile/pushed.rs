//! How a record changes with a push that Flashback has taken.

use chrono::{DateTime, Utc};

use super::step::What;
use crate::model::{
    AiLlmId, Edits, Live, Record, Repair, Settings, Shown, Stage, Stored, Verification, Verifier,
};

/// A push that Flashback has taken.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Where to.
    pub id: AiLlmId,
    /// Which value.
    pub value: Stored,
    /// With which settings.
    pub settings: Settings,
    /// Whether it is the newest one.
    pub what: What,
    /// Flashback is to be asked whether it works.
    pub validate: bool,
    /// Also if it was live and verified already.
    pub anew: bool,
    /// Who has taken it before the push.
    pub verified_by: Option<Verifier>,
    /// How Flashback showed the configuration, where this was to put that right.
    pub shown: Option<Shown>,
    /// When the source got the version, as far as it says.
    pub created_at: Option<DateTime<Utc>>,
    /// When Flashback answered.
    pub at: DateTime<Utc>,
}

/// Flashback has it.
pub fn pushed(record: &Record, pushed: Pushed) -> Record {
    let there = record.live.as_ref().filter(|live| {
        live.fingerprint == pushed.value.fingerprint && live.settings == pushed.settings
    });
    let again = there.filter(|_| !pushed.anew);
    let verification = match again {
        Some(_) => record.verification.clone(),
        None => trial_of(record, &pushed),
    };
    let verified = again.and_then(|live| Some((live.verified_by?, live.verified_at)));
    let verified = verified.or(pushed.verified_by.map(|by| (by, Some(pushed.at))));
    let held = again.and(record.held.clone());
    let held = held.filter(|held| held.is(&pushed.value.version, &pushed.value.origin));
    let created_at = created_at(record, &pushed);
    let shown = pushed
        .shown
        .or_else(|| shown_of(record, &pushed.id, &pushed.settings));
    let next = Record {
        ai_llm_id: Some(pushed.id),
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
            // What is held in its place is not set free by being written again.
            held,
            candidate: None,
            ..next
        },
        What::Older => next.reading_older_again(),
    }
}

/// Since when the source has the value that was pushed. A value keeps its age when it is pushed again, or
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

/// How Flashback shows this configuration with these settings, as far as that is remembered.
fn shown_of(record: &Record, id: &AiLlmId, settings: &Settings) -> Option<Shown> {
    let live = record.live.as_ref()?;
    let same = record.ai_llm_id.as_ref() == Some(id) && live.settings == *settings;
    live.shown.clone().filter(|_| same)
}

/// What the value just pushed has to go through.
fn trial_of(record: &Record, pushed: &Pushed) -> Option<Verification> {
    let value = pushed.value.clone();
    let same = |live: &Live| live.fingerprint == value.fingerprint;
    // What is still on trial is not what was live before it.
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
