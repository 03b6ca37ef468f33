//! The consequences of conclusions and of Flashback's answers, for the record and for what is known.

use chrono::{DateTime, Utc};

use super::knowledge::{Clearance, Compared, Knowledge, Rejection, Remote};
use super::pushed::Pushed;
use super::step::{Conclusion, HoldReason, Push, Reason, What};

use crate::model::{Action, AiLlmId, Intent, KeyCommand, Record};

impl Knowledge {
    /// Returns the record with a conclusion in it. Clears the command if that carries it out, and forgets that a push
    /// was turned down if another push may follow.
    pub fn conclude(&mut self, conclusion: &Conclusion) -> Record {
        let (record, config, now) = (&self.record, &self.config, self.now);
        let origin = config.origin.clone();
        let (mut done, mut anew) = (false, false);
        let next = match conclusion {
            Conclusion::Note(version) => record.noted(version, &origin),
            Conclusion::Refuse { version, error } => {
                done = true;
                let (version, settings) = (version.clone(), config.settings.clone());
                record.refused(version, origin, settings, error.clone(), &self.rules, now)
            }
            Conclusion::Hold { version, reason } => {
                (done, anew) = (*reason == HoldReason::ByHand, true);
                record.holding(version.clone(), origin, reason, now)
            }
            Conclusion::TurnBack { to, from, reason } => {
                (done, anew) = (*reason == HoldReason::ByHand, true);
                record.turning_back(to.clone(), from.clone(), origin, reason, now)
            }
            Conclusion::LetStand { stand, .. } => {
                anew = true;
                record.letting_stand(*stand, now)
            }
            Conclusion::Keep => record.keeping(now),
            Conclusion::EndVerification => record.unverifiable(),
            Conclusion::Leave(_) => {
                anew = true;
                record.leaving_older(now)
            }
        };
        if done {
            self.command = KeyCommand::None;
        }
        if anew {
            self.rejection = None;
        }
        next
    }

    /// Returns the record that is saved before a push is sent.
    pub fn begin(&self, push: &Push) -> Record {
        let stored = &push.value.stored;
        let intent = Intent {
            version: stored.version.clone(),
            fingerprint: stored.fingerprint,
            settings: self.config.settings.clone(),
            action: push.action,
            at: self.now,
            drift: push.reason.drift(),
        };
        self.record.begun(intent, push.id.as_ref())
    }

    /// Returns the record after Flashback has accepted a push. `id` is what holds the key now; `created_at` is when the
    /// source got the value, if it says so.
    pub fn pushed(
        &mut self,
        push: &Push,
        id: AiLlmId,
        created_at: Option<DateTime<Utc>>,
    ) -> Record {
        self.command = KeyCommand::None;
        self.rejection = None;
        let compared = self.compared.replace(Compared::outdated());
        let shown = compared.and_then(|compared| compared.shown());
        let repaired = push.reason.is_drift() && push.action == Action::Update;
        let verified_by = self.clearance.and_then(Clearance::verifier);
        self.record.pushed(Pushed {
            id,
            value: push.value.stored.clone(),
            settings: self.config.settings.clone(),
            what: push.what,
            validate: self.config.verify.after_flashback,
            anew: push.reason == Reason::Forced || self.record.edits.changed_by.is_some(),
            verified_by: verified_by.filter(|_| push.what == What::Newest),
            shown: shown.filter(|_| repaired),
            created_at,
            at: self.now,
        })
    }

    /// Records that a push was turned down. The list is asked again, once, after an id was gone, and after a creation was
    /// refused for the first time: a configuration of that name may have come up since.
    pub fn turned_down(&mut self, rejection: Rejection) {
        let earlier = self.rejection.as_ref();
        let again = match (&self.remote, &rejection) {
            (_, Rejection::Gone(_)) => true,
            (Remote::Absent, latest) => {
                latest.is_of_create() && !earlier.is_some_and(Rejection::is_of_create)
            }
            _ => false,
        };
        if again {
            self.remote = Remote::Unasked;
        }
        self.rejection = Some(rejection);
    }
}
