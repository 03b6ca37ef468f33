//! What a decision can say.

use std::fmt;

use chrono::{DateTime, Utc};

use super::knowledge::{ListAge, ReadValue};
use crate::model::{Action, AiLlmId, Intent, Missing, Origin, Stored, Verification, Version};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find something out.
    Ask(Question),
    /// Write a value that was read.
    Push(Box<Push>),
    /// Ask Flashback whether what it holds works, and remember the answer.
    Validate {
        /// What holds it.
        id: AiLlmId,
        /// What the value has been through so far.
        verification: Box<Verification>,
    },
    /// Remember something that follows from what is known.
    Conclude(Conclusion),
    /// End the check.
    Rest(Rest),
}

/// Something to find out before more can be decided. Nothing is changed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The value of this version, which is the newest.
    Read(Version),
    /// The entry of the key's name in Flashback's list.
    List,
    /// How the list shows the configuration on record. The list may be so old.
    Compare(ListAge),
    /// The value of this older version.
    ReadOlder {
        /// The version.
        version: Version,
        /// Where it is kept.
        origin: Origin,
    },
    /// The version that the source had before this one.
    FindOlder(Version),
    /// The provider's word on this value.
    Probe(ReadValue),
}

/// Something to remember, and nothing else to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The live value goes by this version now.
    Note(Version),
    /// Flashback has refused this version with the settings that the key has.
    Refuse {
        /// The version.
        version: Version,
        /// Flashback's words.
        error: String,
    },
    /// This version is not to be pushed by itself.
    Hold {
        /// The version.
        version: Version,
        /// Why.
        reason: HoldReason,
    },
    /// The value on trial, or the live one where somebody wants that, is to be replaced by an older one.
    TurnBack {
        /// The older one.
        to: Stored,
        /// The version that is held then.
        from: Version,
        /// Why.
        reason: HoldReason,
    },
    /// The value on trial stays, or goes back in, for want of a better one.
    LetStand {
        /// For how long.
        stand: Stand,
        /// Why nothing better is to be had.
        why: String,
    },
    /// The value on trial cannot go back in: what is live is kept instead.
    Keep,
    /// Nobody can tell any more whether the value on trial works.
    EndTrial,
    /// An older value should have been written again, and could not be, for this reason.
    Leave(String),
}

/// A write to Flashback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// `Create`, `Update` or `Adopt`.
    pub action: Action,
    /// What is written to; `None` for `Create`.
    pub id: Option<AiLlmId>,
    /// What is written.
    pub value: ReadValue,
    /// Why.
    pub reason: Reason,
    /// Which of the key's values it is.
    pub what: What,
}

/// Which value is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The newest.
    Newest,
    /// An older one that was read for it.
    Older,
}

/// How long a value stays that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Until it works, or another one comes.
    Best,
    /// The same, and it counts as held: `on_failure = "lease"`.
    Held,
    /// Until Flashback takes the older one, which it has refused.
    ForNow,
}

/// Why a version is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// Its provider did not take it.
    Provider(String),
    /// Flashback said that it does not work.
    Flashback(String),
    /// Somebody wanted it so.
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

/// Why a pass ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Flashback holds what the store holds.
    InSync,
    /// The store has nothing to push.
    Missing(Missing),
    /// What the store holds cannot be a key.
    Malformed(String),
    /// The version is held.
    Held(String),
    /// Flashback refused it; it is tried again at that time, or when something changes.
    Refused {
        /// Flashback's words.
        error: String,
        /// When.
        until: DateTime<Utc>,
    },
    /// Flashback contradicts itself; for people to put right.
    Contradiction(String),
    /// Its provider does not take it so far, in these words; it is asked again.
    Probing(String),
    /// What Flashback holds does not work, in these words; it is asked again.
    Unproven(String),
    /// There is nothing to roll back to.
    NoWayBack(String),
}

/// Why something is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It never was.
    First,
    /// The store holds another value.
    Rotated,
    /// Name, type or endpoint were changed in the configuration.
    SettingsChanged,
    /// An earlier push has no known outcome.
    Unfinished,
    /// `resync` is due.
    Resync,
    /// Its configuration was changed in Flashback: what differed.
    Drifted(String),
    /// This user has changed its credentials in Flashback.
    Overwritten(String),
    /// Flashback does not list its configuration.
    Unlisted,
    /// Somebody who had lost the key may have written to it.
    Repair,
    /// Somebody asked for it.
    Forced,
    /// The previous value goes back in.
    RolledBack,
    /// The newest value goes back in, though it was rejected: the previous one was, too.
    BestGuess,
}

impl Reason {
    /// Whether it is that somebody changed something in Flashback.
    pub fn is_drift(&self) -> bool {
        matches!(
            self,
            Self::Drifted(_) | Self::Overwritten(_) | Self::Unlisted
        )
    }

    /// The same in words, where it is that.
    pub fn drift(&self) -> Option<String> {
        self.is_drift().then(|| self.to_string())
    }

    /// A push goes on whose outcome is not known.
    pub(super) fn of(unfinished: &Intent) -> Self {
        let drift = unfinished.drift.clone();
        drift.map_or(Self::Unfinished, Self::Drifted)
    }

    /// The word that logs carry.
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
