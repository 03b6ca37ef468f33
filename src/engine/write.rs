//! The steps of a check that change something in Flashback, in the source or in the state.
//!
//! An intent is saved before a write is sent, and the outcome after it. What people must learn (a version is
//! held or rolled back) is logged before it is saved: even if the process dies between the two, it is logged at least
//! once.

use std::sync::atomic::Ordering;

use chrono::Utc;
use tokio::time::Instant;

use super::acknowledge::{Acknowledgement, acknowledge};
use super::done::Started;
use super::events;
use super::outcome::Written;
use super::problem::{BrokenOff, Fault};
use super::reconciler::Reconciler;
use crate::failpoint;
use crate::flashback::FlashbackError;
use crate::lease::Lost;
use crate::model::{
    Acknowledged, Action, AiLlmId, HistoryRow, Observation, Outcome, Record, Stage, Verdict,
    Verification, Verifier,
};
use crate::reconcile::{Conclusion, HoldReason, Push, Rejection, Rest, Stand, Step};

impl Reconciler<'_> {
    /// Carries out a step. Returns the result of the check if it ends with this step.
    pub(super) async fn carry_out(&mut self, step: Step) -> Result<Option<Rest>, Fault> {
        match step {
            Step::Rest(rest) => {
                self.acknowledge().await?;
                return Ok(Some(rest));
            }
            Step::Validate { id, verification } => return self.validate(&id, &verification).await,
            Step::Push(push) => self.push(&push).await?,
            Step::Conclude(conclusion) => self.conclude(conclusion).await?,
            Step::Ask(question) => self.find_out(question).await?,
        }
        Ok(None)
    }

    async fn push(&mut self, push: &Push) -> Result<(), Fault> {
        let (engine, managed) = (self.ask.engine, self.ask.managed);
        // Before the intent: after it is saved, a stop request no longer prevents the push.
        let _place = self.ask.unless_stopped(managed.place()).await?;
        let before = self.known.record.clone();
        let version = push.value.stored.version.clone();
        self.done.push = Some((push.action, push.reason.clone()));
        self.done.version = Some(version.clone());
        self.done.started = Some(Started {
            at: Instant::now(),
            version,
            previous: before.live.as_ref().map(|live| live.version.clone()),
        });
        if let Some(error) = engine.flashback.circuit_open() {
            // Nothing is begun, logged and written down that would be turned away.
            return Err(Fault::Flashback(error));
        }
        self.known.now = Utc::now();
        self.save(self.known.begin(push), None).await?;
        events::push_started(managed, &self.known.record, &before, push, self.attempt);
        failpoint::reach("intent_recorded");
        let (settings, credentials) = (&managed.config.settings, &push.value.credentials);
        let write = async {
            match &push.id {
                None => engine.flashback.create(settings, credentials).await,
                Some(id) => {
                    let update = engine.flashback.update(id, settings, credentials);
                    update.await.map(|()| id.clone())
                }
            }
        };
        // Saving the intent has proved the lease; from here on `LeaseTable::write` watches it.
        let lease = self.known.record.lease;
        let written = engine.leases.write(&managed.key, lease, write).await;
        failpoint::reach("answer_received");
        let lost = |Lost: &Lost| engine.late_write(managed, &self.known.record);
        match written.inspect_err(lost) {
            Err(Lost) => Err(Fault::BrokenOff(BrokenOff::Lost)),
            Ok(Ok(id)) => self.succeeded(before, push, id).await,
            Ok(Err(error)) => self.turned_down(before, push, error).await,
        }
    }

    async fn succeeded(&mut self, before: Record, push: &Push, id: AiLlmId) -> Result<(), Fault> {
        let again = matches!(self.known.rejection, Some(Rejection::Gone(_)));
        self.known.now = Utc::now();
        let next = self.known.pushed(push, id, self.created_at);
        let (engine, managed) = (self.ask.engine, self.ask.managed);
        let verified_by = next.live.as_ref().and_then(|live| live.verified_by);
        let mut row = self.done.row(managed, &next, Outcome::Succeeded, None);
        if let Some(row) = &mut row {
            row.verified_by = verified_by.map(|by| by.as_str().to_owned());
        }
        let written_at = match &self.known.observation {
            // In AWS this is the time at which a label was moved, which matters more than the age of the version.
            Observation::Present { written_at, .. } => *written_at,
            Observation::Missing(_) => None,
        };
        let written = Written {
            before,
            record: next,
            row,
            action: push.action,
            reason: push.reason.clone(),
            attempt: self.attempt,
            again,
            stored_at: written_at.or(self.created_at),
        };
        let saved = self.save(written.record.clone(), written.row.as_ref());
        match saved.await {
            Ok(()) => {
                failpoint::reach("outcome_recorded");
                engine.report(managed, &written);
                self.pushed = true;
                Ok(())
            }
            Err(Fault::BrokenOff(BrokenOff::Lost)) => {
                engine.late_write(managed, &self.known.record);
                Err(Fault::BrokenOff(BrokenOff::Lost))
            }
            Err(fault) => {
                // The next check saves it.
                self.unsaved = Some(Box::new(written));
                Err(fault)
            }
        }
    }

    async fn turned_down(
        &mut self,
        before: Record,
        push: &Push,
        error: FlashbackError,
    ) -> Result<(), Fault> {
        let (managed, action) = (self.ask.managed, push.action);
        if !matches!(error, FlashbackError::CircuitOpen { .. }) {
            let started = self.done.started.as_ref();
            let elapsed = started.map(|started| started.at.elapsed());
            let metrics = &self.ask.engine.metrics;
            metrics.push(
                &managed.key,
                action,
                Outcome::Failed,
                elapsed.unwrap_or_default(),
            );
        }
        if error.may_have_written() {
            // The intent stays: the next check finds out what became of it.
            return Err(Fault::Flashback(error));
        }
        let rejection = match (&error, &push.id) {
            (FlashbackError::NotFound { .. }, Some(id)) => {
                events::config_missing(managed, &before, id);
                self.save(before.gone(), None).await?;
                failpoint::reach("gone_forgotten");
                Rejection::Gone(id.clone())
            }
            (
                FlashbackError::NotFound { .. }
                | FlashbackError::Refused { .. }
                | FlashbackError::Unsendable { .. },
                _,
            ) => {
                self.save(before, None).await?;
                let error = error.to_string();
                Rejection::Refused { action, error }
            }
            _ => {
                self.save(before, None).await?;
                return Err(Fault::Flashback(error));
            }
        };
        self.known.turned_down(rejection);
        Ok(())
    }

    /// Asks Flashback whether the live value works, and saves the verdict. If that is broken off, the check ends: the
    /// push is done, and the next process asks.
    async fn validate(
        &mut self,
        id: &AiLlmId,
        verification: &Verification,
    ) -> Result<Option<Rest>, Fault> {
        let Ok((verdict, retry_after)) = self.ask.validate(id).await else {
            return Ok(Some(Rest::InSync));
        };
        let (managed, stage) = (self.ask.managed, verification.stage);
        failpoint::reach_in(stage.as_str(), "validation_answered");
        self.count(stage, &verdict);
        let asked = self.asked(Some(verification), retry_after);
        let next = self.known.record.validated(&verdict, asked);
        self.tell_if_rolled_back(&next);
        match &verdict {
            Verdict::Works => {
                let store = &self.ask.engine.store;
                store.save_verified(&next, Verifier::Flashback).await?;
                self.known.record = next;
            }
            _ => self.save(next, None).await?,
        }
        failpoint::reach_in(stage.as_str(), "verdict_recorded");
        let record = &self.known.record;
        match &verdict {
            Verdict::Works => events::verified(managed, record, stage),
            Verdict::Unsupported(why) => {
                if !self
                    .ask
                    .engine
                    .logged_unsupported
                    .swap(true, Ordering::Relaxed)
                {
                    events::validation_unsupported(why);
                }
            }
            Verdict::Rejected(_) | Verdict::Inconclusive(_) => {
                events::not_yet(managed, record, stage, &verdict);
                self.tell_of_a_kept_one(verification);
            }
        }
        Ok(None)
    }

    /// Logs a conclusion, then saves it.
    async fn conclude(&mut self, conclusion: Conclusion) -> Result<(), Fault> {
        let before = self.known.record.clone();
        self.known.now = Utc::now();
        let next = self.known.conclude(&conclusion);
        self.tell(&conclusion, &before, &next);
        let row = self.row_of(&conclusion, &next);
        self.save(next, row.as_ref()).await?;
        failpoint::reach(match &conclusion {
            Conclusion::Note(_) => "version_noted",
            Conclusion::Refuse { .. } => "refusal_recorded",
            Conclusion::Hold { .. } => "hold_recorded",
            Conclusion::TurnBack { .. } => "turn_back_recorded",
            Conclusion::LetStand { .. } => "standing_recorded",
            Conclusion::Keep => "keeping_recorded",
            Conclusion::EndVerification | Conclusion::Leave(_) => return Ok(()),
        });
        Ok(())
    }

    fn tell(&mut self, conclusion: &Conclusion, before: &Record, next: &Record) {
        let managed = self.ask.managed;
        match conclusion {
            Conclusion::Note(_) => self.done.same_value = true,
            Conclusion::Refuse { error, .. } => {
                events::push_failed(managed, before, self.attempt, error);
            }
            Conclusion::Hold { .. } => events::version_held(managed, next),
            Conclusion::TurnBack {
                to,
                reason: HoldReason::Flashback(said),
                ..
            } => {
                let follows = format!("version {} is put back", to.version);
                events::verification_failed(managed, before, said, &follows);
            }
            Conclusion::LetStand { stand, why } => {
                let (said, follows) = standing(before, *stand, why);
                events::verification_failed(managed, before, &said, &follows);
                if *stand == Stand::Held {
                    events::version_held(managed, next);
                }
            }
            Conclusion::EndVerification => self.tell_if_rolled_back(next),
            Conclusion::Leave(why) => {
                events::left(managed, before, why);
                self.left = Some(why.clone());
            }
            Conclusion::TurnBack { .. } | Conclusion::Keep => {}
        }
    }

    /// Returns the line of the audit trail for a conclusion, if it has one. A hold has one although nothing changes in
    /// Flashback, because people search the trail for it.
    fn row_of(&self, conclusion: &Conclusion, next: &Record) -> Option<HistoryRow> {
        let managed = self.ask.managed;
        match conclusion {
            Conclusion::Refuse { error, .. } => {
                let error = Some(error.clone());
                self.done.row(managed, next, Outcome::Failed, error)
            }
            Conclusion::Hold { version, reason } => Some(HistoryRow {
                at: Utc::now(),
                key: managed.key.clone(),
                source: managed.source.id().clone(),
                name: managed.config.settings.name.clone(),
                ai_llm_id: next.ai_llm_id.clone(),
                previous_version: next.live.as_ref().map(|live| live.version.clone()),
                version: version.clone(),
                action: Action::Hold,
                outcome: Outcome::Succeeded,
                elapsed: std::time::Duration::ZERO,
                verified_by: None,
                reason: reason.to_string(),
                error: None,
            }),
            _ => None,
        }
    }

    fn tell_if_rolled_back(&self, next: &Record) {
        let verification = self.known.record.verification.as_ref();
        let turning = verification.is_some_and(|verification| verification.stage == Stage::Back);
        if turning && next.verification.is_none() {
            self.ask.engine.rolled_back(self.ask.managed, next);
        }
    }

    /// Logs once that a value which a person has put back does not work, when its grace is over.
    fn tell_of_a_kept_one(&self, before: &Verification) {
        let (record, grace) = (&self.known.record, self.known.config.verify.grace);
        if let Some(verification) = &record.verification
            && verification.stage == Stage::Kept
            && verification.failed(grace)
            && !before.failed(grace)
        {
            let said = verification.rejected.clone().unwrap_or_default();
            events::verification_failed(self.ask.managed, record, &said, "it stays all the same");
        }
    }

    /// Acknowledges the live and verified version to the source, at the end of the check. A failure does the key no
    /// harm: it is logged, and tried again later.
    async fn acknowledge(&mut self) -> Result<(), Fault> {
        if !self.may_owe() {
            return Ok(());
        }
        match acknowledge(self.ask, &self.known.record).await? {
            Acknowledgement::Nothing => {}
            Acknowledgement::Later(wait) => self.settles_in = Some(wait),
            // Said already, and logged then.
            Acknowledgement::Heard(told) => self.remember_told(told).await?,
            Acknowledgement::Made(told) => {
                self.remember_told(told.clone()).await?;
                events::acknowledged(self.ask.managed, &self.known.record, &told);
            }
            Acknowledgement::Failed(error) => self.unacknowledged = Some(error),
        }
        Ok(())
    }

    async fn remember_told(&mut self, told: Acknowledged) -> Result<(), Fault> {
        let next = Record {
            acknowledged: Some(told),
            ..self.known.record.clone()
        };
        self.save(next, None).await?;
        failpoint::reach("telling_recorded");
        Ok(())
    }
}

/// Returns the error of a rejected value that stays, and a clause on what is done about it.
fn standing(record: &Record, stand: Stand, why: &str) -> (String, String) {
    let verification = record.verification.as_ref();
    let subject = verification.map(|verification| verification.subject.fingerprint);
    let live = record.live.as_ref().map(|live| live.fingerprint);
    let follows = match (stand, subject == live) {
        (_, false) => format!("the newest version goes back in: {why}"),
        (Stand::Held, true) => format!("it is left in place and held: {why}"),
        (Stand::Best, true) => format!("it is left in place: {why}"),
        (Stand::ForNow, true) => format!("it is left in place for now: {why}"),
    };
    let said = verification.and_then(|verification| {
        verification
            .rejected
            .as_ref()
            .or(verification.reason.as_ref())
    });
    (said.cloned().unwrap_or_default(), follows)
}
