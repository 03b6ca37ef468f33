//! The outcome of a provider check that did not accept the key.

use std::time::Duration;

use crate::retry::Class;
use crate::upstream::Failure;

/// The reason why a key was not accepted, or not checked at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    pub(super) kind: Kind,
    /// A text for people that names the provider and its answer.
    pub(super) what: String,
    /// A status for metrics.
    pub(super) status: String,
}

/// The kinds of reason, which decide whether a call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The provider rejected the key.
    Rejected,
    /// The provider gave another answer.
    Unclear,
    /// The provider did not answer.
    Silent,
    /// The provider was not called, because its circuit is open for this time.
    CircuitOpen(Duration),
}

impl NotTaken {
    pub(super) fn rejected(what: String, status: &str) -> Self {
        Self::of(Kind::Rejected, what, status)
    }

    pub(super) fn unclear(what: String, status: &str) -> Self {
        Self::of(Kind::Unclear, what, status)
    }

    pub(super) fn silent(what: String, status: &str) -> Self {
        Self::of(Kind::Silent, what, status)
    }

    /// Adds the host to the text if it is not named there: a time-out of the upstream names none.
    pub(super) fn naming(mut self, host: &str) -> Self {
        if !self.what.contains(host) {
            self.what = format!("{} from {host}", self.what);
        }
        self
    }

    fn of(kind: Kind, what: String, status: &str) -> Self {
        let status = status.to_owned();
        Self { kind, what, status }
    }
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl Failure for NotTaken {
    /// Classes answers, rate limits included, as failures of the key, because another key may be accepted. Only a
    /// missing answer is an outage of the host.
    fn class(&self) -> Class {
        match self.kind {
            Kind::Rejected => Class::Refused,
            Kind::Unclear => Class::Transient { retry_after: None },
            Kind::Silent => Class::Outage { retry_after: None },
            Kind::CircuitOpen(retry_in) => Class::Outage {
                retry_after: Some(retry_in),
            },
        }
    }

    fn status(&self) -> String {
        self.status.clone()
    }

    fn asks_for_quiet(&self) -> bool {
        false
    }

    fn timed_out(after: Duration) -> Self {
        let time = humantime::format_duration(after);
        Self::silent(format!("no answer within {time}"), "timeout")
    }

    fn circuit_open(retry_in: Duration, cause: &str) -> Self {
        Self::of(Kind::CircuitOpen(retry_in), cause.to_owned(), "held_back")
    }
}
