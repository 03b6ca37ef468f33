//! What a decision goes by: all that is known of one key.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::KeyConfig;
use crate::model::{
    Action, AiLlmId, Appearance, KeyCommand, Missing, Observation, Origin, Record, Shown, Stored,
    Verifier, Version, is_over,
};
use crate::secret::Credentials;

/// All that is known of one key while it is checked. Each step of the check adds what it has found.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// What the configuration says of the key.
    pub config: Arc<KeyConfig>,
    /// The intervals that decisions go by.
    pub rules: Rules,
    /// What a person asked for, until it is done.
    pub command: KeyCommand,
    /// What the state remembers of the key.
    pub record: Record,
    /// The version that the source holds; none before it was asked.
    pub observation: Observation,
    /// What the newest version was found to hold, once it was read.
    pub newest: Option<Read>,
    /// What an older version was found to hold, once one was read.
    pub older: Option<Older>,
    /// The version before the one on trial, or why there is none, once the source was asked for it.
    pub before: Option<Result<Version, String>>,
    /// What the provider said of the value that was read, where that does not stand in the way of a push.
    pub clearance: Option<Clearance>,
    /// What Flashback's list says about the key's name.
    pub remote: Remote,
    /// What the list says about the configuration on record, once they were compared.
    pub compared: Option<Compared>,
    /// How Flashback turned down a push of this check.
    pub rejection: Option<Rejection>,
    /// The time.
    pub now: DateTime<Utc>,
}

impl Knowledge {
    /// Returns what is known before anybody is asked anything: the configuration and the record.
    pub fn new(config: Arc<KeyConfig>, rules: Rules, record: Record, now: DateTime<Utc>) -> Self {
        Self {
            config,
            rules,
            command: KeyCommand::None,
            record,
            observation: Observation::Missing(Missing::NotFound),
            newest: None,
            older: None,
            before: None,
            clearance: None,
            remote: Remote::Unasked,
            compared: None,
            rejection: None,
            now,
        }
    }

    /// Returns the id on record of what holds the key in Flashback. There is none where the key was moved to
    /// another workspace or target since: a configuration cannot move.
    pub(super) fn known_id(&self) -> Option<&AiLlmId> {
        let (record, wanted) = (&self.record, &self.config.settings);
        let written = record.live.as_ref().map(|live| &live.settings);
        let home = written.or(record.intent.as_ref().map(|intent| &intent.settings))?;
        let same = home.workspace_id == wanted.workspace_id && home.target == wanted.target;
        record.ai_llm_id.as_ref().filter(|_| same)
    }

    /// Returns whether another replica may have written to Flashback after it had lost its lease, so that
    /// what should be live is to be written once more.
    pub(super) fn repair_is_due(&self) -> bool {
        self.record.repair.is_some_and(|repair| repair.is_due())
    }

    /// Returns whether what is live was written so long ago that it is to be written again.
    pub(super) fn resync_is_due(&self) -> bool {
        let live = self.record.live.as_ref();
        live.is_some_and(|live| is_over(live.pushed_at, self.rules.resync, self.now))
    }
}

/// A value that was read from a source: where it is kept, its digest, and the credentials themselves.
#[derive(Clone, Debug)]
pub struct ReadValue {
    /// The version, its keyed digest and where it is kept.
    pub stored: Stored,
    /// What is to be written into Flashback.
    pub credentials: Arc<Credentials>,
}

/// Two values are equal where their digests are, and the places they are kept at.
impl PartialEq for ReadValue {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl Eq for ReadValue {}

/// What a read of the newest version found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value; its version may be newer than the one that was observed.
    Value(ReadValue),
    /// Something that cannot be a key.
    Malformed {
        /// The version it belongs to.
        version: Version,
        /// What is wrong with it, for people; never a value.
        error: String,
    },
    /// Nothing: it was deleted after it was observed.
    Missing(Missing),
}

/// What a read of one older version found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// The version that was asked for.
    pub version: Version,
    /// Where it is kept.
    pub origin: Origin,
    /// Its value, or why it cannot be had.
    pub found: Result<ReadValue, String>,
}

/// What a provider said of a value that may be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// It takes the value.
    Taken,
    /// It did not say, and that keeps nothing back.
    Unknown,
}

impl Clearance {
    /// Returns who has taken the value.
    pub fn verifier(self) -> Option<Verifier> {
        match self {
            Self::Taken => Some(Verifier::Provider),
            Self::Unknown => None,
        }
    }
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

impl Rejection {
    pub(super) fn is_of_create(&self) -> bool {
        let create = Action::Create;
        matches!(self, Self::Refused { action, .. } if *action == create)
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

/// What the list says of the configuration on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Nothing that could be relied on.
    Unknown,
    /// It is as it was written.
    AsWritten,
    /// It is not in the list.
    Gone,
    /// It stands there like this.
    Edited(Appearance),
    /// It takes its credentials from this stored key, which others may share.
    Shared(AiLlmId),
    /// Another configuration has its name.
    TakenOver {
        /// Which.
        by: AiLlmId,
        /// The name that ours has now; `None` where it is gone.
        renamed: Option<String>,
    },
}

/// A comparison of this pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What came of it.
    pub drift: Drift,
    /// How old the list may be that it was held against.
    pub age: ListAge,
}

impl Compared {
    /// What was just written makes every earlier answer out of date.
    pub fn outdated() -> Self {
        Self {
            drift: Drift::Unknown,
            age: ListAge::Zero,
        }
    }

    /// What is to be remembered of the list when a repair is taken.
    pub fn shown(&self) -> Option<Shown> {
        match &self.drift {
            Drift::Gone => Some(Shown::Nowhere),
            Drift::Edited(appearance) => Some(Shown::As(appearance.clone())),
            Drift::Unknown | Drift::AsWritten | Drift::Shared(_) | Drift::TakenOver { .. } => None,
        }
    }
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
