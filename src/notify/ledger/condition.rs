//! The condition of one subject, and what one receiver was sent of it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Notified, ReceiverId, is_over};
use crate::notify::event::{Event, Subject};

/// The events that a receiver is sent, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The events.
    pub on: BTreeSet<Event>,
    /// The time for which a state must have lasted before it is sent. Changes of the same key and kind are
    /// sent at most once in this time.
    pub after: Duration,
}

/// The condition of a subject: what is wrong with it, since when, and what the receiver was sent of it.
#[derive(Debug)]
pub struct Condition {
    pub event: Option<Event>,
    pub since: DateTime<Utc>,
    told: Option<Event>,
    /// The event that the receiver refused.
    refused: Option<Event>,
    /// The event that another process may have sent before it was killed, without saving that.
    perhaps: Option<Event>,
    /// `true` if this process has observed the subject itself.
    seen: bool,
    /// `true` if the entry has changed since it was last saved.
    pub unsaved: bool,
}

impl Condition {
    /// Returns a condition that begins at `since`.
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

    /// Returns the condition that another process saved.
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

    /// Records what is wrong now, and returns whether that has changed.
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

    /// Returns the event that the receiver is to be sent now and, for [`Event::Recovered`], the event before
    /// it.
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

    /// Records that the receiver was sent this event, and whether it accepted it.
    pub fn tell(&mut self, event: Event, taken: bool) {
        self.perhaps = None;
        match event {
            Event::Recovered => self.told = None,
            event if taken => self.told = Some(event),
            event => self.refused = Some(event),
        }
        self.unsaved = true;
    }

    /// Returns `true` if all is well and the receiver was sent nothing to the contrary.
    pub fn is_over(&self) -> bool {
        self.event.is_none() && self.told.or(self.perhaps).is_none()
    }

    /// Returns the entry that the state keeps.
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
