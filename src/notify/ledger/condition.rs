//! One subject, as one receiver sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Notified, ReceiverId, is_over};
use crate::notify::event::{Event, Subject};

/// What a receiver is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which events.
    pub on: BTreeSet<Event>,
    /// How long a state must have lasted; and a change of the same key and kind is told once in this time.
    pub after: Duration,
}

/// What is wrong with a subject, since when, and what the receiver was told of it.
#[derive(Debug)]
pub struct Condition {
    pub event: Option<Event>,
    pub since: DateTime<Utc>,
    told: Option<Event>,
    /// What the receiver does not want to be told.
    refused: Option<Event>,
    /// What a process may have told that was killed before it could say so.
    perhaps: Option<Event>,
    /// This process has seen for itself how the subject stands.
    seen: bool,
    /// The state has not been told of this yet.
    pub unsaved: bool,
}

impl Condition {
    /// Begins now.
    pub fn new(event: Option<Event>, since: DateTime<Utc>) -> Self {
        Self {
            event,
            since,
            told: None,
            refused: None,
            perhaps: None,
            seen: true,
            unsaved: true,
        }
    }

    /// Goes on where another process was.
    pub fn kept(kept: &Notified, terms: &Terms, now: DateTime<Utc>) -> Self {
        let word = |word: &Option<String>| word.as_deref().and_then(Event::of_word);
        let (event, told) = (word(&kept.event), word(&kept.told));
        let was_due = told.is_none() && is_over(kept.since, terms.after, now);
        Self {
            told,
            perhaps: event.filter(|_| was_due),
            seen: false,
            unsaved: false,
            ..Self::new(event, kept.since)
        }
    }

    /// Takes note of what is wrong now; gives whether that is news.
    pub fn observe(&mut self, found: Option<Event>, terms: &Terms, now: DateTime<Utc>) -> bool {
        self.seen = true;
        let believes = self.told.or(self.perhaps).is_some();
        if found.is_none() && believes && !terms.on.contains(&Event::Recovered) {
            (self.told, self.perhaps) = (None, None);
            self.unsaved = true;
        }
        if self.event == found {
            return false;
        }
        self.event = found;
        self.since = now;
        self.refused = None;
        self.unsaved = true;
        true
    }

    /// What the receiver is to be told of it now, and what that was before.
    pub fn due(&self, terms: &Terms, now: DateTime<Utc>) -> Option<(Event, Option<Event>)> {
        match self.event {
            _ if !self.seen => None,
            None => {
                let told = self.told.or(self.perhaps)?;
                let is_due = terms.on.contains(&Event::Recovered);
                is_due.then_some((Event::Recovered, Some(told)))
            }
            Some(event) => {
                let is_due = terms.on.contains(&event)
                    && ![self.told, self.refused].contains(&Some(event))
                    && is_over(self.since, terms.after, now);
                is_due.then_some((event, None))
            }
        }
    }

    /// Takes note that the receiver was told this, and whether it took it.
    pub fn tell(&mut self, event: Event, taken: bool) {
        self.perhaps = None;
        match event {
            Event::Recovered => self.told = None,
            event if taken => self.told = Some(event),
            event => self.refused = Some(event),
        }
        self.unsaved = true;
    }

    /// Whether all is well, and the receiver believes so.
    pub fn is_over(&self) -> bool {
        self.event.is_none() && self.told.or(self.perhaps).is_none()
    }

    /// What the state keeps of it.
    pub fn line(&self, receiver: &ReceiverId, subject: &Subject) -> Notified {
        let word = |event: Option<Event>| event.map(|event| event.as_str().to_owned());
        Notified {
            receiver: receiver.clone(),
            subject: subject.to_string(),
            event: word(self.event),
            since: self.since,
            told: word(self.told),
        }
    }
}
