//! One look at one key: observe, decide, carry out, record.
//!
//! The engine has no opinions: what to do comes from [`reconcile`](crate::reconcile), when to do
//! it from the [scheduler](crate::scheduler). It makes sure that an intent is durable before a
//! write leaves, that the outcome is durable after it, that one thing is logged once, and that a
//! failure ends in a time for the next look and never in a loop of its own.

mod acknowledge;
mod ask;
mod changes;
mod done;
mod edited;
mod events;
mod lists;
mod managed_key;
mod next;
mod pass;
mod problem;
pub mod report;
#[cfg(test)]
mod tests;
mod write;
mod written;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::flashback::{Flashback, FlashbackError};
use crate::lease::LeaseTable;
use crate::model::{CheckNote, KeyCommand, Problem, ProblemKind, Record};
use crate::progress::Checks;
use crate::reconcile::{Rest, Rules};
use crate::retry::{Class, Limits, Round};
use crate::secret::Fingerprinter;
use crate::source::SourceError;
use crate::state::{StateError, StateStore};
use crate::telemetry::metrics::{Metrics, Standing};
use crate::upstream::{Failure, on_behalf_of};
use crate::verify::Provider;

pub use changes::Changes;
pub use edited::Edited;
pub use lists::{Lists, positions};
pub use managed_key::{KeyGuard, ManagedKey, Seen};
pub use next::Next;

use acknowledge::Telling;
use done::Done;
use next::next_after;
use pass::Pass;
use problem::{Fault, flashback_problem, no_way_back, problem_of, source_problem};
use report::{KeyReport, State};

/// What every look needs.
pub struct Engine {
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// Which keys this process may work on.
    pub leases: Arc<LeaseTable>,
    /// The target.
    pub flashback: Arc<dyn Flashback>,
    /// What was listed of it last, by workspace.
    pub lists: Arc<Lists>,
    /// The keys that have updates in Flashback to look into.
    pub edited: Arc<Edited>,
    /// The providers the keys are for.
    pub provider: Arc<dyn Provider>,
    /// Makes the digests the state keeps.
    pub fingerprinter: Fingerprinter,
    /// Is told of every look and push.
    pub metrics: Arc<Metrics>,
    /// Sees whether looks get on.
    pub checks: Arc<Checks>,
    /// The intervals decisions go by.
    pub rules: Rules,
    /// The limits of one round of tries.
    pub retry: Limits,
    /// Cancelled when the process is to stop: looks break off then, a push in flight does not.
    pub stop: CancellationToken,
    /// Is told what happens to keys.
    pub changes: Changes,
    /// It was said that Flashback does not validate keys.
    pub told_unsupported: Arc<AtomicBool>,
}

/// What is said of a key whose look was broken off.
pub const STOPPED: &str = "the process was told to stop before it was done";

/// How a look ended.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// When to look again.
    pub next: Next,
    /// What was found and done.
    pub report: KeyReport,
    /// Nothing stands in the way of the key, and it has nothing to prove.
    pub well: bool,
    /// What was wanted of it, as long as that is not done.
    pub command: KeyCommand,
}

impl Engine {
    /// Looks at a key once and does what is to be done.
    ///
    /// `planned` is the time of the next look by the schedule, for people to see.
    pub async fn reconcile(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
        planned: Option<DateTime<Utc>>,
    ) -> Reconciled {
        let look = self.reconcile_watched(managed, guard, command, planned);
        self.checks.watch(&managed.key, look).await
    }

    async fn reconcile_watched(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
        planned: Option<DateTime<Utc>>,
    ) -> Reconciled {
        let attempt = guard.round.as_deref().map_or(1, Round::attempt);
        let record = match self.record(managed, guard).await {
            Ok(record) => record,
            Err(StateError::Lost) => return self.not_ours(managed, guard, command),
            Err(error) => return self.without_state(managed, guard, command, &error),
        };
        let telling = guard.telling.as_deref();
        let mut pass = Pass::new(self, managed, record).ordered(command, attempt, telling, planned);
        // On the heap: it is large, and each future around it would hold another copy on the stack.
        let ended = on_behalf_of(&managed.key, Box::pin(pass.run())).await;
        guard.unsaved = pass.unsaved;
        if pass.may_tell && pass.untold.is_none() {
            guard.telling = None;
        }
        let untold = pass.untold.map(|error| {
            let telling = guard.telling.get_or_insert_default();
            telling.failed(self, managed, error)
        });
        let untold = untold.or(pass.settles_in);
        let (mut record, done, command) = (pass.known.record, pass.done, pass.known.command);
        if let Some(version) = pass.trimmed
            && guard.trimmed.as_deref() != Some(&version)
        {
            events::trimmed(managed, &version);
            guard.trimmed = Some(Box::new(version));
        }
        let (next, problem) = match ended {
            // The key stands as it did, and so does what is known to be wrong with it.
            Ok(Rest::NoWayBack(why)) if command == KeyCommand::RollBack => {
                let problem = no_way_back(&why);
                let report = KeyReport::of_pass(
                    &managed.key,
                    &managed.config,
                    &record,
                    &done,
                    Some(&problem),
                );
                return Reconciled {
                    next: Next::OnSchedule,
                    report,
                    well: false,
                    command: KeyCommand::None,
                };
            }
            Ok(rest) => {
                guard.round = None;
                let problem = problem_of(&rest, managed).await;
                events::problem(managed, &mut guard.told, problem.as_ref(), &record);
                let grace = managed.config.verify.grace;
                let next = match pass.pushed && record.lease.is_some() {
                    // A write may have waited for its lease, or for Flashback, while the store went
                    // on: what came meanwhile does not wait for the next check.
                    true => Next::In(Duration::ZERO),
                    false => next_after(&rest, &record, grace, planned),
                };
                (next.not_later_than(untold, planned), problem)
            }
            Err(Fault::Stopped) => {
                let problem = Problem {
                    kind: ProblemKind::Flashback,
                    error: STOPPED.to_owned(),
                };
                let report = KeyReport::of_pass(
                    &managed.key,
                    &managed.config,
                    &record,
                    &done,
                    Some(&problem),
                );
                return Reconciled {
                    next: Next::OnSchedule,
                    report,
                    well: false,
                    command,
                };
            }
            Err(Fault::State(error)) => return self.without_state(managed, guard, command, &error),
            Err(Fault::Lost) => return self.not_ours(managed, guard, command),
            Err(Fault::Source(error)) => self.source_failed(managed, guard, &record, &error),
            Err(Fault::Flashback(error)) => {
                self.flashback_failed(managed, guard, &record, &done, &error)
                    .await
            }
        };
        let now = Utc::now();
        let next_at = match next {
            // A look out of turn (`sync`) leaves the turn where it was.
            Next::OnSchedule => planned.or(record.look.next_at.filter(|at| *at > now)),
            Next::In(wait) => Some(now + wait),
        };
        let report = KeyReport::of_pass(
            &managed.key,
            &managed.config,
            &record,
            &done,
            problem.as_ref(),
        );
        let note = CheckNote {
            checked_at: Some(now),
            next_at,
            problem: problem.or_else(|| self.lists.problem(&managed.config.settings)),
            ..CheckNote::default()
        };
        let before = std::mem::replace(&mut record.look, note);
        let state = self.show(managed, &record);
        let mut note = record.look;
        note.mark(before, state.mark());
        let proven = record.verification.is_none() && record.candidate.is_none();
        managed.was_seen(Seen {
            state,
            problem: note.problem.as_ref().map(|problem| problem.kind),
            at: now,
            created_at: record.live.as_ref().and_then(|live| live.created_at),
        });
        self.store.note_check(&managed.key, note);
        Reconciled {
            next,
            report,
            well: state == State::InSync && proven,
            command,
        }
    }

    /// Sets the key's metrics, from the record: a restart must not make a pushed key look like one
    /// that never was.
    fn show(&self, managed: &ManagedKey, record: &Record) -> State {
        let state = report::state(&managed.config, record);
        let standing = Standing {
            in_sync: state == State::InSync,
            held: state == State::Held,
            verified: report::verified_by(record).is_some(),
            pushed_at: record.live.as_ref().map(|live| live.pushed_at),
            created_at: record.live.as_ref().and_then(|live| live.created_at),
            max_age: managed.config.max_age,
        };
        self.metrics.stands(&managed.key, &standing);
        state
    }

    /// Looks at a key until its round of tries is over and what was pushed has proven itself or
    /// not, or the process is to stop.
    pub async fn settle(&self, managed: &ManagedKey, mut command: KeyCommand) -> KeyReport {
        let mut pushed: Option<KeyReport> = None;
        loop {
            let look = {
                let mut guard = managed.guard().await;
                self.reconcile(managed, &mut guard, command, None).await
            };
            command = look.command;
            let report = look.report.after(pushed.take());
            let Next::In(wait) = look.next else {
                return report;
            };
            let wait = tokio::time::sleep(wait);
            if self.stop.run_until_cancelled(wait).await.is_none() {
                return report;
            }
            pushed = Some(report);
        }
    }

    /// What a look would do. Changes nothing anywhere.
    ///
    /// # Errors
    /// [`StateError`]; what else goes wrong is in the row.
    pub async fn plan(&self, managed: &ManagedKey) -> Result<KeyReport, StateError> {
        let record = self.store.load(&managed.key).await?;
        let mut pass = Pass::new(self, managed, record);
        let problem = match pass.preview().await {
            Ok(None) => None,
            Ok(Some(rest)) => problem_of(&rest, managed).await,
            Err(Fault::State(error)) => return Err(error),
            Err(Fault::Source(error)) => Some(source_problem(&error)),
            Err(Fault::Flashback(error)) => Some(flashback_problem(&error)),
            Err(Fault::Stopped) => {
                return Ok(KeyReport::failed(&managed.key, &managed.config, STOPPED));
            }
            Err(Fault::Lost) => {
                let error = StateError::Lost.to_string();
                return Ok(KeyReport::failed(&managed.key, &managed.config, error));
            }
        };
        Ok(KeyReport::of_pass(
            &managed.key,
            &managed.config,
            &pass.known.record,
            &pass.done,
            problem.as_ref(),
        ))
    }

    fn source_failed(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        record: &Record,
        error: &SourceError,
    ) -> (Next, Option<Problem>) {
        let problem = source_problem(error);
        let next = match error.class() {
            Class::Refused => {
                guard.round = None;
                events::problem(managed, &mut guard.told, Some(&problem), record);
                Next::OnSchedule
            }
            class => {
                let next = self.again(guard, class, managed.source.id().as_str());
                let given_up = next == Next::OnSchedule;
                let told_by_the_lane = match error {
                    // It has said that the source is away, once for all its keys.
                    SourceError::CircuitOpen { .. } => true,
                    SourceError::Unavailable { .. } | SourceError::SignIn { .. } => !given_up,
                    _ => false,
                };
                if !told_by_the_lane {
                    events::problem(managed, &mut guard.told, Some(&problem), record);
                }
                next
            }
        };
        (next, Some(problem))
    }

    async fn flashback_failed(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        record: &Record,
        done: &Done,
        error: &FlashbackError,
    ) -> (Next, Option<Problem>) {
        let problem = flashback_problem(error);
        let attempt = guard.round.as_deref().map_or(1, Round::attempt);
        let next = self.again(guard, error.class(), crate::telemetry::metrics::FLASHBACK);
        // Said once for all keys: that Flashback is away, or cannot be signed in to.
        let told_for_all = matches!(
            error,
            FlashbackError::CircuitOpen { .. } | FlashbackError::SignIn { .. }
        );
        match next {
            Next::In(wait) if !told_for_all => {
                let pushed = done.started.as_ref().map(|started| &started.version);
                let version = pushed.or(record.seen.as_ref());
                events::push_retrying(managed, record, version, attempt, error, wait);
            }
            Next::In(_) => {}
            // A key has not failed because the account cannot sign in.
            Next::OnSchedule if matches!(error, FlashbackError::SignIn { .. }) => {}
            Next::OnSchedule => {
                events::push_failed(managed, record, attempt, &error.to_string());
                guard.told = Some(Box::new(problem.clone()));
                if let Some(report) = done.failed_row(managed, record, error) {
                    // The trail is for people; the state that matters was saved before.
                    let _ = self.store.save(record, Some(&report)).await;
                }
            }
        }
        (next, Some(problem))
    }

    /// The time of the next try, or the schedule where the round is over.
    fn again(&self, guard: &mut KeyGuard, class: Class, target: &str) -> Next {
        let (Class::Outage { retry_after } | Class::Transient { retry_after }) = class else {
            guard.round = None;
            return Next::OnSchedule;
        };
        let limits = self.retry;
        let round = guard
            .round
            .get_or_insert_with(|| Box::new(Round::begin(limits)));
        if let Some(wait) = round.next_wait(retry_after) {
            self.metrics.retry(target);
            Next::In(wait)
        } else {
            guard.round = None;
            Next::OnSchedule
        }
    }

    /// Without its state the engine does nothing to Flashback: it would not know what it did.
    fn without_state(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
        error: &StateError,
    ) -> Reconciled {
        let problem = Problem {
            kind: ProblemKind::Flashback,
            error: error.to_string(),
        };
        let record = Record::new(managed.key.clone());
        events::problem(managed, &mut guard.told, Some(&problem), &record);
        let done = Done::default();
        let report = KeyReport::of_pass(
            &managed.key,
            &managed.config,
            &record,
            &done,
            Some(&problem),
        );
        self.metrics.in_sync(&managed.key, false);
        managed.was_seen(Seen {
            state: State::Failing,
            at: Utc::now(),
            ..managed.seen()
        });
        let next = self.again(guard, Class::Transient { retry_after: None }, "state");
        Reconciled {
            next,
            report,
            well: false,
            command,
        }
    }
}
