//! What the sandbox was asked, request by request. Never a value.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::contract::Operation;
use super::faults::Fault;

/// The newest requests are kept, so many.
const KEPT: usize = 200_000;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its place in the order of arrival, from 1.
    pub number: u64,
    /// When it came.
    pub at: DateTime<Utc>,
    /// When its answer was ready; `None` while it is not.
    pub answered_at: Option<DateTime<Utc>>,
    /// When it was over: answered, or broken off by whoever asked. `None` while it is under way.
    pub ended_at: Option<DateTime<Utc>>,
    /// What the asker says of itself (`User-Agent`).
    pub user_agent: Option<String>,
    /// What it asked for.
    pub operation: Operation,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The answer's status; `None` while there is none, or where it was never sent.
    pub status: Option<u16>,
    /// The fault that met it.
    pub fault: Option<Fault>,
    /// The configuration or stored key it was about.
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
    /// Writes a request down as it comes, and says under which number.
    pub fn open(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.number = self.last;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last
    }

    /// The entry of a number, unless it is too old.
    pub fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// Those after a number.
    pub fn entries(&self, after: u64) -> Vec<Entry> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.number > after)
            .cloned()
            .collect()
    }
}
