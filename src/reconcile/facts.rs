//! The nouns of a decision: what it is given, and what it can say.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::drift::Compared;
use crate::config::VerifyConfig;
use crate::model::{
    Action, AiLlmId, Intent, KeyCommand, Missing, Observation, Origin, Record, Settings, Stored,
    Version,
};
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
    /// What was read of an older version in this pass.
    pub older: Option<&'a Older>,
    /// What the store said in this pass about the version before the one on trial.
    pub before: Option<&'a Result<Version, String>>,
    /// The provider was asked in this pass about the value that was read, and nothing it said
    /// stands in the way.
    pub cleared: bool,
    /// What Flashback's list said in this pass.
    pub remote: &'a Remote,
    /// What it said in this pass about the configuration on record.
    pub compared: Option<&'a Compared>,
    /// Where there is none, one may be made.
    pub may_create: bool,
    /// How a push of this pass was turned down.
    pub rejection: Option<&'a Rejection>,
    /// What somebody wants done, as long as it is not.
    pub command: KeyCommand,
    /// The intervals that matter.
    pub rules: Rules,
    /// How keys are verified.
    pub verify: &'a VerifyConfig,
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
    /// When the process started, or the configuration was last reloaded: whatever was refused may have been
    /// put right for that. Where nobody waits for it, the beginning of time.
    pub since: DateTime<Utc>,
}

/// How long the second try ahead of its time waits; each further one waits twice as long.
const SECOND_EARLY_TRY: Duration = Duration::from_secs(60);

impl Rules {
    /// Returns how long after `at` a write that was refused then is tried again. A start and a reload bring that
    /// forward, to at once for the first time; `early` tries in a row that were brought forward delay the next
    /// one, so that a process that starts over and over writes hardly more often than one that runs.
    pub fn refused_for(&self, at: DateTime<Utc>, early: u32) -> Duration {
        if at >= self.since {
            return self.refused;
        }
        let brought_forward = match early.checked_sub(1) {
            None => Duration::ZERO,
            Some(more) => SECOND_EARLY_TRY.saturating_mul(2_u32.saturating_pow(more)),
        };
        brought_forward.min(self.refused)
    }
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

/// What a read of one older version found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// Which was asked for.
    pub version: Version,
    /// Of which origin.
    pub origin: Origin,
    /// Its digest, or why it cannot be had.
    pub found: Result<Fingerprint, String>,
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
    /// This one, which takes its credentials from a stored key that others may share.
    Shared {
        /// The configuration.
        id: AiLlmId,
        /// The stored key.
        stored_key: AiLlmId,
    },
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
        /// Flashback's words, as far as they may be shown.
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

/// How old a list may be to answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListAge {
    /// It is asked for now.
    Zero,
    /// Some seconds: a write follows that the answer may forbid. Where there is no answer soon, the
    /// write does not wait for it.
    Seconds,
    /// Some minutes: nothing is written by its answer alone.
    Minutes,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the value of this version.
    Read(Version),
    /// Ask Flashback for the configurations of the workspace.
    List,
    /// Hold what was written against the list of the workspace, which may be so old.
    Compare(ListAge),
    /// Write the value that was read.
    Push {
        /// `Create`, `Update` or `Adopt`.
        action: Action,
        /// Where to; `None` for `Create`.
        id: Option<AiLlmId>,
        /// Why.
        reason: Reason,
        /// Which value.
        what: What,
    },
    /// Read this older version, to put it back.
    ReadOlder {
        /// Which.
        version: Version,
        /// Where.
        origin: Origin,
    },
    /// Ask the store which version stands before this one.
    FindOlder(Version),
    /// Ask the provider about the value that was read.
    Probe,
    /// Ask Flashback whether what it holds works.
    Validate(AiLlmId),
    /// Remember that this version is not to be pushed by itself.
    Hold {
        /// Which.
        version: Version,
        /// Why.
        reason: HoldReason,
    },
    /// Remember that the value on trial, or the live one where somebody wants that, is to be
    /// replaced by an older one.
    TurnBack {
        /// The older one.
        to: Stored,
        /// The version that is held then.
        from: Version,
        /// Why.
        reason: HoldReason,
    },
    /// Remember that the value on trial is in Flashback, or goes back in, for want of a better one.
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
    /// Remember that an older value should have been written again and could not be read.
    Leave(String),
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
