//! Why a provider did not take a key.

use std::time::Duration;

use crate::retry::Class;
use crate::upstream::Failure;

/// A key that was not taken, or not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotTaken {
    pub(super) kind: Kind,
    /// For people: who said what.
    pub(super) what: String,
    /// For metrics.
    pub(super) status: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is no key of the provider's.
    Rejected,
    /// The provider said something else.
    Unclear,
    /// The provider said nothing.
    Silent,
    /// The provider was not asked: it said nothing to others a moment ago.
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

    /// The lane does not know whom it did not hear from.
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
    /// A status speaks of the key it answers, a limit of calls too: another key may fare better.
    /// Only silence speaks of the host.
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
