//! System events: records of what was created, updated or deleted, and by which user.

use std::collections::VecDeque;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde_json::{Value, json};

use super::ORGANISATION;

/// The subjects of events; the API numbers them from 0 in this order.
pub const CONTEXTS: &[&str] = &[
    "workspace",
    "bucket",
    "repo",
    "user",
    "org",
    "workspaceuser",
    "apikey",
    "usersettings",
    "orgsettings",
    "flashbacknode",
    "orgkey",
    "aillm",
    "aillmapikey",
    "conversation",
];

/// The kinds of event; the API numbers them from 0 in this order.
pub const EVENTS: &[&str] = &["created", "updated", "deleted"];

/// The number of events that are kept; the earliest are dropped.
const KEPT: usize = 200_000;

/// One event.
#[derive(Clone)]
pub struct Event {
    /// One of [`CONTEXTS`].
    pub context: &'static str,
    /// One of [`EVENTS`].
    pub event: &'static str,
    /// The id of the object that the event is about.
    pub context_id: String,
    pub workspace_id: String,
    pub user_id: String,
}

/// An event with its number and time.
pub struct Dated {
    pub id: u64,
    pub at: DateTime<Utc>,
    pub event: Event,
}

impl Dated {
    /// Returns the event as the API shows it. The user's name and address come from the account.
    pub fn listed(&self, user_name: &str, user_email: &str) -> Value {
        json!({
            "id": self.id,
            "timestamp": self.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "contextId": self.event.context_id,
            "context": self.event.context,
            "event": self.event.event,
            "orgId": ORGANISATION,
            "userId": self.event.user_id,
            "userName": user_name,
            "userEmail": user_email,
            "workspaceId": self.event.workspace_id,
            "jsonData": null,
            "showUnread": false,
        })
    }
}

/// The events, oldest first.
#[derive(Default)]
pub struct Events {
    events: VecDeque<Dated>,
    last: u64,
}

impl Events {
    /// Records an event. Its time is truncated to the precision of the API, so that a client can ask for
    /// everything since the last time it was shown.
    pub fn write(&mut self, event: Event) {
        self.last += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Dated {
            id: self.last,
            at: Utc::now().trunc_subsecs(3),
            event,
        });
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Dated> {
        self.events.iter()
    }
}
