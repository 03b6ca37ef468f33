//! What the state remembers of a key from one check to the next, and over restarts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::verification::{Verification, Verifier};
use super::{
    Action, AiLlmId, Appearance, Edit, Edits, KeyId, Lease, Mark, Origin, Repair, Settings,
    SourceId, Stored, Timeline, Version,
};
use crate::secret::Fingerprint;

/// What the state remembers of one key.
///
/// It is kept as one JSON document. The fields that serde skips are no part of that document: the note of the last
/// look changes with every look and is kept beside it, and the others are about other processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: KeyId,
    /// The configuration in Flashback that holds its credentials, once that is known.
    pub ai_llm_id: Option<AiLlmId>,
    /// The version that Flashback is known to hold.
    pub live: Option<Live>,
    /// A write that was begun and whose outcome is not known.
    pub intent: Option<Intent>,
    /// A write that Flashback has refused. It is tried again after a change, or after a while.
    pub refusal: Option<Refusal>,
    /// A version that is pushed only when a person asks for it, and why.
    pub held: Option<Held>,
    /// The value that was live and worked before the one that is live: a rollback puts it back.
    pub previous: Option<Stored>,
    /// The verification of the value that Flashback holds, while it is under way.
    pub verification: Option<Verification>,
    /// The verification of the newest value before it is pushed, while the provider has not accepted it.
    pub candidate: Option<Verification>,
    /// What the source was last told about the version that is live.
    pub acknowledged: Option<Acknowledged>,
    /// The version that the source was last seen to hold.
    pub seen: Option<Version>,
    /// What the last look found, for people.
    #[serde(skip)]
    pub look: CheckNote,
    /// The claim on the key when this was read; `None` where one process has all keys, or nobody has this one. The
    /// state refuses a save under a claim that is over.
    #[serde(skip)]
    pub lease: Option<Lease>,
    /// The mark for repair: a replica that has lost the key may have written to Flashback since.
    #[serde(skip)]
    pub repair: Option<Repair>,
    /// What is known of updates that others have made in Flashback.
    pub edits: Edits,
    /// Updates that are still to be looked into. A save of a record that [has done so](Record::hearing) takes them
    /// out of the state.
    #[serde(skip)]
    pub unheard: Vec<Edit>,
    /// The numbers of the updates that were looked into since the record was read.
    #[serde(skip)]
    pub heard: Vec<i64>,
}

impl Record {
    /// Returns the record of a key of which nothing is known.
    pub fn new(key: KeyId) -> Self {
        Self {
            key,
            ai_llm_id: None,
            live: None,
            intent: None,
            refusal: None,
            held: None,
            previous: None,
            verification: None,
            candidate: None,
            acknowledged: None,
            seen: None,
            look: CheckNote::default(),
            lease: None,
            repair: None,
            edits: Edits::default(),
            unheard: Vec::new(),
            heard: Vec::new(),
        }
    }
}

/// The version that Flashback is known to hold for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// The version whose value it is.
    pub version: Version,
    /// The keyed digest of the credentials.
    pub fingerprint: Fingerprint,
    /// Where they were taken from.
    pub origin: Origin,
    /// The settings they were written with.
    pub settings: Settings,
    /// When the source got the value, where that is known; when it was first pushed, where the source has no versions.
    pub created_at: Option<DateTime<Utc>>,
    /// When Flashback answered.
    pub pushed_at: DateTime<Utc>,
    /// Who has verified it since it was written with these settings.
    pub verified_by: Option<Verifier>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// How Flashback showed it when it was last written because of that. It is not written again while Flashback
    /// shows it just so.
    pub shown: Option<Shown>,
}

/// How Flashback's list showed a configuration that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// It is not in the list.
    Nowhere,
    /// It is in the list, and looks like this.
    As(Appearance),
}

impl Live {
    /// Returns which value of the source it is.
    pub fn stored(&self) -> Stored {
        Stored {
            version: self.version.clone(),
            fingerprint: self.fingerprint,
            origin: self.origin.clone(),
        }
    }
}

/// A write begun: recorded before the request leaves, cleared by its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is being written.
    pub version: Version,
    /// Its keyed digest.
    pub fingerprint: Fingerprint,
    /// The settings it is written with.
    pub settings: Settings,
    /// How it is written.
    pub action: Action,
    /// When the write was begun.
    pub at: DateTime<Utc>,
    /// The change by others in Flashback that the write undoes, where it is for that.
    pub drift: Option<String>,
}

/// A write Flashback refused for good (400, 403).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was refused.
    pub version: Version,
    /// Where it was taken from.
    pub origin: Origin,
    /// The settings it would have been written with.
    pub settings: Settings,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// How many tries in a row were made early because of a start or a reload.
    pub early: u32,
    /// Flashback's reason, without any value.
    pub error: String,
}

impl Refusal {
    /// Checks whether it was this version of that origin, with these settings, that was refused.
    pub fn is_of(&self, version: &Version, origin: &Origin, settings: &Settings) -> bool {
        self.version == *version && self.origin == *origin && self.settings == *settings
    }
}

/// A version that is pushed only when a person asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The version.
    pub version: Version,
    /// Why it is held.
    pub reason: String,
    /// Where it is taken from.
    pub origin: Option<Origin>,
    /// The value that is to be live meanwhile, if any.
    pub instead: Option<Stored>,
    /// When that value should have been written again and could not be read.
    pub left_at: Option<DateTime<Utc>>,
}

impl Held {
    /// Checks whether it is this version of that origin that is held.
    pub fn is(&self, version: &Version, origin: &Origin) -> bool {
        self.version == *version && self.origin.as_ref().is_none_or(|held| held == origin)
    }
}

/// What a source was told about the version that is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The source.
    pub source: SourceId,
    /// The path of the secret there.
    pub path: String,
    /// The version that was said to be live.
    pub version: Version,
    /// When it was told.
    pub at: DateTime<Utc>,
    /// The source was told since that it is not live any more.
    pub withdrawn: bool,
}

/// What the last look at a key found. It may be lost in a crash without harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNote {
    /// When the key was last looked at.
    pub checked_at: Option<DateTime<Utc>>,
    /// When it will be looked at next.
    pub next_at: Option<DateTime<Utc>>,
    /// What keeps the key from being in sync, if anything does.
    pub problem: Option<Problem>,
    /// How the last 24 hours were, this look included.
    pub timeline: Timeline,
}

impl CheckNote {
    /// Adds this look to the day that the look before it has left.
    pub fn mark(&mut self, before: Self, mark: Option<Mark>) {
        self.timeline = before.timeline;
        if let (Some(now), Some(mark)) = (self.checked_at, mark) {
            let (checked_at, next_at) = (before.checked_at, before.next_at);
            self.timeline.add(checked_at, next_at, now, mark);
        }
    }
}

/// What keeps a key from being in sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind, which decides the state that is shown.
    pub kind: ProblemKind,
    /// The reason, for people; never a value.
    pub error: String,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The source has nothing to push.
    Missing,
    /// The stored secret cannot be used.
    Malformed,
    /// The source could not be read.
    Source,
    /// Flashback refused, or could not be reached.
    Flashback,
    /// What Flashback holds does not work.
    Verification,
    /// Flashback does not list the workspace, so that changes there are not noticed. The key itself is in sync.
    Unlisted,
}
