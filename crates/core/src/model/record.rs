//! The record of a key, which the state keeps from one check to the next and over restarts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::verification::{Verification, Verifier};
use super::{
    Action, AiLlmId, Appearance, Edit, Edits, KeyId, Lease, Mark, Origin, Repair, Rotation,
    Settings, SourceId, Stored, Timeline, Version,
};
use crate::secret::Fingerprint;

/// The record of one key in the state.
///
/// It is kept as one JSON document. The fields that serde skips are no part of that document: the note of the last
/// check changes with every check and is kept beside it, and the others are about other processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: KeyId,
    /// The configuration in Flashback that holds its credentials, once that is known.
    pub ai_llm_id: Option<AiLlmId>,
    /// The configuration or stored key that this program has created last for the key. Others, which it adopted, are
    /// never deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<AiLlmId>,
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
    /// The last acknowledgement that the source has received.
    pub acknowledged: Option<Acknowledged>,
    /// Its rotations, if this program rotates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Box<Rotation>>,
    /// The version that the source was last seen to hold.
    pub seen: Option<Version>,
    /// The result of the last check, for people.
    #[serde(skip)]
    pub look: CheckNote,
    /// The lease on the key when the record was read; `None` if one process has all keys, or no replica has this one.
    /// The state refuses a save under a lease that another has replaced.
    #[serde(skip)]
    pub lease: Option<Lease>,
    /// The mark for repair: a replica that has lost the key may have written to Flashback since.
    #[serde(skip)]
    pub repair: Option<Repair>,
    /// The known updates that other users have made in Flashback.
    pub edits: Edits,
    /// Updates that are still to be examined. Saving a record that [has examined](Record::hearing) them removes them
    /// from the state.
    #[serde(skip)]
    pub unheard: Vec<Edit>,
    /// The numbers of the updates that were examined since the record was read.
    #[serde(skip)]
    pub heard: Vec<i64>,
}

impl Record {
    /// Returns the record of a key of which nothing is known.
    pub fn new(key: KeyId) -> Self {
        Self {
            key,
            ai_llm_id: None,
            created: None,
            live: None,
            intent: None,
            refusal: None,
            held: None,
            previous: None,
            verification: None,
            candidate: None,
            acknowledged: None,
            rotation: None,
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
    /// The source, path and fields that they were read from.
    pub origin: Origin,
    /// The settings they were written with.
    pub settings: Settings,
    /// The time at which the value was written to the source, if known. For a source without versions, the time at
    /// which it was first pushed.
    pub created_at: Option<DateTime<Utc>>,
    /// The time at which Flashback answered.
    pub pushed_at: DateTime<Utc>,
    /// The verifier that has accepted it since it was written with these settings.
    pub verified_by: Option<Verifier>,
    /// The time at which it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// The appearance in Flashback that was the reason for the last write. It is not written again while Flashback
    /// shows it in the same way.
    pub shown: Option<Shown>,
}

/// The appearance in Flashback's list of a configuration that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// It is not in the list.
    Nowhere,
    /// It is in the list with this appearance.
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
    /// The version that is being written.
    pub version: Version,
    /// Its keyed digest.
    pub fingerprint: Fingerprint,
    /// The settings it is written with.
    pub settings: Settings,
    /// The kind of write.
    pub action: Action,
    /// The time at which the write was begun.
    pub at: DateTime<Utc>,
    /// The change by another user in Flashback that the write undoes, if it has that purpose.
    pub drift: Option<String>,
}

/// A write that Flashback has refused (400, 403), so that a retry fails until a person changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The version that was refused.
    pub version: Version,
    /// The source, path and fields that it was read from.
    pub origin: Origin,
    /// The settings it would have been written with.
    pub settings: Settings,
    /// The time at which it was refused.
    pub at: DateTime<Utc>,
    /// The number of tries in a row that a start or a reload has brought forward.
    pub early: u32,
    /// Flashback's reason, without any value.
    pub error: String,
}

impl Refusal {
    /// Returns `true` if it was this version of that origin, with these settings, that was refused.
    pub fn is_of(&self, version: &Version, origin: &Origin, settings: &Settings) -> bool {
        self.version == *version && self.origin == *origin && self.settings == *settings
    }
}

/// A version that is pushed only when a person asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The version.
    pub version: Version,
    /// The reason, for people.
    pub reason: String,
    /// The source, path and fields that it is read from.
    pub origin: Option<Origin>,
    /// The value that is to be live meanwhile, if any.
    pub instead: Option<Stored>,
    /// The time at which that value should have been written again and could not be read.
    pub left_at: Option<DateTime<Utc>>,
}

impl Held {
    /// Returns `true` if it is this version of that origin that is held.
    pub fn is(&self, version: &Version, origin: &Origin) -> bool {
        self.version == *version && self.origin.as_ref().is_none_or(|held| held == origin)
    }
}

/// An acknowledgement that a source has received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The source.
    pub source: SourceId,
    /// The path of the secret there.
    pub path: String,
    /// The version that was acknowledged as live.
    pub version: Version,
    /// The time of the acknowledgement.
    pub at: DateTime<Utc>,
    /// `true` if the acknowledgement was withdrawn since.
    pub withdrawn: bool,
}

/// The result of the last check of a key. It may be lost in a crash without harm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNote {
    /// The time of the last check.
    pub checked_at: Option<DateTime<Utc>>,
    /// The time of the next check.
    pub next_at: Option<DateTime<Utc>>,
    /// The problem that keeps the key from being in sync, if there is one.
    pub problem: Option<Problem>,
    /// What its rotation waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// The timeline of the last 24 hours, including this check.
    pub timeline: Timeline,
}

impl CheckNote {
    /// Adds this check to the timeline of `before`, the note of the previous check.
    pub fn mark(&mut self, before: Self, mark: Option<Mark>) {
        self.timeline = before.timeline;
        if let (Some(now), Some(mark)) = (self.checked_at, mark) {
            let (checked_at, next_at) = (before.checked_at, before.next_at);
            self.timeline.add(checked_at, next_at, now, mark);
        }
    }
}

/// A problem that keeps a key from being in sync.
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
    /// The value in Flashback does not work.
    Verification,
    /// Flashback does not list the workspace, so that changes there are not noticed. The key itself is in sync.
    Unlisted,
}
