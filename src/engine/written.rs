//! Checks of keys that several replicas share: the outcome of a write is saved before anything else is done, and a
//! check ends when another replica has the key.

use chrono::Utc;

use super::context::{Engine, Reconciled};
use super::done::Done;
use super::events;
use super::managed_key::{KeyGuard, ManagedKey, Seen};
use super::next::Next;
use super::outcome::Written;
use super::problem::{BrokenOff, flashback_problem};
use super::report::{KeyReport, State};
use crate::model::{ChangeKind, KeyCommand, Outcome, Record};
use crate::reconcile::Reason;
use crate::retry::{Class, Round};
use crate::state::StateError;

impl Engine {
    /// Returns the key's record, if this process may work on the key. The outcome of a write that could not be saved
    /// earlier is saved first, so that the write is not repeated because the state was away.
    pub(super) async fn record(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
    ) -> Result<Record, StateError> {
        let record = self.store.load(&managed.key).await?;
        let ours = self.leases.holds(&managed.key, record.lease);
        let Some(written) = guard.unsaved.take() else {
            return ours.then_some(record).ok_or(StateError::Lost);
        };
        if !ours || written.record.lease != record.lease {
            self.late_write(managed, &written.record);
            return ours.then_some(record).ok_or(StateError::Lost);
        }
        // Otherwise it was saved, and only the answer got lost.
        if record.intent.is_some() {
            let kept = Record {
                look: record.look,
                ..written.record.clone()
            };
            match self.store.save(&kept, written.row.as_ref()).await {
                Ok(()) => {}
                Err(StateError::Lost) => {
                    self.late_write(managed, &written.record);
                    return Err(StateError::Lost);
                }
                Err(error) => {
                    guard.unsaved = Some(written);
                    return Err(error);
                }
            }
        }
        self.report(managed, &written);
        self.store.load(&managed.key).await
    }

    /// Ends a check of a key whose lease this replica has lost. Another replica may have the key, or this one again if
    /// its lease is renewed in time.
    pub(super) fn not_ours(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
    ) -> Reconciled {
        guard.round = None;
        guard.logged_problem = None;
        self.metrics.forget_key(&managed.key);
        managed.was_seen(Seen::default());
        Reconciled {
            next: Next::OnSchedule,
            report: KeyReport::broken_off(&managed.key, &managed.config, BrokenOff::Lost),
            well: false,
            command,
        }
    }

    /// Notes a write that was begun and not seen to end under the lease. The membership task marks the key in the
    /// state, and the replica that has the key then writes once more what should be live.
    pub(super) fn late_write(&self, managed: &ManagedKey, record: &Record) {
        self.leases.late_write(&managed.key);
        events::lease_lost(managed, record);
    }

    /// Counts and logs a write that Flashback has accepted and that was saved.
    pub(super) fn report(&self, managed: &ManagedKey, written: &Written) {
        let Written { before, record, .. } = written;
        let elapsed = written.row.as_ref().map(|row| row.elapsed);
        let elapsed = elapsed.unwrap_or_default();
        let metrics = &self.metrics;
        metrics.push(&managed.key, written.action, Outcome::Succeeded, elapsed);
        let answered_at = record.live.as_ref().map(|live| live.pushed_at);
        let answered_at = answered_at.unwrap_or_else(Utc::now);
        metrics.last_push(&managed.key, answered_at);
        // Flashback had another value before, however many tries it took.
        let value = |record: &Record| record.live.as_ref().map(|live| live.fingerprint);
        let back = matches!(written.reason, Reason::RolledBack | Reason::BestGuess);
        let rotated = value(before) != value(record) && !written.again && !back;
        let previous = before.live.as_ref().map(|live| &live.version);
        if rotated && previous.is_some() {
            let changes = &self.changes;
            changes.leave(managed, ChangeKind::Rotated, record, previous, None);
        }
        if let Some(stored_at) = written.stored_at.filter(|_| rotated) {
            metrics.propagation((answered_at - stored_at).to_std().unwrap_or_default());
        }
        let (action, attempt) = (written.action, written.attempt);
        events::push_succeeded(managed, record, before, action, attempt, elapsed);
        if written.reason.is_drift() {
            events::drift_repaired(managed, record, action, &written.reason);
            let (changes, reason) = (&self.changes, written.reason.to_string());
            changes.leave(
                managed,
                ChangeKind::DriftRepaired,
                record,
                None,
                Some(reason),
            );
        }
        if written.reason == Reason::RolledBack && record.held.is_some() {
            self.rolled_back(managed, record);
        }
    }

    /// Logs and reports that the previous version was put back and a newer one is held.
    pub(super) fn rolled_back(&self, managed: &ManagedKey, record: &Record) {
        events::rolled_back(managed, record);
        let held = record.held.as_ref();
        let (version, reason) = (
            held.map(|held| &held.version),
            held.map(|held| held.reason.clone()),
        );
        let changes = &self.changes;
        changes.leave(managed, ChangeKind::RolledBack, record, version, reason);
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
    pub(super) fn without_state(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
        error: &StateError,
    ) -> Reconciled {
        let problem = flashback_problem(error);
        let record = Record::new(managed.key.clone());
        events::problem(managed, &mut guard.logged_problem, Some(&problem), &record);
        let done = Done::default();
        let report = KeyReport::of_run(
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
