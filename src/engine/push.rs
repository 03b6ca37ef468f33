//! The half of a pass that writes to Flashback: intent, request, outcome.

use chrono::Utc;
use tokio::time::Instant;

use super::done::Started;
use super::lease::Written;
use super::pass::Pass;
use super::{Fault, tell};
use crate::failpoint;
use crate::flashback::FlashbackError;
use crate::lease::Lost;
use crate::model::{Action, AiLlmId, Intent, KeyCommand, Outcome, Record, Stored, Version};
use crate::reconcile::{Compared, Pushed, Read, Reason, Rejection, Remote, What};
use crate::secret::Credentials;

impl Pass<'_> {
    pub(super) async fn push(
        &mut self,
        action: Action,
        id: Option<AiLlmId>,
        reason: Reason,
        what: What,
    ) -> Result<(), Fault> {
        let (value, credentials) = self.value_of(what);
        // Before the intent: once that is recorded the push is made, whoever wants to stop.
        let _place = self.unless_stopped(self.managed.place()).await?;
        let settings = &self.managed.config.settings;
        let before = self.record.clone();
        let started = Instant::now();
        self.done.push = Some((action, reason.clone()));
        self.done.version = Some(value.version.clone());
        self.done.started = Some(Started {
            at: started,
            version: value.version.clone(),
            previous: before.live.as_ref().map(|live| live.version.clone()),
        });
        if let Some(error) = self.engine.flashback.circuit_open() {
            // Nothing is begun, logged and written down that would be turned away.
            return Err(Fault::Flashback(error));
        }
        let intent = Intent {
            version: value.version.clone(),
            fingerprint: value.fingerprint,
            settings: settings.clone(),
            action,
            at: Utc::now(),
            drift: reason.drift(),
        };
        self.save(before.begun(intent, id.as_ref()), None).await?;
        tell::push_started(
            self.managed,
            &self.record,
            &before,
            action,
            &reason,
            self.attempt,
        );
        failpoint::reach("intent_recorded");
        let flashback = &self.engine.flashback;
        let write = async {
            match &id {
                None => flashback.create(settings, &credentials).await,
                Some(id) => {
                    let update = flashback.update(id, settings, &credentials);
                    update.await.map(|()| id.clone())
                }
            }
        };
        // That the intent could be recorded says that the key is held; from here on the lease says it.
        let (key, lease) = (&self.managed.key, self.record.lease);
        let written = self.engine.leases.write(key, lease, write).await;
        failpoint::reach("answer_received");
        let Ok(answer) = written.inspect_err(|Lost| self.went_astray()) else {
            return Err(Fault::Lost);
        };
        match answer {
            Ok(id) => {
                let compared = self.compared.replace(Compared::outdated());
                let shown = compared.and_then(|compared| compared.shown());
                let repaired = reason.is_drift() && action == Action::Update;
                let next = self.record.pushed(Pushed {
                    id,
                    value,
                    settings: settings.clone(),
                    what,
                    validate: self.managed.config.verify.after_flashback,
                    anew: reason == Reason::Forced || before.edits.changed_by.is_some(),
                    verified_by: self.cleared.flatten().filter(|_| what == What::Newest),
                    shown: shown.filter(|_| repaired),
                    created_at: self.created_at,
                    at: Utc::now(),
                });
                self.succeeded(before, next, action, &reason).await
            }
            Err(error) => self.turned_down(before, action, id, error).await,
        }
    }

    /// The value that is to be pushed.
    fn value_of(&self, what: What) -> (Stored, Credentials) {
        let value = match (what, &self.reading, &self.older) {
            (
                What::Newest,
                Some(Read::Value {
                    version,
                    fingerprint,
                }),
                _,
            ) => Some(Stored {
                version: version.clone(),
                fingerprint: *fingerprint,
                origin: self.managed.config.origin.clone(),
            }),
            (What::Older, _, Some(older)) => older.found.as_ref().ok().map(|found| Stored {
                version: older.version.clone(),
                fingerprint: *found,
                origin: older.origin.clone(),
            }),
            _ => None,
        };
        let credentials = match what {
            What::Newest => &self.credentials,
            What::Older => &self.older_credentials,
        };
        match (value, credentials) {
            (Some(value), Some(credentials)) => (value, credentials.clone()),
            _ => unreachable!("the decision asks for a push only after a value was read"),
        }
    }

    async fn succeeded(
        &mut self,
        before: Record,
        next: Record,
        action: Action,
        reason: &Reason,
    ) -> Result<(), Fault> {
        self.command = KeyCommand::None;
        let again = matches!(self.rejection.take(), Some(Rejection::Gone(_)));
        let verified_by = next.live.as_ref().and_then(|live| live.verified_by);
        let mut row = self.done.row(self.managed, &next, Outcome::Succeeded, None);
        if let Some(row) = &mut row {
            row.verified_by = verified_by.map(|by| by.as_str().to_owned());
        }
        let written = Written {
            before,
            record: next,
            row,
            action,
            reason: reason.clone(),
            attempt: self.attempt,
            again,
            stored_at: self.written_at,
        };
        self.save_outcome(written).await
    }

    async fn turned_down(
        &mut self,
        before: Record,
        action: Action,
        id: Option<AiLlmId>,
        error: FlashbackError,
    ) -> Result<(), Fault> {
        let elapsed = self
            .done
            .started
            .as_ref()
            .map(|started| started.at.elapsed())
            .unwrap_or_default();
        if !matches!(error, FlashbackError::CircuitOpen { .. }) {
            self.engine
                .metrics
                .push(&self.managed.key, action, Outcome::Failed, elapsed);
        }
        if error.may_have_written() {
            // The intent stays: the next pass finds out what became of it.
            return Err(Fault::Flashback(error));
        }
        let rejection = match (&error, id) {
            (FlashbackError::NotFound { .. }, Some(id)) => {
                tell::config_missing(self.managed, &before, &id);
                self.save(before.gone(), None).await?;
                failpoint::reach("gone_forgotten");
                Rejection::Gone(id)
            }
            (
                FlashbackError::NotFound { .. }
                | FlashbackError::Refused { .. }
                | FlashbackError::Unsendable { .. },
                _,
            ) => {
                self.save(before, None).await?;
                Rejection::Refused {
                    action,
                    error: error.to_string(),
                }
            }
            _ => {
                self.save(before, None).await?;
                return Err(Fault::Flashback(error));
            }
        };
        let remote = std::mem::replace(&mut self.remote, Remote::Unasked);
        self.remote = remote.after(&rejection, self.rejection.as_ref());
        self.rejection = Some(rejection);
        Ok(())
    }

    pub(super) async fn refuse(&mut self, version: Version, error: String) -> Result<(), Fault> {
        self.command = KeyCommand::None;
        tell::push_failed(self.managed, &self.record, self.attempt, &error);
        let settings = self.managed.config.settings.clone();
        let next = self.record.refused(
            version,
            self.managed.config.origin.clone(),
            settings,
            error.clone(),
            &self.engine.rules,
            Utc::now(),
        );
        let row = self
            .done
            .row(self.managed, &next, Outcome::Failed, Some(error));
        self.save(next, row.as_ref()).await?;
        failpoint::reach("refusal_recorded");
        Ok(())
    }
}
