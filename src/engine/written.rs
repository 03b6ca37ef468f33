//! What several processes on one state ask of a look: it ends where the key is somebody else's, and
//! what a write has come to is known to the state before anything else is done.

use chrono::{DateTime, Utc};

use super::report::KeyReport;
use super::{BrokenOff, Engine, KeyGuard, ManagedKey, Next, Reconciled, Seen, events};
use crate::model::{Action, ChangeKind, HistoryRow, KeyCommand, Outcome, Record};
use crate::reconcile::Reason;
use crate::state::StateError;

/// A write that Flashback has taken, and what is to be remembered and said of it.
#[derive(Debug)]
pub struct Written {
    /// What was remembered before it.
    pub before: Record,
    /// What is to be remembered.
    pub record: Record,
    /// Its line of the audit trail.
    pub row: Option<HistoryRow>,
    /// How it was written.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// In which try.
    pub attempt: u32,
    /// A configuration that was gone was made again.
    pub again: bool,
    /// When the store got the value.
    pub stored_at: Option<DateTime<Utc>>,
}

impl Engine {
    /// The key's record, where this process may work on it. What a write has come to that could not
    /// be saved is saved first: it is not written again because the state was away.
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
            self.astray(managed, &written.record);
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
                    self.astray(managed, &written.record);
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

    /// The look ends: another replica works on the key, or may soon.
    pub(super) fn not_ours(
        &self,
        managed: &ManagedKey,
        guard: &mut KeyGuard,
        command: KeyCommand,
    ) -> Reconciled {
        guard.round = None;
        guard.told = None;
        self.metrics.forget_key(&managed.key);
        managed.was_seen(Seen::default());
        Reconciled {
            next: Next::OnSchedule,
            report: KeyReport::broken_off(&managed.key, &managed.config, BrokenOff::Lost),
            well: false,
            command,
        }
    }

    /// A write was begun, and the key is not this process's any more: whoever has it now writes once
    /// more what should be live.
    pub(super) fn astray(&self, managed: &ManagedKey, record: &Record) {
        self.leases.late_write(&managed.key);
        events::lease_lost(managed, record);
    }

    /// Counts and logs a write that Flashback has taken and the state knows of.
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

    /// Says that the previous version is back, and a newer one held.
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
}
