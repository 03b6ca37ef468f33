//! All that is known of one key when a decision is made.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{
    Action, AiLlmId, Appearance, KeyCommand, KeyConfig, Missing, Observation, Origin, Record,
    Shown, Stored, Verifier, Version, is_over,
};
use crate::secret::Credentials;

/// All that is known of one key while it is checked. Each step of the check adds what it has found.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// The key's configuration.
    pub config: Arc<KeyConfig>,
    /// The intervals that decisions depend on.
    pub rules: Rules,
    /// The command that a person gave, until it is carried out.
    pub command: KeyCommand,
    /// The key's record in the state.
    pub record: Record,
    /// The version that the source has. Before the source is asked, the secret counts as not found.
    pub observation: Observation,
    /// The result of reading the newest version, once it was read.
    pub newest: Option<Read>,
    /// The result of reading a previous version, once one was read.
    pub older: Option<Older>,
    /// The version before the one being verified, or why there is none, once the source was asked.
    pub before: Option<Result<Version, String>>,
    /// The provider's answer about the newest value, if it was asked and does not prevent the push.
    pub clearance: Option<Clearance>,
    /// The result of looking the key's name up in Flashback's list.
    pub remote: Remote,
    /// The result of comparing the configuration on record with the list, once that was done.
    pub compared: Option<Compared>,
    /// The way in which Flashback turned down a push during this check, if it did.
    pub rejection: Option<Rejection>,
    /// The time at which the decision is made.
    pub now: DateTime<Utc>,
}

impl Knowledge {
    /// Returns what is known before the source, the provider or Flashback is called: the configuration and the record.
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

    /// Returns `true` if another replica may have written to Flashback after it had lost its lease, so that
    /// what should be live is to be written once more.
    pub(super) fn repair_is_due(&self) -> bool {
        self.record.repair.is_some_and(|repair| repair.is_due())
    }

    /// Returns `true` if the live value was written so long ago that it is to be written again.
    pub(super) fn resync_is_due(&self) -> bool {
        let live = self.record.live.as_ref();
        live.is_some_and(|live| is_over(live.pushed_at, self.rules.resync, self.now))
    }
}

/// A value that was read from a source: the credentials, and what identifies them.
#[derive(Clone, Debug)]
pub struct ReadValue {
    /// The version, its origin and the fingerprint of the credentials.
    pub stored: Stored,
    /// The credentials as they are written to Flashback.
    pub credentials: Arc<Credentials>,
}

/// Compares fingerprint, version and origin; the fingerprint stands for the credentials.
impl PartialEq for ReadValue {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl Eq for ReadValue {}

/// The result of reading the newest version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value. Its version may be newer than the one that was observed.
    Value(ReadValue),
    /// A secret that cannot be a key.
    Malformed {
        /// The version that was read.
        version: Version,
        /// The reason, for people; never a secret value.
        error: String,
    },
    /// Nothing, because the version was deleted after it was observed.
    Missing(Missing),
}

/// The result of reading a previous version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// The version that was to be read.
    pub version: Version,
    /// The place in the source where it is kept.
    pub origin: Origin,
    /// The value, or the reason why it cannot be read.
    pub found: Result<ReadValue, String>,
}

/// A provider's answer about a value that may be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// The provider accepts the value.
    Taken,
    /// The provider gave no verdict, or was not asked, which does not prevent a push.
    Unknown,
}

impl Clearance {
    /// Returns the verifier that has accepted the value, if there is one.
    pub fn verifier(self) -> Option<Verifier> {
        match self {
            Self::Taken => Some(Verifier::Provider),
            Self::Unknown => None,
        }
    }
}

/// The result of looking a key's name up in Flashback's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The list was not asked for, or is out of date.
    Unasked,
    /// The list has no entry of that name.
    Absent,
    /// The list has this entry.
    Found(AiLlmId),
    /// The list has an entry whose credentials come from a stored key, which others may share.
    Shared {
        /// The configuration.
        id: AiLlmId,
        /// The stored key.
        stored_key: AiLlmId,
    },
    /// The list has more than one entry of that name, which the API's own rules forbid.
    Doubled(Vec<AiLlmId>),
    /// The list could not be had, for this reason.
    Unlistable(String),
}

/// The way in which Flashback turned a push down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 404: Flashback has nothing of this id.
    Gone(AiLlmId),
    /// Flashback refused the write (400, 403 and the like).
    Refused {
        /// The kind of write.
        action: Action,
        /// The error that Flashback gave, as far as it may be shown.
        error: String,
    },
}

impl Rejection {
    pub(super) fn is_of_create(&self) -> bool {
        let create = Action::Create;
        matches!(self, Self::Refused { action, .. } if *action == create)
    }
}

/// The greatest age of a list that may answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListAge {
    /// The list is asked for now.
    Zero,
    /// Some seconds. A write follows, which the answer may forbid; if no answer comes soon, the write does not
    /// wait for it.
    Seconds,
    /// Some minutes. Nothing is written because of such a list alone.
    Minutes,
}

/// The difference between a list and the configuration on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Unknown: there was no list, or it is too old to tell.
    Unknown,
    /// The configuration is as it was written.
    AsWritten,
    /// The configuration is not in the list.
    Gone,
    /// The configuration was edited and has this appearance.
    Edited(Appearance),
    /// The configuration takes its credentials from this stored key, which others may share.
    Shared(AiLlmId),
    /// Another configuration has the key's name.
    TakenOver {
        /// The other configuration.
        by: AiLlmId,
        /// The present name of the key's configuration; `None` if it is gone.
        renamed: Option<String>,
    },
}

/// A comparison of the record with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The difference that was found.
    pub drift: Drift,
    /// The greatest age that the list may have had.
    pub age: ListAge,
}

impl Compared {
    /// Returns the comparison that holds right after a write, when every earlier list is out of date.
    pub fn outdated() -> Self {
        Self {
            drift: Drift::Unknown,
            age: ListAge::Zero,
        }
    }

    /// Returns how the list showed the configuration, to be recorded when the difference is repaired.
    pub fn shown(&self) -> Option<Shown> {
        match &self.drift {
            Drift::Gone => Some(Shown::Nowhere),
            Drift::Edited(appearance) => Some(Shown::As(appearance.clone())),
            Drift::Unknown | Drift::AsWritten | Drift::Shared(_) | Drift::TakenOver { .. } => None,
        }
    }
}

/// The intervals that decisions depend on, and the time from which the wait after a refusal is shortened.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The time after which a key is pushed again, whether it has changed or not.
    pub resync: Duration,
    /// The time after which a refused write is tried again.
    pub refused: Duration,
    /// The time of the last start or reload. The cause of an earlier refusal may have been removed by it, so the write
    /// is tried again sooner. `DateTime::<Utc>::MIN_UTC` turns that off.
    pub since: DateTime<Utc>,
}

/// The wait before the second try that a start or reload brings forward; it doubles with each further one.
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
