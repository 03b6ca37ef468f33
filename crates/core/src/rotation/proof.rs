//! What is live in the keys that read a secret.

use chrono::{DateTime, Utc};

use crate::model::{KeyId, Origin, Record, Version};
use crate::reconcile::proven;
use crate::secret::Fingerprint;

/// A key that reads the secret.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Its record.
    pub record: Record,
    /// `false` if it is not checked, so that what it has pushed stays live.
    pub enabled: bool,
}

/// What is live in the keys that read a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The version that is live and verified in each of them, with the digest of the value that the rotated key takes
    /// from it.
    pub everywhere: Option<(Version, Fingerprint)>,
    /// The digests of all values that are live in one of them, may be, or are to be.
    pub somewhere: Vec<Fingerprint>,
    /// The time at which Flashback accepted what is live in the rotated key.
    pub live_at: Option<DateTime<Utc>>,
    /// A key that keeps the newest version from being live and verified everywhere.
    pub behind: Option<KeyId>,
}

impl Proof {
    /// Returns what is live by the records of the rotated key and of the others that read the same secret.
    pub fn of(key: &Record, others: &[Reader], origin: &Origin) -> Self {
        let mut proof = Self::default();
        let mut everywhere = proven(key, origin).cloned();
        if everywhere.is_none() {
            proof.behind = Some(key.key.clone());
        }
        let records = others.iter().map(|other| &other.record).chain([key]);
        for record in records {
            let live = record.live.as_ref().map(|live| live.fingerprint);
            let intended = record.intent.as_ref().map(|intent| intent.fingerprint);
            let instead = record.held.as_ref().and_then(|held| held.instead.as_ref());
            let instead = instead.map(|stored| stored.fingerprint);
            // A rollback would put it back.
            let previous = record
                .previous
                .as_ref()
                .filter(|_| record.verification.is_some());
            let previous = previous.map(|stored| stored.fingerprint);
            let all = [live, intended, instead, previous].into_iter().flatten();
            proof.somewhere.extend(all);
        }
        for other in others {
            // A key that is not checked and has pushed nothing holds no value.
            if !other.enabled && other.record.live.is_none() && other.record.intent.is_none() {
                continue;
            }
            if proven(&other.record, origin) != proven(key, origin) {
                everywhere = None;
                proof.behind.get_or_insert_with(|| other.record.key.clone());
            }
        }
        let live = key.live.as_ref().map(|live| live.fingerprint);
        proof.live_at = key.live.as_ref().map(|live| live.pushed_at);
        proof.everywhere = everywhere.zip(live);
        proof
    }

    /// Returns the digest of the value that is live and verified everywhere.
    pub fn value(&self) -> Option<Fingerprint> {
        self.everywhere.as_ref().map(|(_, value)| *value)
    }
}
