//! The checks of a key: one, several until it is settled, or one that changes nothing.

use chrono::{DateTime, Utc};

use super::context::{Engine, Reconciled};
use super::ending::Ending;
use super::managed_key::{KeyGuard, ManagedKey};
use super::next::Next;
use super::problem::{Fault, flashback_problem, problem_of, source_problem};
use super::reconciler::Reconciler;
use super::report::KeyReport;
use super::rotation;
use super::rotation_report::RotationReport;
use crate::model::{KeyCommand, Record};
use crate::retry::Round;
use crate::state::StateError;
use crate::upstream::on_behalf_of;

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
        let record = match self.asked_record(managed, guard, command).await {
            Ok(record) => record,
            Err(StateError::Lost) => return self.not_ours(managed, guard, command),
            Err(error) => return self.without_state(managed, guard, command, &error),
        };
        // That is on record now.
        let command = match command {
            KeyCommand::Rotate(_) => KeyCommand::None,
            command => command,
        };
        let changed_hands = guard.lease != record.lease;
        guard.lease.clone_from(&record.lease);
        let retry = guard.acknowledge_retry.as_deref();
        let mut reconciler =
            Reconciler::new(self, managed, record).ordered(command, attempt, retry, planned);
        let (told, _waiting) = self.told.take(&managed.key).unzip();
        reconciler.told = told;
        reconciler.changed_hands = changed_hands;
        // On the heap: it is large, and each future around it would hold another copy on the stack.
        let mut ended = on_behalf_of(&managed.key, Box::pin(reconciler.run())).await;
        let mut rotated = None;
        if ended.is_ok() {
            let (ask, record) = (reconciler.ask, &mut reconciler.known.record);
            match rotation::rotate(ask, guard, record).await {
                Ok(rest) => rotated = rest,
                Err(fault) => ended = Err(fault),
            }
        }
        let ending = Ending::of(reconciler, guard, planned).rotated(rotated);
        ending.finish(ended).await
    }

    /// Returns the key's record, if this process may work on the key, with what a person asks for.
    async fn asked_record(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
    ) -> Result<Record, StateError> {
        let record = self.record(managed, guard).await?;
        match (command, &managed.config.rotate) {
            (KeyCommand::Rotate(command), Some(config)) => {
                rotation::ask_for_rotation(self, config, command, record).await
            }
            _ => Ok(record),
        }
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
    /// Returns [`StateError`]; other errors are in the report.
    pub async fn plan(&self, managed: &ManagedKey) -> Result<KeyReport, StateError> {
        let record = self.store.load(&managed.key).await?;
        let mut reconciler = Reconciler::new(self, managed, record);
        let problem = match reconciler.preview().await {
            Ok(None) => None,
            Ok(Some(rest)) => problem_of(&rest, managed).await,
            Err(Fault::State(error)) => return Err(error),
            Err(Fault::Source(error)) => Some(source_problem(&error)),
            Err(Fault::Flashback(error)) => Some(flashback_problem(&error)),
            Err(Fault::BrokenOff(why)) => {
                return Ok(KeyReport::broken_off(&managed.key, &managed.config, why));
            }
        };
        let (key, config, record) = (&managed.key, &managed.config, &reconciler.known.record);
        let report = KeyReport::of_run(key, config, record, &reconciler.done, problem.as_ref());
        let rotates = RotationReport::of(key, config, record);
        Ok(KeyReport { rotates, ..report })
    }
}
