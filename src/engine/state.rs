//! The states of a key.

use serde::{Deserialize, Serialize};

use crate::model::Mark;

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Flashback has the source's newest value.
    InSync,
    /// The key was not checked yet, or a push is under way.
    Pending,
    /// Something is wrong; `error` says what.
    Failing,
    /// The source's version is held.
    Held,
    /// The source has nothing to push.
    Missing,
    /// The key is switched off in the configuration.
    Disabled,
}

impl State {
    /// Returns the word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Pending => "pending",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Missing => "missing",
            Self::Disabled => "disabled",
        }
    }

    /// Returns `true` if a person has to do something before the source's value can be live.
    pub fn is_wrong(self) -> bool {
        matches!(self, Self::Failing | Self::Missing | Self::Held)
    }

    /// Returns the mark in the key's [`Timeline`](crate::model::Timeline) for a check that found this state.
    pub fn mark(self) -> Option<Mark> {
        match self {
            Self::InSync => Some(Mark::InSync),
            Self::Pending => Some(Mark::Pending),
            Self::Failing => Some(Mark::Failing),
            Self::Held => Some(Mark::Held),
            Self::Missing => Some(Mark::Missing),
            Self::Disabled => None,
        }
    }
}
