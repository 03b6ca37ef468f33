//! The answers of a decision: the next step, and why it is taken.

use std::fmt;

use chrono::{DateTime, Utc};

use super::knowledge::{ListAge, ReadValue};
use crate::model::{Action, AiLlmId, Intent, Missing, Origin, Stored, Verification, Version};

/// The next step of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the source, the provider or Flashback something. Nothing is changed by it.
    Ask(Question),
    /// Write a value to Flashback.
    Push(Box<Push>),
    /// Ask Flashback whether what it holds works, and remember the answer.
    Validate {
        /// The configuration or stored key that holds the value.
        id: AiLlmId,
        /// The verification of the value so far.
        verification: Box<Verification>,
    },
    /// Record a conclusion from what is known.
    Conclude(Conclusion),
    /// End the check.
    Rest(Rest),
}

/// A question whose answer is needed before more can be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Read the newest version, which is this one.
    Read(Version),
    /// Find the key's name in Flashback's list.
    List,
    /// Compare the configuration on record with Flashback's list, which may be as old as this.
    Compare(ListAge),
    /// Read this previous version.
    ReadOlder {
        /// The version.
        version: Version,
        /// The place in the source where it is kept.
        origin: Origin,
    },
    /// Ask the source which version it had before this one.
    FindOlder(Version),
    /// Ask the provider whether it accepts this value.
    Probe(ReadValue),
}

/// A conclusion that is recorded in the state. It changes nothing in Flashback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The value that is live is stored under this version now.
    Note(Version),
    /// Flashback refused to take this version with the key's present settings.
    Refuse {
        /// The version.
        version: Version,
        /// The error that Flashback gave.
        error: String,
    },
    /// This version is held: it is pushed only when a person forces it.
    Hold {
        /// The version.
        version: Version,
        /// The reason.
        reason: HoldReason,
    },
    /// The value being verified failed, or a person asked for a rollback: a previous value is to replace it.
    TurnBack {
        /// The previous value.
        to: Stored,
        /// The version that is held from then on.
        from: Version,
        /// The reason.
        reason: HoldReason,
    },
    /// The value being verified stays in Flashback, or is pushed again, although it was rejected: there is no
    /// better one.
    LetStand {
        /// The time for which it stays.
        stand: Stand,
        /// The reason why there is no better value.
        why: String,
    },
    /// The value being verified cannot be pushed again, so the value that is live is kept.
    Keep,
    /// The verification ends without a verdict, because neither the provider nor Flashback is asked any more.
    EndVerification,
    /// A previous value should have been written again and could not be, for this reason.
    Leave(String),
}

/// A write to Flashback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// `Create`, `Update` or `Adopt`.
    pub action: Action,
    /// The id that is written to; `None` for `Create`.
    pub id: Option<AiLlmId>,
    /// The value that is written.
    pub value: ReadValue,
    /// The reason for the write.
    pub reason: Reason,
    /// Which of the key's values is written.
    pub what: What,
}

/// The value of a key that is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The newest version's.
    Newest,
    /// That of a previous version.
    Older,
}

/// The time for which a rejected value stays in Flashback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Until it works, or the source has another version.
    Best,
    /// Until it works or the source has another version, and it is shown as held: `on_failure = "hold"`.
    Held,
    /// Until Flashback accepts the previous value, which it has refused.
    ForNow,
}

/// The reason for holding a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// Its provider rejected it before the push.
    Provider(String),
    /// Flashback found after the push that it does not work.
    Flashback(String),
    /// A person asked for a rollback.
    ByHand,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(said) => write!(f, "its provider does not take it: {said}"),
            Self::Flashback(said) => write!(f, "it does not work: {said}"),
            Self::ByHand => f.write_str("rolled back by hand"),
        }
    }
}

/// The reason why a check ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Flashback has the source's newest value.
    InSync,
    /// The source has nothing to push.
    Missing(Missing),
    /// The secret in the source cannot be a key, for this reason.
    Malformed(String),
    /// The source's newest version is held, for this reason.
    Held(String),
    /// Flashback refused the newest version. It is tried again when that time has come or something has changed.
    Refused {
        /// The error that Flashback gave.
        error: String,
        /// The time of the next try.
        until: DateTime<Utc>,
    },
    /// Something in Flashback contradicts the record, and a person has to put it right.
    Contradiction(String),
    /// The provider rejects the newest value so far, with this error, and is asked again.
    Probing(String),
    /// The value in Flashback does not work, with this error, and Flashback is asked again.
    Unproven(String),
    /// There is no value to roll back to, for this reason.
    NoWayBack(String),
}

/// The reason for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The key was never pushed.
    First,
    /// The source has another value.
    Rotated,
    /// Name, type or endpoint were changed in the configuration.
    SettingsChanged,
    /// An earlier push has no known outcome.
    Unfinished,
    /// `resync` is due.
    Resync,
    /// The configuration was edited in Flashback; the text lists the differences.
    Drifted(String),
    /// This user has changed the credentials in Flashback.
    Overwritten(String),
    /// Flashback's list does not show the configuration.
    Unlisted,
    /// Another replica may have written after its lease was over.
    Repair,
    /// A person asked for it.
    Forced,
    /// The previous value is put back.
    RolledBack,
    /// The newest value is pushed again although it was rejected, because the previous one was rejected too.
    BestGuess,
}

impl Reason {
    /// Returns `true` if the reason is a change that another user made in Flashback.
    pub fn is_drift(&self) -> bool {
        matches!(
            self,
            Self::Drifted(_) | Self::Overwritten(_) | Self::Unlisted
        )
    }

    /// Returns the change that another user made in Flashback, in words, if that is the reason.
    pub fn drift(&self) -> Option<String> {
        self.is_drift().then(|| self.to_string())
    }

    /// Returns the reason for repeating a push whose outcome is not known.
    pub(super) fn of(unfinished: &Intent) -> Self {
        let drift = unfinished.drift.clone();
        drift.map_or(Self::Unfinished, Self::Drifted)
    }

    /// Returns the word used in logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::First => "first push",
            Self::Rotated => "rotated",
            Self::SettingsChanged => "settings changed",
            Self::Unfinished => "unfinished push",
            Self::Resync => "resync",
            Self::Drifted(_) => "changed in Flashback",
            Self::Overwritten(_) => "its credentials were changed in Flashback",
            Self::Unlisted => "it was missing from Flashback's list",
            Self::Repair => "another replica may have written it late",
            Self::Forced => "forced",
            Self::RolledBack => "rolled back",
            Self::BestGuess => "the previous one does not work either",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drifted(what) => f.write_str(what),
            Self::Overwritten(user) => write!(f, "{} by the user {user}", self.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}
