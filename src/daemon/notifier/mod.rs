//! The task that notifies people: it watches keys and services, and sends notices to the receivers.
//!
//! It checks conditions once a second, and is handed each change as it happens. Each receiver has an outbox of its own,
//! so that one that hangs delays no other, and nothing that works on keys waits for any of them. The notices that a
//! receiver has been sent are kept in the state beside the records: a condition that lasts is reported once however
//! often the process starts, and one that ended while no process ran is reported to be over.
//!
//! If replicas share the keys, the replica that has leased a key notifies about it, the one that has
//! leased the first key of a source notifies about the source, and the one that has leased the first key of
//! all about Flashback.

mod compose;
mod conditions;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::status_source::DaemonStatusSource;
use crate::model::{Change, KeyId, Notified, ReceiverId};
use crate::notify::Subject;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::state::StateError;

use conditions::Conditions;
use outbox::{Outbox, Outcome};

/// The interval at which conditions are checked.
const BEAT: Duration = Duration::from_secs(1);

/// The wait before a failed save is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(5);

/// Notifies receivers about conditions and changes.
pub struct Notifier {
    runtime: Arc<RuntimeHandle>,
    status_source: Arc<DaemonStatusSource>,
    changes: broadcast::Receiver<Arc<Change>>,
    /// Cancelled when no more changes will come; the notifier sends what is pending, and ends.
    leave: CancellationToken,
    conditions: Conditions,
    outboxes: BTreeMap<ReceiverId, Outbox>,
    /// The leased keys whose earlier notices have been read; the process notifies about these.
    ours: BTreeSet<KeyId>,
    loading: bool,
    saving: bool,
    /// The earliest time of the next save.
    save_at: Instant,
    /// Entries of removed keys and receivers that the state has yet to delete.
    forgotten: Vec<Notified>,
}

/// An operation that has ended.
enum Done {
    Sent(ReceiverId, Outcome),
    Loaded(BTreeSet<KeyId>, Result<Vec<Notified>, StateError>),
    Saved(Vec<Notified>, Result<(), StateError>),
}

type Work = FuturesUnordered<BoxFuture<'static, Done>>;

impl Notifier {
    /// Creates a notifier that receives changes from this call on. It ends when `leave` is cancelled and
    /// nothing is pending.
    pub fn new(
        runtime: Arc<RuntimeHandle>,
        status_source: Arc<DaemonStatusSource>,
        leave: CancellationToken,
    ) -> Self {
        Self {
            changes: runtime.load().engine.changes.listen(),
            conditions: Conditions::default(),
            runtime,
            status_source,
            leave,
            outboxes: BTreeMap::new(),
            ours: BTreeSet::new(),
            loading: false,
            saving: false,
            save_at: Instant::now(),
            forgotten: Vec::new(),
        }
    }

    /// Notifies until `leave` is cancelled and nothing is pending.
    pub async fn run(&mut self) {
        // After a panic no operation is under way any more.
        let mut work = Work::new();
        (self.loading, self.saving) = (false, false);
        self.outboxes
            .values_mut()
            .for_each(|outbox| outbox.ledger.not_told());
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let leave = self.leave.clone();
        loop {
            let leaving = leave.is_cancelled();
            tokio::select! {
                // Changes from before the end are sent, too.
                biased;
                change = self.changes.recv() => self.happened(&change),
                () = leave.cancelled(), if !leaving => self.save_at = Instant::now(),
                Some(done) = work.next() => self.done(done),
                _ = beat.tick() => self.observe(&mut work),
            }
            let runtime = self.runtime.load();
            self.send(&runtime, &mut work);
            self.save(&runtime, &mut work);
            if leave.is_cancelled() && work.is_empty() && self.is_idle(&runtime) {
                return;
            }
        }
    }

    fn is_idle(&self, runtime: &Runtime) -> bool {
        let now = Utc::now();
        let mut outboxes = self.outboxes.iter();
        outboxes.all(|(id, outbox)| {
            let receiver = runtime.receivers.get(id);
            receiver.is_none_or(|receiver| outbox.ledger.is_idle(&receiver.terms, now))
        })
    }

    /// Checks conditions and hands them to the outboxes.
    fn observe(&mut self, work: &mut Work) {
        let runtime = self.runtime.load();
        self.renew_outboxes(&runtime);
        if self.outboxes.is_empty() {
            return;
        }
        self.see_to_keys(&runtime, work);
        let now = Utc::now();
        let known: BTreeSet<Subject> = self.outboxes.values().flat_map(known).collect();
        let found = self
            .conditions
            .look(&runtime, &self.status_source, &self.ours, now);
        // That a subject is well is news only if something else was known of it.
        for (subject, found) in found.filter(|(it, found)| found.is_some() || known.contains(it)) {
            for (id, outbox) in self.outboxes.iter_mut().filter(|(_, outbox)| outbox.loaded) {
                let terms = &runtime.receivers[id].terms;
                outbox.ledger.observe(&subject, found, terms, now);
            }
        }
    }

    /// Adds and removes outboxes to match the receivers of the configuration.
    fn renew_outboxes(&mut self, runtime: &Runtime) {
        let metrics = &runtime.engine.metrics;
        for id in runtime.receivers.keys() {
            if !self.outboxes.contains_key(id) {
                metrics.receiver(id.as_str());
                let outbox = Outbox::new(id.clone(), runtime);
                self.outboxes.insert(id.clone(), outbox);
            }
        }
        let forgotten = &mut self.forgotten;
        self.outboxes.retain(|id, outbox| {
            let stays = runtime.receivers.contains_key(id);
            if !stays {
                metrics.forget_receiver(id.as_str());
                let subjects = outbox.ledger.subjects();
                forgotten.extend(subjects.map(|subject| over(id, subject.to_string())));
            }
            stays
        });
    }

    /// Follows the leases: earlier notices about newly leased keys are read first, and subjects that were
    /// removed or are another replica's are dropped.
    fn see_to_keys(&mut self, runtime: &Arc<Runtime>, work: &mut Work) {
        let held = |key: &&KeyId| runtime.engine.leases.has(key);
        let held_now: BTreeSet<KeyId> = runtime.managed_keys.keys().filter(held).cloned().collect();
        let is_new = |key: &KeyId| !self.ours.contains(key);
        let is_unread = |outbox: &Outbox| !outbox.loaded;
        let is_to_read = held_now.iter().any(is_new) || self.outboxes.values().any(is_unread);
        if is_to_read && !self.loading {
            self.loading = true;
            let (store, held_now) = (Arc::clone(&runtime.engine.store), held_now.clone());
            work.push(Box::pin(async move {
                let lines = store.notified().await;
                Done::Loaded(held_now, lines)
            }));
        }
        self.ours.retain(|key| held_now.contains(key));
        let now = Utc::now();
        for outbox in self.outboxes.values_mut() {
            let subjects: Vec<Subject> = known(outbox).collect();
            for subject in subjects {
                if !conditions::is_there(runtime, &subject) {
                    outbox.ledger.end(&subject, now);
                } else if !conditions::is_told(runtime, &subject, &held_now) {
                    outbox.ledger.forget(&subject);
                }
            }
        }
    }

    fn loaded(&mut self, keys: BTreeSet<KeyId>, lines: Vec<Notified>) {
        let runtime = self.runtime.load();
        let is_alone = !runtime.engine.leases.is_shared();
        for line in lines {
            let subject = Subject::parse(&line.subject);
            let outbox = self.outboxes.get_mut(&line.receiver);
            match (outbox, subject) {
                (Some(outbox), Some(subject)) if conditions::is_told(&runtime, &subject, &keys) => {
                    let known = subject.key().is_some_and(|key| self.ours.contains(key));
                    if let Some(receiver) = runtime.receivers.get(&line.receiver)
                        && (!known || !outbox.loaded)
                    {
                        let terms = &receiver.terms;
                        outbox.ledger.load(subject, &line, terms, Utc::now());
                    }
                }
                // Of a key or a receiver that was removed while no process ran.
                _ if is_alone => self.forgotten.push(over(&line.receiver, line.subject)),
                _ => {}
            }
        }
        self.outboxes
            .values_mut()
            .for_each(|outbox| outbox.loaded = true);
        self.ours = keys;
    }

    fn happened(&mut self, change: &Result<Arc<Change>, RecvError>) {
        let runtime = self.runtime.load();
        for (id, outbox) in &mut self.outboxes {
            let Some(receiver) = runtime.receivers.get(id) else {
                continue;
            };
            match change {
                Ok(change) => outbox.happened(change, receiver, &runtime),
                Err(RecvError::Lagged(missed)) => outbox.dropped(*missed, receiver, &runtime),
                // The engine holds a sender, and lives as long as this task.
                Err(RecvError::Closed) => {}
            }
        }
    }

    /// Starts to send what is due.
    fn send(&mut self, runtime: &Arc<Runtime>, work: &mut Work) {
        let leaving = self.leave.is_cancelled();
        for (id, outbox) in &mut self.outboxes {
            let Some(receiver) = runtime.receivers.get(id) else {
                continue;
            };
            if leaving {
                outbox.ledger.hurry();
            }
            if let Some(sending) = outbox.next(receiver, &self.runtime, leaving) {
                let id = id.clone();
                work.push(Box::pin(async move { Done::Sent(id, sending.await) }));
            }
        }
    }

    /// Starts to save what has not been written to the state yet.
    fn save(&mut self, runtime: &Arc<Runtime>, work: &mut Work) {
        if self.saving || Instant::now() < self.save_at {
            return;
        }
        let mut lines = std::mem::take(&mut self.forgotten);
        for outbox in self.outboxes.values_mut() {
            lines.extend(outbox.ledger.unsaved());
        }
        if lines.is_empty() {
            return;
        }
        self.saving = true;
        let store = Arc::clone(&runtime.engine.store);
        work.push(Box::pin(async move {
            let saved = store.save_notified(&lines).await;
            Done::Saved(lines, saved)
        }));
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Sent(id, outcome) => {
                if let Some(outbox) = self.outboxes.get_mut(&id) {
                    outbox.ended(outcome);
                }
            }
            Done::Loaded(keys, lines) => {
                self.loading = false;
                // If the state does not answer, it is asked again at the next beat.
                if let Ok(lines) = lines {
                    self.loaded(keys, lines);
                }
            }
            Done::Saved(lines, saved) => {
                self.saving = false;
                if saved.is_err() {
                    self.save_at = Instant::now() + SAVE_AGAIN;
                    self.not_saved(lines);
                }
            }
        }
    }

    fn not_saved(&mut self, lines: Vec<Notified>) {
        for line in lines {
            let subject = Subject::parse(&line.subject);
            match (self.outboxes.get_mut(&line.receiver), subject) {
                (Some(outbox), Some(subject)) => outbox.ledger.not_saved(subject, &line),
                _ => self.forgotten.push(line),
            }
        }
    }
}

fn known(outbox: &Outbox) -> impl Iterator<Item = Subject> {
    outbox.ledger.subjects().cloned()
}

/// Returns the entry that makes the state delete what it has recorded about a subject.
fn over(receiver: &ReceiverId, subject: String) -> Notified {
    Notified {
        receiver: receiver.clone(),
        subject,
        event: None,
        since: Utc::now(),
        told: None,
    }
}
