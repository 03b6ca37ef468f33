//! A journal of the requests that the sandbox received. It holds no credentials.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::contract::Operation;
use super::faults::Fault;

/// The number of requests that are kept; the earliest are dropped.
const KEPT: usize = 200_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its number in the order of arrival, from 1.
    pub number: u64,
    /// The time at which it arrived.
    pub at: DateTime<Utc>,
    /// The time at which its answer was ready; `None` until then.
    pub answered_at: Option<DateTime<Utc>>,
    /// The time at which it ended, answered or aborted by the client; `None` while it is under way.
    pub ended_at: Option<DateTime<Utc>>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The operation it called.
    pub operation: Operation,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The status of the answer; `None` if there is none yet or it was never sent.
    pub status: Option<u16>,
    /// The fault that it met, if any.
    pub fault: Option<Fault>,
    /// The id of the configuration or stored key concerned.
    pub ai_llm_id: Option<String>,
    /// The `name` in its body.
    pub name: Option<String>,
    /// The SHA-256 of the `secret` in its body, in hexadecimal digits.
    pub secret_sha256: Option<String>,
}

/// The entries, oldest first.
#[derive(Default)]
pub(super) struct Journal {
    entries: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    /// Adds a request and returns its number.
    pub fn open(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.number = self.last;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last
    }

    /// Returns the entry with this number, unless it has been dropped.
    pub fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// Returns the entries after this number.
    pub fn entries(&self, after: u64) -> Vec<Entry> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.number > after)
            .cloned()
            .collect()
    }
}
