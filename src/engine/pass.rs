//! The executor: asks what the decision wants to know, and does what it says. It has no opinions.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ask::{Ask, NewestRead};
use super::done::Done;
use super::written::Written;
use super::{Engine, Fault, ManagedKey, Telling, events};
use crate::failpoint;
use crate::flashback::FlashbackError;
use crate::model::{
    Asked, HistoryRow, KeyCommand, Observation, Record, Stage, Verdict, Verification, Version,
};
use crate::reconcile::{
    Clearance, Knowledge, ListAge, Question, Read, ReadValue, Rest, Step, decide, may_be_owed, news,
};
use crate::retry::{self, Limits};
use crate::source::SourceError;
use crate::upstream::in_background;

/// More steps than any pass takes, faults included (`reconcile`'s tests hold its longest). A pass
/// that got here would be a defect in the decision, and must not become a loop against Flashback.
const MOST_STEPS: usize = 32;

/// One pass over one key.
pub struct Pass<'a> {
    pub(super) ask: Ask<'a>,
    /// Which try of a round it is.
    pub(super) attempt: u32,
    /// What is known, as far as this pass has found it out.
    pub known: Knowledge,
    /// What this pass did.
    pub done: Done,
    /// What was found out is remembered. A plan remembers nothing.
    remembers: bool,
    steps: usize,
    /// When the version that was read was written, as far as the source says.
    pub(super) created_at: Option<DateTime<Utc>>,
    /// The version whose value had white space around it.
    pub trimmed: Option<Version>,
    /// The source may be told now which version is live.
    pub may_tell: bool,
    /// Why the source was not told.
    pub untold: Option<SourceError>,
    /// The source is to be told after this long.
    pub settles_in: Option<Duration>,
    /// Why an older value that should be live is not.
    pub(super) left: Option<String>,
    /// Flashback has taken a write, and the state knows of it.
    pub pushed: bool,
    /// Flashback has taken a write, and the state could not be told.
    pub unsaved: Option<Box<Written>>,
}

impl<'a> Pass<'a> {
    pub fn new(engine: &'a Engine, managed: &'a ManagedKey, record: Record) -> Self {
        let (config, rules) = (managed.config.clone(), engine.rules);
        Self {
            ask: Ask {
                engine,
                managed,
                waited_for: true,
            },
            attempt: 1,
            known: Knowledge::new(config, rules, record, Utc::now()),
            done: Done::default(),
            remembers: true,
            steps: 0,
            created_at: None,
            trimmed: None,
            may_tell: false,
            untold: None,
            settles_in: None,
            left: None,
            pushed: false,
            unsaved: None,
        }
    }

    /// A pass that does what is wanted of it. Where it has a `planned` time, nobody waits for it.
    pub fn ordered(
        self,
        command: KeyCommand,
        attempt: u32,
        telling: Option<&Telling>,
        planned: Option<DateTime<Utc>>,
    ) -> Self {
        let since = self.ask.engine.rules.since;
        Self {
            ask: Ask {
                waited_for: planned.is_none(),
                ..self.ask
            },
            attempt,
            known: Knowledge {
                command,
                ..self.known
            },
            may_tell: telling.is_none_or(|telling| telling.may(since)),
            ..self
        }
    }

    /// Observes, decides and carries out, step by step. What was rotated goes before what is only
    /// looked at, and before what somebody wants written that has not changed.
    pub async fn run(&mut self) -> Result<Rest, Fault> {
        failpoint::may_hang("check_begun").await;
        let Ask {
            engine, managed, ..
        } = self.ask;
        if engine.edited.take(&managed.key) {
            self.known.record.unheard = engine.store.unheard(&managed.key).await?;
        }
        if !self.known.record.unheard.is_empty() {
            self.save(self.known.record.hearing(), None).await?;
            failpoint::reach("edits_heard");
        }
        in_background(self.observe()).await?;
        self.notice_observed().await?;
        match self.known.command {
            KeyCommand::Force => in_background(self.work()).await,
            KeyCommand::None | KeyCommand::RollBack => self.work().await,
        }
    }

    async fn work(&mut self) -> Result<Rest, Fault> {
        loop {
            match self.next_change().await? {
                Step::Rest(rest) if !self.may_owe() => return Ok(self.rest(rest)),
                step => {
                    if let Some(rest) = Box::pin(self.carry_out(step)).await? {
                        return Ok(self.rest(rest));
                    }
                }
            }
        }
    }

    /// Does the same up to the first step that would change something, and not that. Returns how the pass ends
    /// where no step does.
    pub async fn preview(&mut self) -> Result<Option<Rest>, Fault> {
        self.remembers = false;
        in_background(async {
            self.observe().await?;
            Ok(match self.next_change().await? {
                Step::Rest(rest) => Some(self.rest(rest)),
                step => self.done.foresee(step).map(Rest::Contradiction),
            })
        })
        .await
    }

    /// Asks what the decision wants to know, until it says what is to be done.
    async fn next_change(&mut self) -> Result<Step, Fault> {
        while self.steps < MOST_STEPS {
            self.steps += 1;
            self.known.now = Utc::now();
            match decide(&self.known) {
                // Most checks ask this and nothing else, and need no memory for the other questions.
                Step::Ask(Question::Compare(age)) => self.compare(age).await?,
                Step::Ask(question) => Box::pin(self.find_out(question)).await?,
                step => return Ok(step),
            }
        }
        Err(Fault::Flashback(FlashbackError::Faulty {
            what: "no end to this pass: this is a defect, please report it".to_owned(),
            status: "defect".to_owned(),
            retry_after: None,
        }))
    }

    pub(super) async fn find_out(&mut self, question: Question) -> Result<(), Fault> {
        let known = &mut self.known;
        match question {
            Question::Read(version) => {
                let NewestRead {
                    found,
                    written_at,
                    trimmed,
                } = self.ask.read(&version).await?;
                (self.trimmed, self.created_at) = (trimmed, written_at);
                known.newest = Some(found);
                self.notice_read().await?;
            }
            Question::List => known.remote = self.ask.list(known).await?,
            Question::Compare(age) => self.compare(age).await?,
            Question::ReadOlder { version, origin } => {
                known.older = Some(self.ask.read_older(version, origin).await?);
            }
            Question::FindOlder(version) => {
                known.before = Some(self.ask.find_older(&version).await?);
            }
            Question::Probe(value) if self.remembers => self.probe(&value).await?,
            // A plan asks nobody whether a key works; it shows what comes if it does.
            Question::Probe(_) => known.clearance = Some(Clearance::Unknown),
        }
        Ok(())
    }

    async fn observe(&mut self) -> Result<(), Fault> {
        let seen = self.known.record.seen.as_ref();
        self.known.observation = self.ask.observe(seen).await?;
        if let Observation::Present { version, .. } = &self.known.observation {
            self.done.version = Some(version.clone());
        }
        Ok(())
    }

    async fn notice_observed(&mut self) -> Result<(), Fault> {
        match &self.known.observation {
            Observation::Present { version, .. } => self.notice(version.clone()).await,
            Observation::Missing(_) => Ok(()),
        }
    }

    /// What was read may be newer than what was seen a moment before.
    async fn notice_read(&mut self) -> Result<(), Fault> {
        let version = match &self.known.newest {
            Some(Read::Value(value)) => &value.stored.version,
            Some(Read::Malformed { version, .. }) => version,
            Some(Read::Missing(_)) | None => return Ok(()),
        };
        let version = version.clone();
        self.done.version = Some(version.clone());
        self.notice(version).await
    }

    /// Remembers which version the source has, and says so if it is another one.
    async fn notice(&mut self, version: Version) -> Result<(), Fault> {
        let record = &self.known.record;
        if !self.remembers || record.seen.as_ref() == Some(&version) {
            return Ok(());
        }
        if let Some(previous) = &record.seen {
            events::rotation_detected(self.ask.managed, record, previous, &version);
        }
        self.save(record.having_seen(&version), None).await
    }

    /// Compares what is on record with the list of its workspace, and remembers that a repair is seen to have
    /// worked.
    async fn compare(&mut self, age: ListAge) -> Result<(), Fault> {
        let compared = self.ask.compare(&self.known.record, age).await?;
        let next = news(&self.known.record, &compared.drift);
        self.known.compared = Some(compared);
        match next.filter(|_| self.remembers) {
            Some(next) => self.save(next, None).await,
            None => Ok(()),
        }
    }

    /// Asks the provider about the value that was read.
    async fn probe(&mut self, value: &ReadValue) -> Result<(), Fault> {
        let (managed, version) = (self.ask.managed, &value.stored.version);
        let verdict = self.ask.probe(value).await?;
        self.count(Stage::Before, &verdict);
        let record = &self.known.record;
        let earlier = record.candidate_for(&value.stored);
        let asked = self.asked(earlier, None);
        let next = record.probed(&value.stored, &verdict, asked);
        self.known.clearance = match &verdict {
            Verdict::Works => Some(Clearance::Taken),
            _ if next.candidate.is_none() => Some(Clearance::Unknown),
            _ => None,
        };
        match &verdict {
            Verdict::Rejected(said) if earlier.is_none() => {
                events::provider_rejects(managed, record, version, said);
            }
            Verdict::Inconclusive(why) if self.known.clearance.is_some() => {
                events::provider_silent(managed, record, version, why);
            }
            _ => {}
        }
        if next != *record {
            self.save(next, None).await?;
            failpoint::reach("probe_recorded");
        }
        Ok(())
    }

    /// The next question comes after this answer's wait: soon while the end of the grace is near,
    /// calmly when nobody waits for it.
    pub(super) fn asked(
        &self,
        verification: Option<&Verification>,
        retry_after: Option<Duration>,
    ) -> Asked {
        let (at, grace) = (Utc::now(), self.known.config.verify.grace);
        let engine = self.ask.engine;
        let (tries, calm) =
            verification.map_or((0, false), |verification| verification.pace(grace, at));
        let limits = match calm {
            true => Limits {
                initial: engine.retry.max,
                max: engine.rules.refused.max(engine.retry.max),
                ..engine.retry
            },
            false => engine.retry,
        };
        Asked {
            at,
            wait: retry::wait(limits, tries, retry_after),
            grace,
        }
    }

    pub(super) fn count(&self, stage: Stage, verdict: &Verdict) {
        let metrics = &self.ask.engine.metrics;
        metrics.verification(stage.as_str(), verdict.as_str());
    }

    /// Checks whether the source may have to be told something, as far as this key alone shows it.
    pub(super) fn may_owe(&self) -> bool {
        let wants = self.may_tell && self.ask.managed.source.acknowledges();
        wants && may_be_owed(&self.known.record, &self.known.config.origin)
    }

    fn rest(&mut self, rest: Rest) -> Rest {
        match &rest {
            Rest::Held(why) | Rest::Probing(why) => self.done.held = Some(why.clone()),
            Rest::InSync if self.known.record.verification.is_some() => self.done.unproven = true,
            _ => {}
        }
        match self.left.take() {
            Some(why) => Rest::NoWayBack(why),
            None => rest,
        }
    }

    pub(super) async fn save(
        &mut self,
        next: Record,
        row: Option<&HistoryRow>,
    ) -> Result<(), Fault> {
        self.ask.engine.store.save(&next, row).await?;
        self.known.record = next;
        self.known.record.heard.clear();
        Ok(())
    }
}
