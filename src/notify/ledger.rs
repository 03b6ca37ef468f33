//! Decides what a receiver is sent next.
//!
//! For each subject the ledger knows what is wrong with it, since when, and what the receiver was last sent
//! of it:
//!
//! ```text
//!            wrong                lasted for `after`            well
//!   (well) ────────▶ noticed ─────────────────────▶ sent ───────────────▶ to be recovered
//!      ▲                │ well                        ▲ │ wrong otherwise         │ sent
//!      └────────────────┘                             └─┘ and lasted              ▼
//!                                                                               (well)
//! ```
//!
//! So a state that comes and goes within `after` is never sent, one that lasts is sent once, and its end is
//! sent only to receivers that were sent its beginning. The ledger has no clock, no network and no access to
//! the state: its caller passes the time, sends what [`Ledger::next`] returns, and saves what
//! [`Ledger::unsaved`] returns.

mod condition;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use self::condition::Condition;
use super::event::{Event, Subject};
use crate::model::{Change, ChangeKind, KeyId, Notified, ReceiverId, is_over};

pub use self::condition::Terms;

/// The most changes that wait for a receiver.
pub const MOST_WAITING: usize = 1_000;

/// A notification under way, until its outcome is known.
#[derive(Debug)]
pub struct Dispatch {
    /// The event.
    pub event: Event,
    /// For [`Event::Recovered`], the event of the state that is over.
    pub was: Option<Event>,
    /// The subjects or changes it is about.
    pub what: What,
    /// Set once none of it is true any more, so that it need not be sent.
    moot: AtomicBool,
}

/// The content of a [`Dispatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// States, each with the time at which it began.
    States(Vec<(Subject, DateTime<Utc>)>),
    /// Changes, in their order.
    Changes(Vec<Change>),
}

impl Dispatch {
    fn new(event: Event, was: Option<Event>, what: What) -> Self {
        Self {
            event,
            was,
            what,
            moot: AtomicBool::new(false),
        }
    }

    /// Returns `true` if what it reports was over before it was sent.
    pub fn is_moot(&self) -> bool {
        self.moot.load(Ordering::Relaxed)
    }
}

/// The notifications of one receiver: what it was sent, and what waits for it.
#[derive(Debug)]
pub struct Ledger {
    receiver: ReceiverId,
    conditions: BTreeMap<Subject, Condition>,
    waiting: VecDeque<Change>,
    /// The time at which each kind of change was last sent for a key.
    lately: HashMap<(KeyId, Event), DateTime<Utc>>,
    sending: Option<Arc<Dispatch>>,
}

impl Ledger {
    /// Returns the ledger of a receiver that has been sent nothing yet.
    pub fn new(receiver: ReceiverId) -> Self {
        Self {
            receiver,
            conditions: BTreeMap::new(),
            waiting: VecDeque::new(),
            lately: HashMap::new(),
            sending: None,
        }
    }

    /// Takes over the saved entry of a subject for which this process notifies from now on.
    pub fn load(&mut self, subject: Subject, kept: &Notified, terms: &Terms, now: DateTime<Utc>) {
        let kept = Condition::kept(kept, terms, now);
        self.conditions.entry(subject).or_insert(kept);
    }

    /// Records what is wrong with a subject now, if anything is.
    pub fn observe(
        &mut self,
        subject: &Subject,
        found: Option<Event>,
        terms: &Terms,
        now: DateTime<Utc>,
    ) {
        match self.conditions.get_mut(subject) {
            Some(condition) => {
                if condition.observe(found, terms, now) {
                    self.see_what_is_moot();
                }
            }
            None => {
                if found.is_some_and(|event| terms.on.contains(&event)) {
                    let condition = Condition::new(found, now);
                    self.conditions.insert(subject.clone(), condition);
                }
            }
        }
    }

    fn see_what_is_moot(&self) {
        let Some(sending) = &self.sending else { return };
        let What::States(states) = &sending.what else {
            return;
        };
        let expected = (sending.event != Event::Recovered).then_some(sending.event);
        let holds = |subject: &Subject| {
            let condition = self.conditions.get(subject);
            condition.is_some_and(|condition| condition.event == expected)
        };
        if !states.iter().any(|(subject, _)| holds(subject)) {
            sending.moot.store(true, Ordering::Relaxed);
        }
    }

    /// Records a change. Returns `false` if it was dropped because too many wait already.
    #[must_use]
    pub fn happened(&mut self, change: Change, terms: &Terms) -> bool {
        let event = event_of(change.kind);
        if !terms.on.contains(&event) {
            return true;
        }
        let same = |other: &&mut Change| other.key == change.key && other.kind == change.kind;
        if !terms.after.is_zero()
            && let Some(earlier) = self.waiting.iter_mut().find(same)
        {
            let previous_version = earlier.previous_version.take();
            *earlier = Change {
                previous_version,
                ..change
            };
            return true;
        }
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        self.waiting.push_back(change);
        true
    }

    /// Returns what is to be sent now: states before changes, the one that has lasted longest first, and at
    /// most `most` of one event at once. Returns `None` while a dispatch is under way.
    pub fn next(
        &mut self,
        terms: &Terms,
        most: usize,
        now: DateTime<Utc>,
    ) -> Option<Arc<Dispatch>> {
        if self.sending.is_some() {
            return None;
        }
        let dispatch = self
            .next_states(terms, most, now)
            .or_else(|| self.next_changes(terms, most, now))?;
        let dispatch = Arc::new(dispatch);
        self.sending = Some(Arc::clone(&dispatch));
        Some(dispatch)
    }

    fn next_states(&self, terms: &Terms, most: usize, now: DateTime<Utc>) -> Option<Dispatch> {
        let due = self.conditions.iter().filter_map(|(subject, condition)| {
            let (event, was) = condition.due(terms, now)?;
            Some((condition.since, event, was, subject))
        });
        let mut due: Vec<_> = due.collect();
        due.sort();
        let (_, event, was, _) = *due.first()?;
        let same = due.iter().filter(|due| (due.1, due.2) == (event, was));
        let states = same.map(|(since, _, _, subject)| ((*subject).clone(), *since));
        Some(Dispatch::new(
            event,
            was,
            What::States(states.take(most).collect()),
        ))
    }

    fn next_changes(&mut self, terms: &Terms, most: usize, now: DateTime<Utc>) -> Option<Dispatch> {
        self.lately
            .retain(|_, told| !is_over(*told, terms.after, now));
        let lately = &self.lately;
        let may =
            |change: &Change| !lately.contains_key(&(change.key.clone(), event_of(change.kind)));
        let first = self.waiting.iter().find(|change| may(change))?.kind;
        let mut taken = Vec::new();
        let mut left = VecDeque::new();
        for change in self.waiting.drain(..) {
            match change.kind == first && taken.len() < most && may(&change) {
                true => taken.push(change),
                false => left.push_back(change),
            }
        }
        self.waiting = left;
        Some(Dispatch::new(event_of(first), None, What::Changes(taken)))
    }

    /// Records that the receiver accepted the dispatch under way.
    pub fn delivered(&mut self, now: DateTime<Utc>) {
        self.ended(true, now);
    }

    /// Records that the receiver refused the dispatch under way. This process does not send it again; the
    /// next one tries once more.
    pub fn refused(&mut self, now: DateTime<Utc>) {
        self.ended(false, now);
    }

    /// Records that the dispatch under way was not sent. It is sent later if it is still true.
    pub fn not_told(&mut self) {
        if let Some(dispatch) = self.sending.take()
            && let What::Changes(changes) = &dispatch.what
            && !dispatch.is_moot()
        {
            for change in changes.iter().rev() {
                self.waiting.push_front(change.clone());
            }
        }
    }

    /// Records that the dispatch under way was abandoned because what it reports is over.
    pub fn was_moot(&mut self) {
        self.sending = None;
    }

    fn ended(&mut self, taken: bool, now: DateTime<Utc>) {
        let Some(dispatch) = self.sending.take() else {
            return;
        };
        match &dispatch.what {
            What::Changes(changes) => {
                for change in changes {
                    let key = (change.key.clone(), dispatch.event);
                    self.lately.insert(key, now);
                }
            }
            What::States(states) => {
                for (subject, _) in states {
                    if let Some(condition) = self.conditions.get_mut(subject) {
                        condition.tell(dispatch.event, taken);
                    }
                }
            }
        }
    }

    /// Makes changes due at once that would otherwise wait for the receiver's `after`, because the process is
    /// about to stop.
    pub fn hurry(&mut self) {
        self.lately.clear();
    }

    /// Forgets a subject for which another process notifies from now on.
    pub fn forget(&mut self, subject: &Subject) {
        self.conditions.remove(subject);
        self.see_what_is_moot();
    }

    /// Forgets a subject that no longer exists, in the state as well.
    pub fn end(&mut self, subject: &Subject, now: DateTime<Utc>) {
        if let Some(condition) = self.conditions.get_mut(subject) {
            *condition = Condition::new(None, now);
            self.see_what_is_moot();
        }
    }

    /// Returns the subjects that have an entry.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.conditions.keys()
    }

    /// Returns the number of changes that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns `true` if nothing is under way, waiting or due.
    pub fn is_idle(&self, terms: &Terms, now: DateTime<Utc>) -> bool {
        let mut conditions = self.conditions.values();
        self.sending.is_none()
            && self.waiting.is_empty()
            && !conditions.any(|condition| condition.due(terms, now).is_some())
    }

    /// Returns the entries that have changed since they were last saved, and forgets those that are over.
    pub fn unsaved(&mut self) -> Vec<Notified> {
        let mut unsaved = Vec::new();
        let receiver = &self.receiver;
        self.conditions.retain(|subject, condition| {
            if std::mem::take(&mut condition.unsaved) && subject.is_kept() {
                unsaved.push(condition.line(receiver, subject));
            }
            !condition.is_over()
        });
        unsaved
    }

    /// Records that an entry could not be saved, so that it is returned by [`unsaved`](Self::unsaved) again.
    pub fn not_saved(&mut self, subject: Subject, line: &Notified) {
        let over = || Condition::new(None, line.since);
        let condition = self.conditions.entry(subject).or_insert_with(over);
        condition.unsaved = true;
    }
}

fn event_of(kind: ChangeKind) -> Event {
    match kind {
        ChangeKind::Rotated => Event::Rotated,
        ChangeKind::RolledBack => Event::RolledBack,
        ChangeKind::DriftRepaired => Event::DriftRepaired,
        ChangeKind::OldKeyRevoked => Event::OldKeyRevoked,
    }
}

#[cfg(test)]
mod tests;
