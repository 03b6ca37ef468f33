//! The nouns of a decision: what it is given, and what it can say.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Action, AiLlmId, Missing, Observation, Origin, Record, Settings, Version};
use crate::secret::Fingerprint;

/// All that is known when a decision is asked for.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What the configuration in Flashback should look like.
    pub settings: &'a Settings,
    /// Where its value is taken from.
    pub origin: &'a Origin,
    /// What is remembered.
    pub record: &'a Record,
    /// What the store was seen to hold.
    pub observation: &'a Observation,
    /// What was read from it in this pass.
    pub reading: Option<&'a Read>,
    /// What Flashback's list said in this pass.
    pub remote: &'a Remote,
    /// How a push of this pass was turned down.
    pub rejection: Option<&'a Rejection>,
    /// Somebody said `--force`, and no push of this pass has ended yet.
    pub force: bool,
    /// The intervals that matter.
    pub rules: Rules,
    /// The time.
    pub now: DateTime<Utc>,
}

/// The intervals a decision goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Push again after this long, changed or not.
    pub resync: Duration,
    /// Try a refused write again after this long.
    pub refused: Duration,
}

/// What a read of the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value, known by its digest.
    Value {
        /// The version it belongs to, which may be newer than the one observed.
        version: Version,
        /// Its keyed digest.
        fingerprint: Fingerprint,
    },
    /// Something that cannot be a key.
    Malformed {
        /// The version it belongs to.
        version: Version,
        /// For people; never a value.
        error: String,
    },
    /// It went away.
    Missing(Missing),
}

/// What Flashback's list says about the key's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// It was not asked, or its answer is out of date.
    Unasked,
    /// No configuration of that name.
    Absent,
    /// This one.
    Found(AiLlmId),
    /// More than one, which the API's own rule forbids.
    Doubled(Vec<AiLlmId>),
    /// The list was refused, or there is none.
    Unlistable(String),
}

/// How Flashback turned a push down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 404: there is no configuration of this id.
    Gone(AiLlmId),
    /// 400, 403 and the like.
    Refused {
        /// What was tried.
        action: Action,
        /// Flashback's words, scrubbed.
        error: String,
    },
}

impl Remote {
    /// What is left of the list's answer after a push was turned down. A creation that is refused
    /// for the first time may have met a configuration that came up since, and an id that is gone
    /// makes the answer old: both ask again, once.
    pub fn after(self, latest: &Rejection, earlier: Option<&Rejection>) -> Self {
        let create = |rejection: &Rejection| {
            matches!(
                rejection,
                Rejection::Refused {
                    action: Action::Create,
                    ..
                }
            )
        };
        match (&self, latest) {
            (_, Rejection::Gone(_)) => Self::Unasked,
            (Self::Absent, latest) if create(latest) && !earlier.is_some_and(create) => {
                Self::Unasked
            }
            _ => self,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the value of this version.
    Read(Version),
    /// Ask Flashback for the configurations of the workspace.
    List,
    /// Write the value that was read.
    Push {
        /// `Create`, `Update` or `Adopt`.
        action: Action,
        /// Where to; `None` for `Create`.
        id: Option<AiLlmId>,
        /// Why.
        reason: Reason,
    },
    /// Remember that the live value now goes by this version. No push.
    Note(Version),
    /// Remember that Flashback refused this version with these settings.
    Refuse {
        /// What was refused.
        version: Version,
        /// Flashback's words.
        error: String,
    },
    /// Nothing more in this pass.
    Rest(Rest),
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
    /// Somebody asked for it.
    Forced,
}

impl Reason {
    /// The word that logs carry.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::First => "first push",
            Self::Rotated => "rotated",
            Self::SettingsChanged => "settings changed",
            Self::Unfinished => "unfinished push",
            Self::Resync => "resync",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
