//! Faults, and the rules that decide which requests meet them. Nothing here is random: the same requests in
//! the same order meet the same faults.

use serde::{Deserialize, Serialize};

use super::contract::Operation;

/// A fault of a request. Unless the rule says that the request is [carried out](Rule::carried_out), it is
/// not; [`LoseAnswer`](Self::LoseAnswer) is the exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is answered with [`Rule::status`] and an error body.
    Status,
    /// It is answered 200 with a page of HTML.
    Html,
    /// It is answered as a server in front of Flashback might do: with [`Rule::status`],
    /// [`Rule::content_type`], [`Rule::body`] and [`Rule::location`], unchanged.
    Page,
    /// It is answered 200 with `{"success": false}`.
    Unsuccessful,
    /// The connection is cut.
    Close,
    /// It is carried out, and the connection is cut before the answer.
    LoseAnswer,
    /// It is never answered.
    Hang,
}

/// A rule that decides which requests meet a fault. The first rule that matches applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The kind of fault.
    pub fault: Fault,
    /// The status of [`Fault::Status`] and [`Fault::Page`]; 503 by default.
    #[serde(default = "unavailable")]
    pub status: u16,
    /// The `Retry-After` of the answer, unchanged: seconds or an HTTP date.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// The `message` of the answer; a default text if left out.
    #[serde(default)]
    pub message: Option<String>,
    /// The `Content-Type` of a page; none where left out.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The body of a page; empty where left out.
    #[serde(default)]
    pub body: Option<String>,
    /// The `Location` of a page; none where left out.
    #[serde(default)]
    pub location: Option<String>,
    /// `true` if the request is carried out before it meets the fault.
    #[serde(default)]
    pub carried_out: bool,
    /// The operations that are hit; all if empty.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// The `name` in the body of the requests that are hit; any if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The share of the matching requests that are hit, from 0 to 1.
    #[serde(default = "whole")]
    pub share: f64,
    /// The number of requests that are hit before the rule ends; unlimited if left out.
    #[serde(default)]
    pub next: Option<u64>,
    /// The number of matching requests since the rule was set.
    #[serde(skip)]
    pub seen: u64,
}

fn unavailable() -> u16 {
    503
}

fn whole() -> f64 {
    1.0
}

impl Rule {
    /// Returns a rule by which every request meets `fault`.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            status: unavailable(),
            retry_after: None,
            message: None,
            content_type: None,
            body: None,
            location: None,
            carried_out: false,
            operations: Vec::new(),
            name: None,
            share: whole(),
            next: None,
            seen: 0,
        }
    }

    /// Returns a rule by which every request is answered with `status`.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::new(Fault::Status)
        }
    }

    /// Returns a rule by which every request is answered with a page that is not in the API's format.
    pub fn page(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            content_type: Some(content_type.to_owned()),
            body: Some(body.to_owned()),
            ..Self::new(Fault::Page)
        }
    }

    /// Lets the requests be carried out as well.
    pub fn carried_out(self) -> Self {
        Self {
            carried_out: true,
            ..self
        }
    }

    /// Restricts the rule to this operation, in addition to those it is restricted to already.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Ends the rule after `count` requests.
    pub fn times(mut self, count: u64) -> Self {
        self.next = Some(count);
        self
    }

    /// Checks for contradictions, and returns a sentence that names the first.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let in_a_header = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.chars().all(|c| c == '\t' || (' '..='~').contains(&c))
        };
        if !(0.0..=1.0).contains(&self.share) {
            return Some("share must be from 0 to 1");
        }
        if !(200..=599).contains(&self.status) {
            return Some("status must be from 200 to 599");
        }
        let headers = [&self.content_type, &self.location, &self.retry_after];
        if !headers.into_iter().all(in_a_header) {
            return Some("content_type, location and retry_after must be printable ASCII");
        }
        None
    }

    /// Returns `true` if a request meets the fault, and counts it if it matches the rule.
    pub(super) fn meets(&mut self, operation: Operation, name: Option<&str>, seed: u64) -> bool {
        let about = (self.operations.is_empty() || self.operations.contains(&operation))
            && (self.name.is_none() || self.name.as_deref() == name);
        if !about || self.next == Some(0) {
            return false;
        }
        self.seen += 1;
        // The top 53 bits make a number in [0, 1) that a share can be compared with.
        let drawn = (scatter(seed ^ self.seen) >> 11) as f64 / (1u64 << 53) as f64;
        let meets = drawn < self.share;
        if meets && let Some(left) = &mut self.next {
            *left -= 1;
        }
        meets
    }
}

/// Returns the output of SplitMix64's finalizer: similar inputs give unrelated outputs.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
