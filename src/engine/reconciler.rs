//! Reconciles a key: asks the questions of the decision, and carries out its steps.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::acknowledge_retry::AcknowledgeRetry;
use super::ask::{Ask, NewestRead};
use super::context::Engine;
use super::done::Done;
use super::events;
use super::managed_key::ManagedKey;
use super::outcome::Written;
use super::problem::Fault;
use super::told::Told;
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

/// The greatest number of steps in one check. No check takes so many, even with faults (the tests of `reconcile` know
/// the longest one): one that did would be a defect, and must not become a loop against Flashback.
const MOST_STEPS: usize = 32;

/// The waits before a source is asked again that answers with the version from before the one that was told: a standby
/// or a replica may be behind the server that the event came from.
pub(super) const STALE: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// One check of one key.
pub struct Reconciler<'a> {
    pub(super) ask: Ask<'a>,
    /// The number of the try within its round.
    pub(super) attempt: u32,
    /// What an event has told since the last check.
    pub told: Option<Told>,
    /// `true` if the key was checked under another lease before, or under none.
    pub changed_hands: bool,
    /// The knowledge of the key so far.
    pub known: Knowledge,
    /// The actions so far.
    pub done: Done,
    /// `true` if what was found out is saved. A plan saves nothing.
    remembers: bool,
    steps: usize,
    /// The time at which the version that was read was written, if the source says so.
    pub(super) created_at: Option<DateTime<Utc>>,
    /// The version that was read, if there was white space around its value.
    pub trimmed: Option<Version>,
    /// `true` if the live version may be acknowledged to the source now.
    pub may_acknowledge: bool,
    /// The error of an acknowledgement that failed.
    pub unacknowledged: Option<SourceError>,
    /// The wait before the live version is acknowledged.
    pub settles_in: Option<Duration>,
    /// The reason why a previous value that should be live is not.
    pub(super) left: Option<String>,
    /// `true` if Flashback has accepted a write and that was saved.
    pub pushed: bool,
    /// A write that Flashback has accepted, if that could not be saved.
    pub unsaved: Option<Box<Written>>,
}

impl<'a> Reconciler<'a> {
    pub fn new(engine: &'a Engine, managed: &'a ManagedKey, record: Record) -> Self {
        let (config, rules) = (managed.config.clone(), engine.rules);
        Self {
            ask: Ask {
                engine,
                managed,
                waited_for: true,
            },
            attempt: 1,
            told: None,
            changed_hands: false,
            known: Knowledge::new(config, rules, record, Utc::now()),
            done: Done::default(),
            remembers: true,
            steps: 0,
            created_at: None,
            trimmed: None,
            may_acknowledge: false,
            unacknowledged: None,
            settles_in: None,
            left: None,
            pushed: false,
            unsaved: None,
        }
    }

    /// Returns the check with the command to carry out and its try. If a next check is `planned`, no person waits
    /// for this one.
    pub fn ordered(
        self,
        command: KeyCommand,
        attempt: u32,
        retry: Option<&AcknowledgeRetry>,
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
            may_acknowledge: retry.is_none_or(|retry| retry.may(since)),
            ..self
        }
    }

    /// Runs the check to its end. Calls for a rotation have priority over observations, and over writes of unchanged
    /// values that a person has forced.
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
            KeyCommand::None | KeyCommand::RollBack | KeyCommand::Rotate(_) => self.work().await,
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

    /// Runs the check up to the first step that would change something, and records what that would do. Returns the
    /// result of the check if there is no such step.
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

    /// Asks the questions of the decision until it names a step that is no question.
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
            // A plan verifies no key; it shows the steps for one that works.
            Question::Probe(_) => known.clearance = Some(Clearance::Unknown),
        }
        Ok(())
    }

    async fn observe(&mut self) -> Result<(), Fault> {
        let seen = self.known.record.seen.clone();
        let told = self.told.take();
        if let Some(at) = told.as_ref().and_then(|told| told.at)
            && let Ok(delay) = (Utc::now() - at).to_std()
        {
            let source = self.ask.managed.source.id();
            self.ask.engine.metrics.event_delay(source, delay);
        }
        // A list from before would hide what has just been told, what came during a push, or what another replica
        // has seen.
        let anew = told.is_some() || self.pushed || self.changed_hands;
        let is_new = |told: &Told| told.version.is_some() && told.version != seen;
        match told.filter(|told| is_new(told) || told.index.is_some()) {
            Some(told) => self.read_told(seen.as_ref(), &told).await?,
            None if !anew => {
                self.known.observation = self.ask.observe(seen.as_ref(), false).await?;
                self.doubt_events(seen.as_ref());
            }
            None => self.known.observation = self.ask.observe(seen.as_ref(), anew).await?,
        }
        if let Observation::Present { version, .. } = &self.known.observation {
            self.done.version = Some(version.clone());
        }
        Ok(())
    }

    /// Reports a new version that a check has found before an event told of it.
    fn doubt_events(&self, seen: Option<&Version>) {
        if let Observation::Present {
            version,
            written_at,
        } = &self.known.observation
            && seen.is_some_and(|seen| seen != version)
        {
            let origin = &self.known.config.origin;
            let feed = &self.ask.engine.feed;
            feed.unheard(&origin.source, &origin.path, *written_at);
        }
    }

    /// Reads the newest version instead of asking for it first, because an event has told that it is a new one.
    async fn read_told(&mut self, seen: Option<&Version>, told: &Told) -> Result<(), Fault> {
        let mut waits = STALE.into_iter();
        let (observation, read) = loop {
            let (observation, read) = self.ask.read_newest(seen, told).await?;
            let is_old = matches!(&observation, Observation::Present { version, .. } if seen == Some(version));
            match waits.next().filter(|_| is_old) {
                Some(wait) => self.ask.unless_stopped(tokio::time::sleep(wait)).await?,
                None => break (observation, read),
            }
        };
        self.known.observation = observation;
        if let Some(read) = read {
            (self.trimmed, self.created_at) = (read.trimmed, read.written_at);
            self.known.newest = Some(read.found);
        }
        Ok(())
    }

    async fn notice_observed(&mut self) -> Result<(), Fault> {
        match &self.known.observation {
            Observation::Present { version, .. } => self.notice(version.clone()).await,
            Observation::Missing(_) => Ok(()),
        }
    }

    /// Records the version that was read, which may be newer than the one that was observed.
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

    /// Records the version that the source has, and logs it if it is another one.
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

    /// Compares the record with the list of its workspace, and saves what that tells.
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

    /// Returns when the next question about a value is due: soon within the grace, later after it.
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

    /// Returns `true` if something may have to be said to the source, by the key's own record.
    pub(super) fn may_owe(&self) -> bool {
        let wants = self.may_acknowledge && self.ask.managed.source.acknowledges();
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
