//! What a receiver is told next.
//!
//! Of each subject the ledger knows what is wrong with it, since when, and what the receiver was last
//! told:
//!
//! ```text
//!            wrong                lasted for `after`            well
//!   (well) ────────▶ noticed ─────────────────────▶ told ───────────────▶ to be recovered
//!      ▲                │ well                        ▲ │ wrong otherwise         │ told
//!      └────────────────┘                             └─┘ and lasted              ▼
//!                                                                               (well)
//! ```
//!
//! So a state that comes and goes within `after` is never told, one that lasts is told once, and its end
//! only to whom it was told. Nothing here knows a clock, a network or the state: whoever drives it gives
//! the time, sends what [`Ledger::next`] hands out, and keeps what [`Ledger::unsaved`] gives.

mod condition;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};

use self::condition::Condition;
use super::event::{Event, Subject};
use crate::model::{Change, ChangeKind, KeyId, Notified, ReceiverId, is_over};

pub use self::condition::Terms;

/// Changes that wait for a receiver at most.
pub const MOST_WAITING: usize = 1_000;

/// What is to be told, until it is known what became of that.
#[derive(Debug)]
pub struct Dispatch {
    /// The event.
    pub event: Event,
    /// What a state was before it was over.
    pub was: Option<Event>,
    /// Of what, and since when.
    pub what: What,
    /// It is not so any more: nobody needs to be told.
    moot: AtomicBool,
}

/// What a [`Dispatch`] is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// States, each with the time since which it is so.
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

    /// Whether what it tells is over before it was told.
    pub fn is_moot(&self) -> bool {
        self.moot.load(Ordering::Relaxed)
    }
}

/// What one receiver knows, and what waits for it.
#[derive(Debug)]
pub struct Ledger {
    receiver: ReceiverId,
    conditions: BTreeMap<Subject, Condition>,
    waiting: VecDeque<Change>,
    /// When a change of a key was last told.
    lately: HashMap<(KeyId, Event), DateTime<Utc>>,
    sending: Option<Arc<Dispatch>>,
}

impl Ledger {
    /// Returns the ledger of a receiver that was told nothing yet.
    pub fn new(receiver: ReceiverId) -> Self {
        Self {
            receiver,
            conditions: BTreeMap::new(),
            waiting: VecDeque::new(),
            lately: HashMap::new(),
            sending: None,
        }
    }

    /// Takes over what the state has of a subject that this process tells of from now on.
    pub fn load(&mut self, subject: Subject, kept: &Notified, terms: &Terms, now: DateTime<Utc>) {
        let kept = Condition::kept(kept, terms, now);
        self.conditions.entry(subject).or_insert(kept);
    }

    /// Takes note of what is wrong with a subject now, if anything is.
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

    /// Takes note of a change; `false` where too many wait already and it is dropped.
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

    /// Returns what is to be told now: states first, those that have lasted longest before others, and of
    /// one event at most `most` at once. Nothing while something is being told.
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

    /// Takes note that the receiver has what was being told.
    pub fn delivered(&mut self, now: DateTime<Utc>) {
        self.ended(true, now);
    }

    /// Takes note that the receiver does not want what was being told. It is not told that again by this
    /// process; the next one tries once more.
    pub fn refused(&mut self, now: DateTime<Utc>) {
        self.ended(false, now);
    }

    /// Takes note that what was being told was not told, and is to be told if it is still so.
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

    /// Takes note that nobody was told what was being told, as it is over.
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

    /// Takes note that there is no time left: what was to be told later is told now.
    pub fn hurry(&mut self) {
        self.lately.clear();
    }

    /// Forgets a subject that another process tells of from now on.
    pub fn forget(&mut self, subject: &Subject) {
        self.conditions.remove(subject);
        self.see_what_is_moot();
    }

    /// Forgets a subject that is there no more, in the state, too.
    pub fn end(&mut self, subject: &Subject, now: DateTime<Utc>) {
        if let Some(condition) = self.conditions.get_mut(subject) {
            *condition = Condition::new(None, now);
            self.see_what_is_moot();
        }
    }

    /// The subjects that something is known of.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.conditions.keys()
    }

    /// How many changes wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is nothing to be told now.
    pub fn is_idle(&self, terms: &Terms, now: DateTime<Utc>) -> bool {
        let mut conditions = self.conditions.values();
        self.sending.is_none()
            && self.waiting.is_empty()
            && !conditions.any(|condition| condition.due(terms, now).is_some())
    }

    /// Returns what the state has not been told of yet.
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

    /// Takes note that this could not be saved.
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
    }
}

#[cfg(test)]
mod tests;
