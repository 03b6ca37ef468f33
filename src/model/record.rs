//! What is remembered of a key between looks and restarts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::verification::{Verification, Verifier};
use super::{
    Action, AiLlmId, Appearance, Edit, Edits, KeyId, Lease, Mark, Origin, Repair, Settings,
    SourceId, Timeline, Version,
};
use crate::secret::Fingerprint;

/// What the state store remembers of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub key: KeyId,
    /// The configuration in Flashback, once known.
    pub ai_llm_id: Option<AiLlmId>,
    /// What Flashback is known to hold.
    pub live: Option<Live>,
    /// A write that was begun and whose outcome is not known.
    pub intent: Option<Intent>,
    /// A write that was refused and waits for a change, or for its time.
    pub refusal: Option<Refusal>,
    /// A version that may not be pushed by itself, and why.
    pub held: Option<Held>,
    /// What was live and good before the value that is live: what would be put back.
    pub previous: Option<Stored>,
    /// What Flashback holds has still to prove itself.
    pub verification: Option<Verification>,
    /// The newest value, which its provider has turned down so far. Flashback has not got it.
    pub candidate: Option<Verification>,
    /// What the store was last told about the version that is live.
    pub told: Option<Told>,
    /// The version the store was last seen to hold.
    pub seen: Option<Version>,
    /// The last look's doings, for people.
    pub look: CheckNote,
    /// Whose the key was when this was read; `None` where one process has all of them, or nobody
    /// this one. A save under a hold that is over is refused.
    pub lease: Option<Lease>,
    /// Somebody may have written what nobody holds on record.
    pub repair: Option<Repair>,
    /// Updates in Flashback that the key has heard of.
    pub edits: Edits,
    /// Updates that are still to be looked into. A save of the record that [has done
    /// so](Record::hearing) takes them out of the state.
    pub unheard: Vec<Edit>,
    /// The numbers of the updates that this record has heard of since it was read.
    pub heard: Vec<i64>,
}

impl Record {
    /// The record of a key nothing is known of.
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
            told: None,
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

/// What Flashback is known to hold for a key.
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
    /// When the source got the value, where that is known; of a source without versions, when it was first
    /// pushed.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// When Flashback answered.
    pub pushed_at: DateTime<Utc>,
    /// Who has taken it, since it was written with these settings.
    #[serde(default)]
    pub verified_by: Option<Verifier>,
    /// When.
    #[serde(default)]
    pub verified_at: Option<DateTime<Utc>>,
    /// How Flashback showed it before it was last put right there, as long as it is not seen to be
    /// shown otherwise.
    #[serde(default)]
    pub shown: Option<Shown>,
}

/// How Flashback's list showed a configuration that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Not at all.
    Nowhere,
    /// Like this.
    As(Appearance),
}

impl Live {
    /// Which value it is.
    pub fn stored(&self) -> Stored {
        Stored {
            version: self.version.clone(),
            fingerprint: self.fingerprint,
            origin: self.origin.clone(),
        }
    }
}

/// A value, by its digest and by where a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The version.
    pub version: Version,
    /// The keyed digest of the credentials.
    pub fingerprint: Fingerprint,
    /// Where they are taken from.
    pub origin: Origin,
}

impl Stored {
    /// Whether it is this version of that origin.
    pub fn is(&self, version: &Version, origin: &Origin) -> bool {
        self.version == *version && self.origin == *origin
    }
}

/// A write begun: recorded before the request leaves, cleared by its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is being written.
    pub version: Version,
    /// Its keyed digest.
    pub fingerprint: Fingerprint,
    /// With which settings.
    pub settings: Settings,
    /// How.
    pub action: Action,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// What it puts right in Flashback, where it is for that.
    #[serde(default)]
    pub drift: Option<String>,
}

/// A write Flashback refused for good (400, 403).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was refused.
    pub version: Version,
    /// Where it was taken from.
    pub origin: Origin,
    /// With which settings.
    pub settings: Settings,
    /// When.
    pub at: DateTime<Utc>,
    /// How many tries in a row a start or a reload has brought forward.
    #[serde(default)]
    pub early: u32,
    /// Flashback's words, without any value.
    pub error: String,
}

impl Refusal {
    /// Checks whether it was this version of that origin, with these settings, that was refused.
    pub fn is_of(&self, version: &Version, origin: &Origin, settings: &Settings) -> bool {
        self.version == *version && self.origin == *origin && self.settings == *settings
    }
}

/// A version that is not pushed by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which one.
    pub version: Version,
    /// Why.
    pub reason: String,
    /// Where it is taken from; a state written before this was kept has none.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// What is to be live meanwhile, where anything is.
    #[serde(default)]
    pub instead: Option<Stored>,
    /// When that should have been written again and could not be read.
    #[serde(default)]
    pub left_at: Option<DateTime<Utc>>,
}

impl Held {
    /// Whether it is this version of that origin that is held.
    pub fn is(&self, version: &Version, origin: &Origin) -> bool {
        self.version == *version && self.origin.as_ref().is_none_or(|held| held == origin)
    }
}

/// What a store was told about the version that is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which store.
    pub source: SourceId,
    /// Of which secret.
    pub path: String,
    /// The version that was said to be live.
    pub version: Version,
    /// When.
    pub at: DateTime<Utc>,
    /// It was taken back.
    pub withdrawn: bool,
}

/// The trace the last look left; lost in a crash without harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckNote {
    /// When the key was last looked at.
    pub checked_at: Option<DateTime<Utc>>,
    /// When it will be looked at next.
    pub next_at: Option<DateTime<Utc>>,
    /// What stands in the way, if anything does.
    pub problem: Option<Problem>,
    /// How the last day was, this look included.
    pub timeline: Timeline,
}

impl CheckNote {
    /// Goes on with the day of the look before this one.
    pub fn mark(&mut self, before: Self, mark: Option<Mark>) {
        self.timeline = before.timeline;
        if let (Some(now), Some(mark)) = (self.checked_at, mark) {
            let (checked_at, next_at) = (before.checked_at, before.next_at);
            self.timeline.add(checked_at, next_at, now, mark);
        }
    }
}

/// What stands in the way of a key being in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its kind, which decides the state shown.
    pub kind: ProblemKind,
    /// For people; never a value.
    pub error: String,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The store has nothing to push.
    Missing,
    /// The stored secret cannot be used.
    Malformed,
    /// The store could not be read.
    Source,
    /// Flashback refused, or could not be reached.
    Flashback,
    /// What Flashback holds does not work.
    Verification,
    /// Flashback does not list the workspace: what is changed there is not noticed. The key itself
    /// is none the worse for it.
    Unlisted,
}
