//! The executor: one arm for each step, and no opinions.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::done::Done;
use super::{Engine, Fault, Unit, tell};
use crate::failpoint;
use crate::flashback::{FlashbackError, Listed};
use crate::model::{Action, AiLlmId, HistoryRow, Intent, Observation, Outcome, Record, Version};
use crate::reconcile::{Facts, Read, Reason, Rejection, Remote, Rest, Step, decide, find};
use crate::secret::Credentials;

/// More steps than any pass takes, faults included (`reconcile`'s tests hold nine). A pass that
/// got here would be a defect in the decision, and must not become a loop against Flashback.
const MOST_STEPS: usize = 16;

/// One pass over one key.
pub struct Pass<'a> {
    pub(super) engine: &'a Engine,
    pub(super) unit: &'a Unit,
    attempt: u32,
    force: bool,
    remote: Remote,
    rejection: Option<Rejection>,
    pub(super) reading: Option<Read>,
    pub(super) credentials: Option<Credentials>,
    pub(super) written_at: Option<DateTime<Utc>>,
    /// What is remembered, as far as this pass has changed it.
    pub record: Record,
    /// What this pass did.
    pub done: Done,
}

/// How a pass ended.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing more to do.
    Rested(Rest),
    /// A preview came to a step that would change something.
    Would,
}

impl<'a> Pass<'a> {
    pub fn new(
        engine: &'a Engine,
        unit: &'a Unit,
        record: Record,
        force: bool,
        attempt: u32,
    ) -> Self {
        Self {
            engine,
            unit,
            attempt,
            force,
            remote: Remote::Unasked,
            rejection: None,
            reading: None,
            credentials: None,
            written_at: None,
            record,
            done: Done::default(),
        }
    }

    /// Observes, decides and carries out, step by step.
    pub async fn run(&mut self) -> Result<Verdict, Fault> {
        let observation = self.observe().await?;
        self.notice(&observation).await?;
        for _ in 0..MOST_STEPS {
            match self.decide(&observation) {
                Step::Rest(rest) => return Ok(self.rest(rest)),
                Step::Read(version) => {
                    self.read(&version).await?;
                    self.notice_read().await?;
                }
                Step::List => self.list().await?,
                Step::Push { action, id, reason } => self.push(action, id, reason).await?,
                Step::Note(version) => {
                    self.done.same_value = true;
                    self.save(self.record.noted(version, self.unit.origin.clone()), None)
                        .await?;
                    failpoint::reach("version_noted");
                }
                Step::Refuse { version, error } => self.refuse(version, error).await?,
            }
        }
        Err(Fault::Flashback(FlashbackError::Faulty {
            what: "no end to this pass: this is a defect, please report it".to_owned(),
            status: "defect".to_owned(),
            retry_after: None,
        }))
    }

    /// The same without writing anything anywhere.
    pub async fn preview(&mut self) -> Result<Verdict, Fault> {
        let observation = self.observe().await?;
        for _ in 0..MOST_STEPS {
            match self.decide(&observation) {
                Step::Rest(rest) => return Ok(self.rest(rest)),
                Step::Read(version) => self.read(&version).await?,
                Step::List => self.list().await?,
                Step::Push { action, reason, .. } => {
                    self.done.push = Some((action, reason));
                    return Ok(Verdict::Would);
                }
                Step::Note(_) => {
                    self.done.same_value = true;
                    return Ok(Verdict::Would);
                }
                Step::Refuse { .. } => return Ok(Verdict::Would),
            }
        }
        Ok(Verdict::Would)
    }

    fn decide(&self, observation: &Observation) -> Step {
        decide(&Facts {
            settings: &self.unit.config.settings,
            origin: &self.unit.origin,
            record: &self.record,
            observation,
            reading: self.reading.as_ref(),
            remote: &self.remote,
            rejection: self.rejection.as_ref(),
            force: self.force,
            rules: self.engine.rules,
            now: Utc::now(),
        })
    }

    fn rest(&mut self, rest: Rest) -> Verdict {
        if let Rest::Held(why) = &rest {
            self.done.held = Some(why.clone());
        }
        Verdict::Rested(rest)
    }

    async fn list(&mut self) -> Result<(), Fault> {
        let settings = &self.unit.config.settings;
        let list = async {
            let _place = self.unit.places.acquire().await.expect("never closed");
            self.engine.flashback.list(&settings.workspace_id).await
        };
        self.remote = match self.unless_stopped(list).await? {
            Ok(listed) => {
                let all: Vec<_> = listed
                    .iter()
                    .map(|Listed { id, settings }| (id, settings))
                    .collect();
                find(settings, &self.record, &all)
            }
            Err(error @ (FlashbackError::Refused { .. } | FlashbackError::NotFound { .. })) => {
                Remote::Unlistable(error.to_string())
            }
            Err(error) => return Err(Fault::Flashback(error)),
        };
        failpoint::reach("list_answered");
        Ok(())
    }

    async fn push(
        &mut self,
        action: Action,
        id: Option<AiLlmId>,
        reason: Reason,
    ) -> Result<(), Fault> {
        let (
            Some(Read::Value {
                version,
                fingerprint,
            }),
            Some(credentials),
        ) = (self.reading.clone(), self.credentials.clone())
        else {
            unreachable!("the decision asks for a push only after a value was read")
        };
        // Before the intent: once that is recorded the push is made, whoever wants to stop.
        let _place = self
            .unless_stopped(self.unit.places.acquire())
            .await?
            .expect("never closed");
        let settings = &self.unit.config.settings;
        let before = self.record.clone();
        let started = Instant::now();
        let previous = before.live.as_ref().map(|live| live.version.clone());
        self.done.push = Some((action, reason.clone()));
        self.done.started = Some((started, previous));
        if let Some(retry_in) = self.engine.flashback.held_back_for() {
            // Nothing is begun, logged and written down that would be turned away.
            return Err(Fault::Flashback(FlashbackError::HeldBack { retry_in }));
        }
        let intent = Intent {
            version: version.clone(),
            fingerprint,
            settings: settings.clone(),
            action,
            at: Utc::now(),
        };
        self.save(before.begun(intent, id.as_ref()), None).await?;
        tell::push_started(
            self.unit,
            &self.record,
            &before,
            action,
            &reason,
            self.attempt,
        );
        failpoint::reach("intent_recorded");
        let answer = match &id {
            None => self.engine.flashback.create(settings, &credentials).await,
            Some(id) => {
                let update = self.engine.flashback.update(id, settings, &credentials);
                update.await.map(|()| id.clone())
            }
        };
        failpoint::reach("answer_received");
        match answer {
            Ok(id) => {
                let now = Utc::now();
                let next = self.record.pushed(
                    id,
                    version,
                    fingerprint,
                    self.unit.origin.clone(),
                    settings.clone(),
                    now,
                );
                self.succeeded(before, next, action, now).await
            }
            Err(error) => self.turned_down(before, action, id, error).await,
        }
    }

    async fn succeeded(
        &mut self,
        before: Record,
        next: Record,
        action: Action,
        now: DateTime<Utc>,
    ) -> Result<(), Fault> {
        self.force = false;
        let again = matches!(self.rejection.take(), Some(Rejection::Gone(_)));
        let row = self.done.row(self.unit, &next, Outcome::Succeeded, None);
        self.save(next, row.as_ref()).await?;
        failpoint::reach("outcome_recorded");
        let elapsed = row.map(|row| row.elapsed).unwrap_or_default();
        let metrics = &self.engine.metrics;
        metrics.push(&self.unit.key, action, Outcome::Succeeded, elapsed);
        metrics.last_push(&self.unit.key, now);
        // Flashback had another value before, however many tries it took.
        let value = |record: &Record| record.live.as_ref().map(|live| live.fingerprint);
        let rotated = value(&before) != value(&self.record) && !again;
        if let Some(written) = self.written_at.filter(|_| rotated) {
            metrics.propagation((now - written).to_std().unwrap_or_default());
        }
        tell::push_succeeded(
            self.unit,
            &self.record,
            &before,
            action,
            self.attempt,
            elapsed,
        );
        Ok(())
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
            .map(|(at, _)| at.elapsed())
            .unwrap_or_default();
        if !matches!(error, FlashbackError::HeldBack { .. }) {
            self.engine
                .metrics
                .push(&self.unit.key, action, Outcome::Failed, elapsed);
        }
        if error.may_have_written() {
            // The intent stays: the next pass finds out what became of it.
            return Err(Fault::Flashback(error));
        }
        let rejection = match (&error, id) {
            (FlashbackError::NotFound { .. }, Some(id)) => {
                tell::config_missing(self.unit, &before, &id);
                self.save(before.gone(), None).await?;
                failpoint::reach("gone_forgotten");
                Rejection::Gone(id)
            }
            (FlashbackError::NotFound { .. } | FlashbackError::Refused { .. }, _) => {
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

    async fn refuse(&mut self, version: Version, error: String) -> Result<(), Fault> {
        self.force = false;
        tell::push_failed(self.unit, &self.record, self.attempt, &error);
        let settings = self.unit.config.settings.clone();
        let next = self.record.refused(
            version,
            self.unit.origin.clone(),
            settings,
            error.clone(),
            Utc::now(),
        );
        let row = self
            .done
            .row(self.unit, &next, Outcome::Failed, Some(error));
        self.save(next, row.as_ref()).await?;
        failpoint::reach("refusal_recorded");
        Ok(())
    }

    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Fault> {
        self.engine
            .stop
            .run_until_cancelled(work)
            .await
            .ok_or(Fault::Stopped)
    }

    pub(super) async fn save(
        &mut self,
        next: Record,
        row: Option<&HistoryRow>,
    ) -> Result<(), Fault> {
        self.engine.store.save(&next, row).await?;
        self.record = next;
        Ok(())
    }
}
