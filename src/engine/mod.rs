//! One look at one key: observe, decide, carry out, record.
//!
//! The engine has no opinions: what to do comes from [`reconcile`](crate::reconcile), when to do
//! it from the [scheduler](crate::scheduler). It makes sure that an intent is durable before a
//! write leaves, that the outcome is durable after it, that one thing is logged once, and that a
//! failure ends in a time for the next look and never in a loop of its own.

mod done;
mod observe;
mod pass;
mod problem;
pub mod row;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::KeyConfig;
use crate::flashback::{Flashback, FlashbackError};
use crate::lane::Failure;
use crate::model::{KeyId, LookNote, Origin, Problem, ProblemKind, Record};
use crate::reconcile::{Rest, Rules};
use crate::retry::{Class, Limits, Round};
use crate::secret::Fingerprinter;
use crate::source::{Source, SourceError};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::verify::Provider;

use done::Done;
use pass::{Pass, Verdict};
use problem::{flashback_problem, problem_of, source_problem};
use row::{Row, State};

/// What every look needs.
pub struct Engine {
    /// The state.
    pub store: Arc<dyn Store>,
    /// The target.
    pub flashback: Arc<dyn Flashback>,
    /// The providers the keys are for.
    pub provider: Arc<dyn Provider>,
    /// Makes the digests the state keeps.
    pub fingerprinter: Fingerprinter,
    /// Is told of every look and push.
    pub metrics: Arc<Metrics>,
    /// The intervals decisions go by.
    pub rules: Rules,
    /// The limits of one round of tries.
    pub retry: Limits,
    /// Cancelled when the process is to stop: looks break off then, a push in flight does not.
    pub stop: CancellationToken,
}

/// One configured key.
pub struct Unit {
    /// Its id.
    pub key: KeyId,
    /// What the configuration says of it.
    pub config: KeyConfig,
    /// The source it names.
    pub source: Arc<dyn Source>,
    /// Where its value is taken from.
    pub origin: Origin,
    /// Places for pushes to its workspace, so that one slow workspace does not fill the target's.
    pub places: Arc<Semaphore>,
    runtime: Arc<Mutex<Runtime>>,
    standing: Arc<std::sync::Mutex<State>>,
}

/// What is known of a key only while the process lives. Whoever holds it works on the key: looks
/// at one key never overlap.
#[derive(Debug, Default)]
pub struct Runtime {
    round: Option<Round>,
    /// The problem last logged, so that it is logged once and not at every look.
    told: Option<Problem>,
}

/// The right to work on a key.
pub type Turn = OwnedMutexGuard<Runtime>;

impl Unit {
    /// A key that nobody has worked on.
    pub fn new(
        key: KeyId,
        config: KeyConfig,
        source: Arc<dyn Source>,
        places: Arc<Semaphore>,
    ) -> Self {
        Self {
            origin: config.origin(),
            key,
            config,
            source,
            places,
            runtime: Arc::default(),
            standing: Arc::new(std::sync::Mutex::new(State::Pending)),
        }
    }

    /// The same key under another configuration. Work under way on the old one still excludes
    /// work on this one.
    #[must_use]
    pub fn taking_over(self, old: &Self) -> Self {
        Self {
            runtime: Arc::clone(&old.runtime),
            standing: Arc::clone(&old.standing),
            ..self
        }
    }

    /// How it stood at the end of the last look of this process.
    pub fn standing(&self) -> State {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands(&self, state: State) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The right to work on it, unless somebody has it.
    pub fn try_turn(&self) -> Option<Turn> {
        Arc::clone(&self.runtime).try_lock_owned().ok()
    }

    /// The right to work on it, after whoever has it.
    pub async fn turn(&self) -> Turn {
        Arc::clone(&self.runtime).lock_owned().await
    }
}

/// What is said of a key whose look was broken off.
pub const STOPPED: &str = "the process was told to stop before it was done";

/// How a look ended.
#[derive(Clone, Debug)]
pub struct Look {
    /// When to look again.
    pub next: Next,
    /// What was found and done.
    pub row: Row,
    /// Nothing stands in the way of the key.
    pub well: bool,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When the schedule says. Either all is well, or the round of tries is over.
    OnSchedule,
    /// After this long: the round goes on.
    In(Duration),
}

/// Why a pass broke off.
#[derive(Debug)]
enum Fault {
    Source(SourceError),
    Flashback(FlashbackError),
    Store(StoreError),
    /// The process is to stop.
    Stopped,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Engine {
    /// Looks at a key once and does what is to be done.
    ///
    /// `planned` is the time of the next look by the schedule, for people to see.
    pub async fn look(
        &self,
        unit: &Unit,
        turn: &mut Turn,
        force: bool,
        planned: Option<DateTime<Utc>>,
    ) -> Look {
        let attempt = turn.round.as_ref().map_or(1, Round::attempt);
        let record = match self.store.load(&unit.key).await {
            Ok(record) => record,
            Err(error) => return self.without_state(unit, turn, &error),
        };
        let mut pass = Pass::new(self, unit, record, force, attempt);
        let ended = pass.run().await;
        let (record, done) = (pass.record, pass.done);
        let (next, problem) = match ended {
            Ok(verdict) => {
                turn.round = None;
                let problem = problem_of(&verdict);
                tell::problem(unit, &mut turn.told, problem.as_ref(), &record);
                (next_after(&verdict, planned), problem)
            }
            Err(Fault::Stopped) => {
                let problem = Problem {
                    kind: ProblemKind::Flashback,
                    error: STOPPED.to_owned(),
                };
                let row = Row::of_pass(&unit.key, &unit.config, &record, &done, Some(&problem));
                return Look {
                    next: Next::OnSchedule,
                    row,
                    well: false,
                };
            }
            Err(Fault::Store(error)) => return self.without_state(unit, turn, &error),
            Err(Fault::Source(error)) => self.source_failed(unit, turn, &record, &error),
            Err(Fault::Flashback(error)) => {
                self.flashback_failed(unit, turn, &record, &done, &error)
                    .await
            }
        };
        let now = Utc::now();
        let next_at = match next {
            // A look out of turn (`sync`) leaves the turn where it was.
            Next::OnSchedule => planned.or(record.look.next_at.filter(|at| *at > now)),
            Next::In(wait) => Some(now + wait),
        };
        let before = record.look.clone();
        let mut note = LookNote {
            checked_at: Some(now),
            next_at,
            problem,
            ..LookNote::default()
        };
        let row = Row::of_pass(
            &unit.key,
            &unit.config,
            &record,
            &done,
            note.problem.as_ref(),
        );
        let pushed_at = record.live.as_ref().map(|live| live.pushed_at);
        let looked = Record {
            look: note.clone(),
            ..record
        };
        let state = row::state(&unit.config, &looked);
        note.mark(&before, state.mark());
        unit.stands(state);
        let in_sync = state == State::InSync;
        self.metrics.in_sync(&unit.key, in_sync);
        self.metrics.held(&unit.key, state == State::Held);
        if let Some(at) = pushed_at {
            // From the record: a restart must not make a pushed key look like one that never was.
            self.metrics.last_push(&unit.key, at);
        }
        self.store.note_look(&unit.key, note);
        Look {
            next,
            row,
            well: in_sync,
        }
    }

    /// Looks at a key until its round of tries is over, or the process is to stop.
    pub async fn settle(&self, unit: &Unit, force: bool) -> Row {
        loop {
            let look = {
                let mut turn = unit.turn().await;
                self.look(unit, &mut turn, force, None).await
            };
            let Next::In(wait) = look.next else {
                return look.row;
            };
            let wait = tokio::time::sleep(wait);
            if self.stop.run_until_cancelled(wait).await.is_none() {
                return look.row;
            }
        }
    }

    /// What a look would do. Changes nothing anywhere.
    ///
    /// # Errors
    /// [`StoreError`]; what else goes wrong is in the row.
    pub async fn plan(&self, unit: &Unit, force: bool) -> Result<Row, StoreError> {
        let record = self.store.load(&unit.key).await?;
        let mut pass = Pass::new(self, unit, record, force, 1);
        let problem = match pass.preview().await {
            Ok(verdict) => problem_of(&verdict),
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Source(error)) => Some(source_problem(&error)),
            Err(Fault::Flashback(error)) => Some(flashback_problem(&error)),
            Err(Fault::Stopped) => None,
        };
        Ok(Row::of_pass(
            &unit.key,
            &unit.config,
            &pass.record,
            &pass.done,
            problem.as_ref(),
        ))
    }

    fn source_failed(
        &self,
        unit: &Unit,
        turn: &mut Turn,
        record: &Record,
        error: &SourceError,
    ) -> (Next, Option<Problem>) {
        let problem = source_problem(error);
        let next = match error.class() {
            Class::Refused => {
                turn.round = None;
                tell::problem(unit, &mut turn.told, Some(&problem), record);
                Next::OnSchedule
            }
            class => {
                let next = self.again(turn, class, unit.source.id().as_str());
                let given_up = next == Next::OnSchedule;
                let told_by_the_lane = match error {
                    // It has said that the source is away, once for all its keys.
                    SourceError::HeldBack { .. } => true,
                    SourceError::Unavailable { .. } | SourceError::SignIn { .. } => !given_up,
                    _ => false,
                };
                if !told_by_the_lane {
                    tell::problem(unit, &mut turn.told, Some(&problem), record);
                }
                next
            }
        };
        (next, Some(problem))
    }

    async fn flashback_failed(
        &self,
        unit: &Unit,
        turn: &mut Turn,
        record: &Record,
        done: &Done,
        error: &FlashbackError,
    ) -> (Next, Option<Problem>) {
        let problem = flashback_problem(error);
        let attempt = turn.round.as_ref().map_or(1, Round::attempt);
        let next = self.again(turn, error.class(), crate::telemetry::metrics::FLASHBACK);
        match next {
            Next::In(wait) if !matches!(error, FlashbackError::HeldBack { .. }) => {
                tell::push_retrying(unit, record, attempt, error, wait);
            }
            Next::In(_) => {}
            Next::OnSchedule => {
                tell::push_failed(unit, record, attempt, &error.to_string());
                turn.told = Some(problem.clone());
                if let Some(row) = done.failed_row(unit, record, error) {
                    // The trail is for people; the state that matters was saved before.
                    let _ = self.store.save(record, Some(&row)).await;
                }
            }
        }
        (next, Some(problem))
    }

    /// The time of the next try, or the schedule where the round is over.
    fn again(&self, turn: &mut Turn, class: Class, target: &str) -> Next {
        let (Class::Outage { retry_after } | Class::Transient { retry_after }) = class else {
            turn.round = None;
            return Next::OnSchedule;
        };
        let limits = self.retry;
        let round = turn.round.get_or_insert_with(|| Round::begin(limits));
        if let Some(wait) = round.next_wait(retry_after) {
            self.metrics.retry(target);
            Next::In(wait)
        } else {
            turn.round = None;
            Next::OnSchedule
        }
    }

    /// Without its state the engine does nothing to Flashback: it would not know what it did.
    fn without_state(&self, unit: &Unit, turn: &mut Turn, error: &StoreError) -> Look {
        let problem = Problem {
            kind: ProblemKind::Flashback,
            error: error.to_string(),
        };
        let record = Record::new(unit.key.clone());
        tell::problem(unit, &mut turn.told, Some(&problem), &record);
        let done = Done::default();
        let row = Row::of_pass(&unit.key, &unit.config, &record, &done, Some(&problem));
        self.metrics.in_sync(&unit.key, false);
        unit.stands(State::Failing);
        let next = self.again(turn, Class::Transient { retry_after: None }, "state");
        Look {
            next,
            row,
            well: false,
        }
    }
}

/// A refused write is tried again after its time, also where the schedule's next look is a day
/// away.
fn next_after(verdict: &Verdict, planned: Option<DateTime<Utc>>) -> Next {
    let Verdict::Rested(Rest::Refused { until, .. }) = verdict else {
        return Next::OnSchedule;
    };
    match planned {
        Some(planned) if planned > *until => {
            Next::In((*until - Utc::now()).to_std().unwrap_or_default())
        }
        _ => Next::OnSchedule,
    }
}
