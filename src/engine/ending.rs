//! The end of a check: what is reported and noted, and when the key is checked next.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::{Engine, Reconciled};
use super::done::Done;
use super::events;
use super::managed_key::{KeyGuard, ManagedKey, Seen};
use super::next::{Next, next_after};
use super::problem::{
    BrokenOff, Fault, flashback_problem, no_way_back, problem_of, source_problem,
};
use super::reconciler::Reconciler;
use super::report::{self, KeyReport, State};
use super::rotation_report::standing;
use crate::flashback::FlashbackError;
use crate::model::{CheckNote, KeyCommand, Problem, Record};
use crate::reconcile::Rest;
use crate::retry::Round;
use crate::rotation;
use crate::source::SourceError;
use crate::telemetry::metrics::{FLASHBACK, Standing};
use crate::upstream::Failure as _;

/// The end of a check.
pub struct Ending<'a> {
    engine: &'a Engine,
    managed: &'a ManagedKey,
    guard: &'a mut KeyGuard,
    record: Record,
    done: Done,
    command: KeyCommand,
    planned: Option<DateTime<Utc>>,
    /// `true` if Flashback has accepted a write.
    pushed: bool,
    /// The wait before the live version is acknowledged to the source.
    acknowledge_in: Option<Duration>,
    /// What its rotation waits for, and until when.
    rotation: Option<rotation::Rest>,
}

impl<'a> Ending<'a> {
    /// Takes over what was found and done, and keeps for the next check what that needs to know.
    pub fn of(
        reconciler: Reconciler<'a>,
        guard: &'a mut KeyGuard,
        planned: Option<DateTime<Utc>>,
    ) -> Self {
        let (engine, managed) = (reconciler.ask.engine, reconciler.ask.managed);
        guard.unsaved = reconciler.unsaved;
        if reconciler.may_acknowledge && reconciler.unacknowledged.is_none() {
            guard.acknowledge_retry = None;
        }
        let unacknowledged = reconciler.unacknowledged.map(|error| {
            let retry = guard.acknowledge_retry.get_or_insert_default();
            if retry.is_news(&error) {
                events::unacknowledged(managed, &error);
            }
            retry.failed(&error, &engine.rules, engine.retry)
        });
        if let Some(version) = reconciler.trimmed
            && guard.trimmed.as_deref() != Some(&version)
        {
            events::trimmed(managed, &version);
            guard.trimmed = Some(Box::new(version));
        }
        Self {
            engine,
            managed,
            guard,
            record: reconciler.known.record,
            done: reconciler.done,
            command: reconciler.known.command,
            planned,
            pushed: reconciler.pushed,
            acknowledge_in: unacknowledged.or(reconciler.settles_in),
            rotation: None,
        }
    }

    /// Takes what the key's rotation waits for.
    #[must_use]
    pub fn rotated(self, rotation: Option<rotation::Rest>) -> Self {
        Self { rotation, ..self }
    }

    /// Ends the check. `ended` is its result.
    pub async fn finish(mut self, ended: Result<Rest, Fault>) -> Reconciled {
        let (engine, managed) = (self.engine, self.managed);
        let (next, problem) = match ended {
            // The key stands as it did, and so does what is known to be wrong with it.
            Ok(Rest::NoWayBack(why)) if self.command == KeyCommand::RollBack => {
                let report = self.report(Some(&no_way_back(&why)));
                return Reconciled::without_news(report, KeyCommand::None);
            }
            Ok(rest) => self.rested(&rest).await,
            Err(Fault::BrokenOff(BrokenOff::Lost)) => {
                return engine.not_ours(managed, self.guard, self.command);
            }
            Err(Fault::BrokenOff(why @ BrokenOff::Stopped)) => {
                let report = self.report(Some(&flashback_problem(&why)));
                return Reconciled::without_news(report.because(why), self.command);
            }
            Err(Fault::State(error)) => {
                return engine.without_state(managed, self.guard, self.command, &error);
            }
            Err(Fault::Source(error)) => self.source_failed(&error),
            Err(Fault::Flashback(error)) => self.flashback_failed(&error).await,
        };
        self.note(next, problem)
    }

    fn report(&self, problem: Option<&Problem>) -> KeyReport {
        let Self {
            managed,
            record,
            done,
            ..
        } = self;
        KeyReport::of_run(&managed.key, &managed.config, record, done, problem)
    }

    async fn rested(&mut self, rest: &Rest) -> (Next, Option<Problem>) {
        self.guard.round = None;
        let problem = problem_of(rest, self.managed).await;
        self.say(problem.as_ref());
        let next = match self.pushed && self.record.lease.is_some() {
            // A write may have waited for its lease, or for Flashback, while the source went on: what came
            // meanwhile does not wait for the next check.
            true => Next::In(Duration::ZERO),
            false => {
                let grace = self.managed.config.verify.grace;
                next_after(rest, &self.record, grace, self.planned)
            }
        };
        let next = next.not_later_than(self.acknowledge_in, self.planned);
        (self.until_rotated(next), problem)
    }

    /// Returns the earlier of this time and the time at which the key's rotation goes on. A person who has asked for one
    /// waits for it, unless it has been stuck for a while; others only wait as the schedule does.
    fn until_rotated(&self, next: Next) -> Next {
        let Some(until) = self.rotation.as_ref().and_then(|rest| rest.until) else {
            return next;
        };
        let wait = (until - Utc::now()).to_std().unwrap_or_default();
        let rotation = self.record.rotation.as_deref();
        let is_asked = rotation.is_some_and(|it| {
            let gets_on = it.stuck().all(|stuck| !stuck.is_lasting());
            it.command.is_some() && gets_on
        });
        match (self.planned, next) {
            (None, Next::In(other)) if is_asked => Next::In(other.min(wait)),
            (None, Next::OnSchedule) if is_asked => Next::In(wait),
            _ => next.not_later_than(Some(wait), self.planned),
        }
    }

    fn source_failed(&mut self, error: &SourceError) -> (Next, Option<Problem>) {
        let problem = source_problem(error);
        let source = self.managed.source.id().as_str();
        let next = self.engine.again(self.guard, error.class(), source);
        let given_up = next == Next::OnSchedule;
        let logged_by_upstream = match error {
            // It has said that the source is away, once for all its keys.
            SourceError::CircuitOpen { .. } => true,
            SourceError::Unavailable { .. } | SourceError::SignIn { .. } => !given_up,
            _ => false,
        };
        if !logged_by_upstream {
            self.say(Some(&problem));
        }
        (next, Some(problem))
    }

    async fn flashback_failed(&mut self, error: &FlashbackError) -> (Next, Option<Problem>) {
        let (managed, record) = (self.managed, &self.record);
        let problem = flashback_problem(error);
        let attempt = self.guard.round.as_deref().map_or(1, Round::attempt);
        let next = self.engine.again(self.guard, error.class(), FLASHBACK);
        // Said once for all keys: that Flashback is away, or cannot be signed in to.
        let logged_for_all = matches!(
            error,
            FlashbackError::CircuitOpen { .. } | FlashbackError::SignIn { .. }
        );
        match next {
            Next::In(wait) if !logged_for_all => {
                let pushed = self.done.started.as_ref().map(|started| &started.version);
                let version = pushed.or(record.seen.as_ref());
                events::push_retrying(managed, record, version, attempt, error, wait);
            }
            Next::In(_) => {}
            // A key has not failed because the account cannot sign in.
            Next::OnSchedule if matches!(error, FlashbackError::SignIn { .. }) => {}
            Next::OnSchedule => {
                events::push_failed(managed, record, attempt, &error.to_string());
                self.guard.logged_problem = Some(Box::new(problem.clone()));
                if let Some(row) = self.done.failed_row(managed, record, error) {
                    // The trail is for people; the state that matters was saved before.
                    let _ = self.engine.store.save(record, Some(&row)).await;
                }
            }
        }
        (next, Some(problem))
    }

    /// Logs a problem if it is new or has changed.
    fn say(&mut self, problem: Option<&Problem>) {
        events::problem(
            self.managed,
            &mut self.guard.logged_problem,
            problem,
            &self.record,
        );
    }

    /// Notes the check in the state and in the metrics.
    fn note(mut self, next: Next, problem: Option<Problem>) -> Reconciled {
        let (engine, managed) = (self.engine, self.managed);
        let report = self.report(problem.as_ref());
        let now = Utc::now();
        let next_at = match next {
            // A check out of schedule (`sync`) does not move the next scheduled one.
            Next::OnSchedule => {
                let before = self.record.look.next_at.filter(|at| *at > now);
                self.planned.or(before)
            }
            Next::In(wait) => Some(now + wait),
        };
        let note = CheckNote {
            checked_at: Some(now),
            next_at,
            problem: problem.or_else(|| engine.lists.problem(&managed.config.settings)),
            rotation: self.rotation.take().and_then(|rest| rest.waiting),
            ..CheckNote::default()
        };
        let before = std::mem::replace(&mut self.record.look, note);
        let state = self.show();
        let record = self.record;
        let proven = record.verification.is_none() && record.candidate.is_none();
        managed.was_seen(Seen {
            state,
            problem: record.look.problem.as_ref().map(|problem| problem.kind),
            at: now,
            created_at: record.live.as_ref().and_then(|live| live.created_at),
            rotation: record.rotation.as_deref().map(rotation::stage),
        });
        let mut note = record.look;
        note.mark(before, state.mark());
        engine.store.note_check(&managed.key, note);
        Reconciled {
            next,
            report,
            well: state == State::InSync && proven,
            command: self.command,
        }
    }

    /// Sets the key's metrics from its record, so that they are right after a restart, and returns the key's state.
    fn show(&self) -> State {
        let Self {
            managed, record, ..
        } = self;
        let state = report::state(&managed.config, record);
        let standing = Standing {
            in_sync: state == State::InSync,
            held: state == State::Held,
            verified: report::verified_by(record).is_some(),
            pushed_at: record.live.as_ref().map(|live| live.pushed_at),
            created_at: record.live.as_ref().and_then(|live| live.created_at),
            max_age: managed.config.max_age,
            rotation: standing(&managed.key, &managed.config, record),
        };
        self.engine.metrics.stands(&managed.key, &standing);
        state
    }
}

impl Reconciled {
    /// Returns the result of a check that is not noted.
    fn without_news(report: KeyReport, command: KeyCommand) -> Self {
        Self {
            next: Next::OnSchedule,
            report,
            well: false,
            command,
        }
    }
}
