//! The engine reconciles one key: it observes the source, decides, acts and records.
//!
//! The engine decides nothing itself: what to do comes from [`reconcile`](crate::reconcile), when to do it from
//! the [scheduler](crate::scheduler). It sees to it that an intent is durable before a write is sent and the
//! outcome after it, that each fact is logged once, and that a failure ends in a time for the next check and never
//! in a loop. [`ask`] has the questions of a check, [`write`] what changes something, [`ending`] its end.

mod acknowledge;
mod ask;
mod changes;
mod done;
mod edited;
mod ending;
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

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::flashback::Flashback;
use crate::lease::LeaseTable;
use crate::model::{KeyCommand, Record};
use crate::progress::Checks;
use crate::reconcile::Rules;
use crate::retry::{Class, Limits, Round};
use crate::secret::Fingerprinter;
use crate::state::{StateError, StateStore};
use crate::telemetry::metrics::Metrics;
use crate::upstream::on_behalf_of;
use crate::verify::Provider;

pub use changes::Changes;
pub use edited::Edited;
pub use lists::{Lists, positions};
pub use managed_key::{KeyGuard, ManagedKey, Seen};
pub use next::Next;
pub use problem::BrokenOff;

use acknowledge::Telling;
use done::Done;
use ending::Ending;
use pass::Pass;
use problem::{Fault, flashback_problem, problem_of, source_problem};
use report::{KeyReport, State};

/// Everything that a check of a key needs, shared by all keys.
pub struct Engine {
    /// The state store.
    pub store: Arc<dyn StateStore>,
    /// The keys that this process may work on.
    pub leases: Arc<LeaseTable>,
    /// The client of Flashback.
    pub flashback: Arc<dyn Flashback>,
    /// The newest lists of Flashback's workspaces.
    pub lists: Arc<Lists>,
    /// The keys with updates in Flashback that are to be evaluated.
    pub edited: Arc<Edited>,
    /// The client of the keys' providers.
    pub provider: Arc<dyn Provider>,
    /// Makes the fingerprints that the state keeps.
    pub fingerprinter: Fingerprinter,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Watches for checks that hang.
    pub checks: Arc<Checks>,
    /// The intervals that decisions depend on.
    pub rules: Rules,
    /// The limits of one round of tries.
    pub retry: Limits,
    /// Cancelled when the process is to stop. Checks are broken off then; a push that was sent is not.
    pub stop: CancellationToken,
    /// Receives the changes made to keys, for notifications.
    pub changes: Changes,
    /// `true` once it was logged that Flashback does not validate keys.
    pub told_unsupported: Arc<AtomicBool>,
}

/// The result of a check.
#[derive(Clone, Debug)]
pub struct Reconciled {
    /// The time of the next check.
    pub next: Next,
    /// What was found and done, for people and scripts.
    pub report: KeyReport,
    /// `true` if the key is in sync and no verification is left.
    pub well: bool,
    /// The command that is still to be carried out.
    pub command: KeyCommand,
}

impl Engine {
    /// Checks a key once and does what is to be done.
    ///
    /// `planned` is the time of the next check by the schedule; `None` if a person waits for this one.
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
        Ending::of(pass, guard, planned).reconcile(ended).await
    }

    /// Checks a key until its round of tries is over and what was pushed is verified or rejected, or the process is
    /// to stop.
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

    /// Returns what a check would do. Changes nothing anywhere.
    ///
    /// # Errors
    /// [`StateError`]; other errors are in the report.
    pub async fn plan(&self, managed: &ManagedKey) -> Result<KeyReport, StateError> {
        let record = self.store.load(&managed.key).await?;
        let mut pass = Pass::new(self, managed, record);
        let problem = match pass.preview().await {
            Ok(None) => None,
            Ok(Some(rest)) => problem_of(&rest, managed).await,
            Err(Fault::State(error)) => return Err(error),
            Err(Fault::Source(error)) => Some(source_problem(&error)),
            Err(Fault::Flashback(error)) => Some(flashback_problem(&error)),
            Err(Fault::BrokenOff(why)) => {
                return Ok(KeyReport::broken_off(&managed.key, &managed.config, why));
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

    /// Returns the time of the next try, or the schedule if the round of tries is over.
    pub(super) fn again(&self, guard: &mut KeyGuard, class: Class, target: &str) -> Next {
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

    /// Ends a check whose record could not be loaded or saved. Nothing is written to Flashback then.
    fn without_state(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
        error: &StateError,
    ) -> Reconciled {
        let problem = flashback_problem(error);
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
