//! The executor: one arm for each step, and no opinions.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::done::Done;
use super::lease::Written;
use super::{Engine, Fault, ManagedKey};
use crate::failpoint;
use crate::flashback::FlashbackError;
use crate::model::{Action, HistoryRow, KeyCommand, Observation, Record, Verifier, Version};
use crate::reconcile::{
    Compared, Facts, Older, Read, Reason, Rejection, Remote, Rest, Step, What, decide,
};
use crate::secret::Credentials;
use crate::source::SourceError;
use crate::upstream::in_background;

/// More steps than any pass takes, faults included (`reconcile`'s tests hold its longest). A pass
/// that got here would be a defect in the decision, and must not become a loop against Flashback.
const MOST_STEPS: usize = 32;

/// One pass over one key.
pub struct Pass<'a> {
    pub(super) engine: &'a Engine,
    pub(super) managed: &'a ManagedKey,
    pub(super) attempt: u32,
    /// What somebody wants done, as long as it is not.
    pub command: KeyCommand,
    pub(super) remote: Remote,
    pub(super) compared: Option<Compared>,
    /// Somebody waits for what comes of it.
    pub waited_for: bool,
    pub(super) rejection: Option<Rejection>,
    pub(super) reading: Option<Read>,
    pub(super) credentials: Option<Credentials>,
    pub(super) written_at: Option<DateTime<Utc>>,
    /// When the version that was read was written, as far as the source says.
    pub(super) created_at: Option<DateTime<Utc>>,
    /// The version whose value had white space around it.
    pub trimmed: Option<Version>,
    pub(super) older: Option<Older>,
    pub(super) older_credentials: Option<Credentials>,
    pub(super) before: Option<Result<Version, String>>,
    /// The provider was asked; who has taken the value then, if anybody.
    pub(super) cleared: Option<Option<Verifier>>,
    /// The store may be told now which version is live.
    pub may_tell: bool,
    /// Why it was not.
    pub untold: Option<SourceError>,
    /// The store is to be told after this long.
    pub settles_in: Option<Duration>,
    /// Why an older value that should be live is not.
    pub(super) left: Option<String>,
    /// Flashback has taken a write, and the state knows of it.
    pub pushed: bool,
    /// Flashback has taken a write, and the state could not be told.
    pub unsaved: Option<Box<Written>>,
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
        managed: &'a ManagedKey,
        record: Record,
        command: KeyCommand,
        attempt: u32,
    ) -> Self {
        Self {
            engine,
            managed,
            attempt,
            command,
            remote: Remote::Unasked,
            compared: None,
            waited_for: false,
            rejection: None,
            reading: None,
            credentials: None,
            written_at: None,
            created_at: None,
            trimmed: None,
            older: None,
            older_credentials: None,
            before: None,
            cleared: None,
            may_tell: false,
            untold: None,
            settles_in: None,
            left: None,
            pushed: false,
            unsaved: None,
            record,
            done: Done::default(),
        }
    }

    /// Observes, decides and carries out, step by step. What was rotated goes before what is only
    /// looked at, and before what somebody wants written that has not changed.
    pub async fn run(&mut self) -> Result<Verdict, Fault> {
        failpoint::may_hang("check_begun").await;
        if self.engine.edited.take(&self.managed.key) {
            self.record.unheard = self.engine.store.unheard(&self.managed.key).await?;
        }
        if !self.record.unheard.is_empty() {
            self.save(self.record.hearing(), None).await?;
            failpoint::reach("edits_heard");
        }
        let observation = in_background(self.observe()).await?;
        self.notice(&observation).await?;
        match self.command {
            KeyCommand::Force => in_background(self.work(&observation)).await,
            KeyCommand::None | KeyCommand::RollBack => self.work(&observation).await,
        }
    }

    async fn work(&mut self, observation: &Observation) -> Result<Verdict, Fault> {
        for _ in 0..MOST_STEPS {
            match self.decide(observation) {
                // Most looks take these two steps, and no memory for what the others do.
                Step::Compare(age) => self.compare_and_note(age).await?,
                Step::Rest(rest) if !self.may_owe() => return Ok(self.rest(rest)),
                step => {
                    if let Some(rest) = Box::pin(self.carry_out(step)).await? {
                        return Ok(self.rest(rest));
                    }
                }
            }
        }
        Err(Fault::Flashback(FlashbackError::Faulty {
            what: "no end to this pass: this is a defect, please report it".to_owned(),
            status: "defect".to_owned(),
            retry_after: None,
        }))
    }

    /// Takes one step; gives how the pass ends, where it ends with it.
    async fn carry_out(&mut self, step: Step) -> Result<Option<Rest>, Fault> {
        match step {
            Step::Rest(rest) => {
                self.acknowledge().await?;
                return Ok(Some(rest));
            }
            Step::Read(version) => {
                self.read(&version).await?;
                self.notice_read().await?;
            }
            Step::List => self.list().await?,
            Step::Compare(age) => self.compare_and_note(age).await?,
            Step::Push {
                action,
                id,
                reason,
                what,
            } => self.push(action, id, reason, what).await?,
            Step::Note(version) => self.note(version).await?,
            Step::Refuse { version, error } => self.refuse(version, error).await?,
            Step::ReadOlder { version, origin } => self.read_older(version, origin).await?,
            Step::FindOlder(version) => self.find_older(&version).await?,
            Step::Probe => self.probe().await?,
            Step::Validate(id) => {
                if !self.validate(&id).await? {
                    // What was pushed is pushed; the next process asks.
                    return Ok(Some(Rest::InSync));
                }
            }
            Step::Hold { version, reason } => self.lease(version, &reason).await?,
            Step::TurnBack { to, from, reason } => self.turn_back(to, from, &reason).await?,
            Step::LetStand { stand, why } => self.let_stand(stand, &why).await?,
            Step::Keep => self.keep().await?,
            Step::EndTrial => self.end_trial().await?,
            Step::Leave(why) => self.leave(why).await?,
        }
        Ok(None)
    }

    /// The same without writing anything anywhere.
    pub async fn preview(&mut self) -> Result<Verdict, Fault> {
        in_background(self.foresee()).await
    }

    async fn foresee(&mut self) -> Result<Verdict, Fault> {
        let observation = self.observe().await?;
        for _ in 0..MOST_STEPS {
            match self.decide(&observation) {
                Step::Rest(rest) => return Ok(self.rest(rest)),
                Step::Read(version) => self.read(&version).await?,
                Step::List => self.list().await?,
                Step::Compare(age) => self.compare(age).await?,
                Step::ReadOlder { version, origin } => self.read_older(version, origin).await?,
                Step::FindOlder(version) => self.find_older(&version).await?,
                // A plan asks nobody whether a key works; it shows what comes if it does.
                Step::Probe => self.cleared = Some(None),
                Step::Push {
                    action,
                    reason,
                    what,
                    ..
                } => {
                    if what == What::Older {
                        self.done.version = self.older.as_ref().map(|older| older.version.clone());
                    }
                    let action = match (action, &reason) {
                        // What the list has lost is written where it was, to make sure; as a rule
                        // that ends in another one.
                        (Action::Update, Reason::Unlisted) => Action::Create,
                        (action, _) => action,
                    };
                    self.done.push = Some((action, reason));
                    return Ok(Verdict::Would);
                }
                Step::Note(_) => {
                    self.done.same_value = true;
                    return Ok(Verdict::Would);
                }
                Step::Hold { reason, .. } | Step::TurnBack { reason, .. } => {
                    self.done.held = Some(reason.to_string());
                    return Ok(Verdict::Would);
                }
                Step::Validate(_) => {
                    self.done.unproven = true;
                    return Ok(Verdict::Would);
                }
                Step::Refuse { error, .. } => {
                    return Ok(Verdict::Rested(Rest::Contradiction(error)));
                }
                Step::LetStand { .. } | Step::Keep | Step::EndTrial | Step::Leave(_) => {
                    return Ok(Verdict::Would);
                }
            }
        }
        Ok(Verdict::Would)
    }

    fn decide(&self, observation: &Observation) -> Step {
        decide(&Facts {
            settings: &self.managed.config.settings,
            origin: &self.managed.config.origin,
            record: &self.record,
            observation,
            reading: self.reading.as_ref(),
            older: self.older.as_ref(),
            before: self.before.as_ref(),
            cleared: self.cleared.is_some(),
            remote: &self.remote,
            compared: self.compared.as_ref(),
            may_create: self.managed.config.may_create,
            rejection: self.rejection.as_ref(),
            command: self.command,
            rules: self.engine.rules,
            verify: &self.managed.config.verify,
            now: Utc::now(),
        })
    }

    fn rest(&mut self, rest: Rest) -> Verdict {
        match &rest {
            Rest::Held(why) | Rest::Probing(why) => self.done.held = Some(why.clone()),
            Rest::InSync if self.record.verification.is_some() => self.done.unproven = true,
            _ => {}
        }
        Verdict::Rested(match self.left.take() {
            Some(why) => Rest::NoWayBack(why),
            None => rest,
        })
    }

    async fn note(&mut self, version: Version) -> Result<(), Fault> {
        self.done.same_value = true;
        self.save(
            self.record.noted(&version, &self.managed.config.origin),
            None,
        )
        .await?;
        failpoint::reach("version_noted");
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
        self.record.heard.clear();
        Ok(())
    }
}
