//! How a record changes with what was done: the same for the engine and for the tests that walk
//! it through every order of events.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::knowledge::{Drift, Rules};
use super::step::What;
use crate::model::{
    Action, AiLlmId, Edits, Intent, Live, Origin, Record, Refusal, Repair, Settings, Shown, Stage,
    Stored, Verification, Verifier, Version, is_over,
};

/// By then Flashback has told of a write, or never will.
const HEARD_AFTER: Duration = Duration::from_secs(10 * 60);

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

impl Record {
    /// Before a push leaves: what is about to be written, and where.
    pub fn begun(&self, intent: Intent, id: Option<&AiLlmId>) -> Self {
        let mut next = self.clone();
        if intent.action != Action::Update {
            // Another configuration than the one on record, if there was one: what that holds
            // says nothing about this.
            next.previous = self.last_good();
            next.live = None;
        }
        next.ai_llm_id = id.cloned();
        if intent.action != Action::Create {
            let pushed_at = self.live.as_ref().map(|live| live.pushed_at);
            let pause = pushed_at.is_some_and(|at| is_over(at, HEARD_AFTER, intent.at));
            next.edits = self.edits.begun(pause);
        }
        next.intent = Some(intent);
        next
    }

    /// Flashback has it.
    pub fn pushed(&self, pushed: Pushed) -> Self {
        let there = self.live.as_ref().filter(|live| {
            live.fingerprint == pushed.value.fingerprint && live.settings == pushed.settings
        });
        let again = there.filter(|_| !pushed.anew);
        let verification = match again {
            Some(_) => self.verification.clone(),
            None => self.trial_of(&pushed),
        };
        let verified = again.and_then(|live| Some((live.verified_by?, live.verified_at)));
        let verified = verified.or(pushed.verified_by.map(|by| (by, Some(pushed.at))));
        let held = again.and(self.held.clone());
        let held = held.filter(|held| held.is(&pushed.value.version, &pushed.value.origin));
        let created_at = self.created_at(&pushed);
        let shown = pushed
            .shown
            .or_else(|| self.shown_of(&pushed.id, &pushed.settings));
        let next = Self {
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
            repair: self.repair.map(Repair::written),
            edits: Edits {
                changed_by: None,
                ..self.edits.clone()
            },
            ..self.clone()
        };
        match pushed.what {
            What::Newest => Self {
                previous: self
                    .last_good()
                    .filter(|good| good.fingerprint != pushed.value.fingerprint)
                    .or_else(|| self.previous.clone()),
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
    fn created_at(&self, pushed: &Pushed) -> Option<DateTime<Utc>> {
        let same = |live: &&Live| live.fingerprint == pushed.value.fingerprint;
        let known = self
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
    fn shown_of(&self, id: &AiLlmId, settings: &Settings) -> Option<Shown> {
        let live = self.live.as_ref()?;
        let same = self.ai_llm_id.as_ref() == Some(id) && live.settings == *settings;
        live.shown.clone().filter(|_| same)
    }

    /// What the value just pushed has to go through.
    fn trial_of(&self, pushed: &Pushed) -> Option<Verification> {
        let value = pushed.value.clone();
        let same = |live: &Live| live.fingerprint == value.fingerprint;
        // What is still on trial is not what was live before it.
        let in_verification = |verification: &Verification| {
            verification.fresh
                && verification.stage == Stage::After
                && verification.subject.fingerprint == value.fingerprint
        };
        let fresh = !self.live.as_ref().is_some_and(same)
            || self.verification.as_ref().is_some_and(in_verification);
        match (&self.verification, pushed.what) {
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

    /// What would be put back if the value pushed next does not work: what is live, unless that
    /// has still to prove itself.
    fn last_good(&self) -> Option<Stored> {
        let proven = match &self.verification {
            None => true,
            Some(verification) => {
                verification.stage == Stage::Kept && verification.rejected.is_none()
            }
        };
        let live = self.live.as_ref().filter(|_| proven).map(Live::stored);
        live.or_else(|| self.previous.clone())
    }

    /// Applies a comparison to the record: a repair that is seen to have worked, and
    /// credentials that are not this key's any more. `None` where it is no news.
    pub fn compared(&self, drift: &Drift) -> Option<Self> {
        let live = self.live.as_ref()?;
        if matches!(drift, Drift::Shared(_)) {
            return Some(self.no_longer_live());
        }
        let again = match (drift, live.shown.as_ref()?) {
            (Drift::Unknown | Drift::TakenOver { .. }, _) => true,
            (Drift::Gone, Shown::Nowhere) => true,
            (Drift::Edited(appearance), Shown::As(before)) => appearance == before,
            _ => false,
        };
        (!again).then(|| Self {
            live: Some(Live {
                shown: None,
                ..live.clone()
            }),
            ..self.clone()
        })
    }
    /// Flashback holds credentials that are not this key's any more.
    fn no_longer_live(&self) -> Self {
        Self {
            previous: self.last_good(),
            live: None,
            verification: None,
            edits: Edits {
                changed_by: None,
                ..self.edits.clone()
            },
            ..self.clone()
        }
    }

    /// The configuration on record is gone from Flashback.
    pub fn gone(&self) -> Self {
        Self {
            ai_llm_id: None,
            previous: self.last_good(),
            live: None,
            intent: None,
            ..self.clone()
        }
    }

    /// The live value goes by another version now, or comes from elsewhere.
    pub fn noted(&self, version: &Version, origin: &Origin) -> Self {
        let Some(live) = &self.live else {
            return self.clone();
        };
        let renamed = |value: &Stored| match value.fingerprint == live.fingerprint {
            true => Stored {
                version: version.clone(),
                fingerprint: value.fingerprint,
                origin: origin.clone(),
            },
            false => value.clone(),
        };
        let verification = self.verification.as_ref().map(|verification| {
            let back = verification.stage == Stage::Back
                && verification.subject.fingerprint != live.fingerprint;
            Verification {
                subject: renamed(match back {
                    // What was put back is the newest now, and goes on proving itself.
                    true => self.previous.as_ref().unwrap_or(&verification.subject),
                    false => &verification.subject,
                }),
                stage: if back {
                    Stage::After
                } else {
                    verification.stage
                },
                fresh: verification.fresh && !back,
                ..verification.clone()
            }
        });
        Self {
            previous: self.previous.as_ref().map(renamed),
            verification,
            live: Some(Live {
                version: version.clone(),
                origin: origin.clone(),
                ..live.clone()
            }),
            refusal: None,
            ..self.clone()
        }
    }

    /// Flashback refused it.
    pub fn refused(
        &self,
        version: Version,
        origin: Origin,
        settings: Settings,
        error: String,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Self {
        let brought_forward = |before: &&Refusal| {
            before.is_of(&version, &origin, &settings) && before.at < rules.since
        };
        let before = self.refusal.as_ref().filter(brought_forward);
        let early = before.map_or(0, |before| before.early.saturating_add(1));
        let refusal = Some(Refusal {
            version,
            origin,
            settings,
            at: now,
            early,
            error,
        });
        Self {
            refusal,
            ..self.clone()
        }
    }

    /// Looks into the updates that were heard of. What somebody else has written is not known to work,
    /// and may have put right what was refused.
    pub fn hearing(&self) -> Self {
        let edits = self.edits.heard(&self.unheard);
        let changed = edits.changed_by.is_some();
        let live = self.live.clone().map(|live| Live {
            verified_by: live.verified_by.filter(|_| !changed),
            verified_at: live.verified_at.filter(|_| !changed),
            ..live
        });
        Self {
            live,
            refusal: self.refusal.clone().filter(|_| !changed),
            edits,
            heard: self.unheard.iter().map(|edit| edit.id).collect(),
            unheard: Vec::new(),
            ..self.clone()
        }
    }

    /// The store was seen to hold this version. What was said of another is over.
    pub fn having_seen(&self, version: &Version) -> Self {
        let candidate = |verification: &Verification| verification.subject.version == *version;
        Self {
            seen: Some(version.clone()),
            held: self.held.clone().filter(|held| held.version == *version),
            candidate: self.candidate.clone().filter(candidate),
            ..self.clone()
        }
    }
}
