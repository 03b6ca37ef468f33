//! The errors that end a check, and the problems that people see.

use std::fmt;

use super::managed_key::ManagedKey;
use crate::flashback::FlashbackError;
use crate::model::{Problem, ProblemKind};
use crate::reconcile::Rest;
use crate::source::{SourceError, why_missing};
use crate::state::StateError;

/// An error that ends a check before its time.
#[derive(Debug)]
pub enum Fault {
    Source(SourceError),
    Flashback(FlashbackError),
    State(StateError),
    BrokenOff(BrokenOff),
}

/// The reason for breaking off a check although nothing is wrong with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// The process is to stop.
    Stopped,
    /// Another replica has the key, or may have it soon.
    Lost,
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the process was told to stop before it was done"),
            Self::Lost => StateError::Lost.fmt(f),
        }
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Lost => Self::BrokenOff(BrokenOff::Lost),
            error => Self::State(error),
        }
    }
}

pub fn source_problem(error: &SourceError) -> Problem {
    let kind = match error {
        SourceError::Malformed(_) => ProblemKind::Malformed,
        _ => ProblemKind::Source,
    };
    Problem {
        kind,
        error: error.to_string(),
    }
}

pub fn flashback_problem(error: &impl fmt::Display) -> Problem {
    Problem {
        kind: ProblemKind::Flashback,
        error: error.to_string(),
    }
}

pub fn no_way_back(why: &str) -> Problem {
    Problem {
        kind: ProblemKind::Verification,
        error: format!("cannot roll back: {why}"),
    }
}

pub async fn problem_of(rest: &Rest, managed: &ManagedKey) -> Option<Problem> {
    let (kind, error) = match rest {
        Rest::InSync | Rest::Held(_) | Rest::Probing(_) => return None,
        Rest::Missing(why) => {
            let path = &managed.config.origin.path;
            let words = why_missing(managed.source.as_ref(), path, *why).await;
            (ProblemKind::Missing, words)
        }
        Rest::Malformed(error) => (ProblemKind::Malformed, error.clone()),
        Rest::Refused { error, .. } | Rest::Contradiction(error) => {
            (ProblemKind::Flashback, error.clone())
        }
        Rest::Unproven(said) => (
            ProblemKind::Verification,
            format!("the key in Flashback does not work: {said}"),
        ),
        Rest::NoWayBack(why) => return Some(no_way_back(why)),
    };
    Some(Problem { kind, error })
}
