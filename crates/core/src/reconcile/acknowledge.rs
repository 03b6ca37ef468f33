//! The decision to acknowledge a version to its source.
//!
//! A version is acknowledged once, when it is live and verified in every key that reads the secret, and the
//! acknowledgement is withdrawn when the version is rolled back. A rotation alone withdraws nothing: until the
//! newer version is verified everywhere, the previous one must not be revoked.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Acknowledged, Origin, Record, Version, is_over};

/// The acknowledgement or withdrawal that is due to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// This version is live.
    Tell(Version),
    /// This version, which was acknowledged, is not live any more.
    Withdraw(Version),
    /// Nothing, because another key has acknowledged the version already.
    Heard(Acknowledged),
    /// Nothing yet: the version was verified a moment ago, and is acknowledged after this long.
    Later(Duration),
}

/// Returns `true` if something may have to be said to the source, by the key's own record. If not, the records of
/// other keys need not be loaded.
pub fn may_be_owed(record: &Record, origin: &Origin) -> bool {
    proven(record, origin).is_some_and(|version| !has_told(record, origin, version))
        || rolled_back(record, origin).is_some()
}

/// Returns `true` if another key's record is reason enough to say nothing.
pub fn stands_apart(record: &Record, other: &Record, origin: &Origin) -> bool {
    proven(record, origin) != proven(other, origin)
}

/// Returns the acknowledgement or withdrawal that is due, by the records of the key and of the others that read the
/// same secret.
///
/// A version is acknowledged only `settle` after its last verification, because clients may go on using the previous
/// one for a moment.
pub fn owed(
    record: &Record,
    origin: &Origin,
    others: &[Record],
    settle: Duration,
    now: DateTime<Utc>,
) -> Option<Owed> {
    if let Some(version) = rolled_back(record, origin) {
        return Some(Owed::Withdraw(version.clone()));
    }
    let version = proven(record, origin).filter(|version| !has_told(record, origin, version))?;
    if others
        .iter()
        .any(|other| stands_apart(record, other, origin))
    {
        return None;
    }
    let all = || others.iter().chain([record]);
    // The last acknowledgement of this version counts: one that was withdrawn has to be repeated.
    let said = all().filter_map(|record| {
        let told = record.acknowledged.as_ref()?;
        (is_of(told, origin) && told.version == *version).then_some(told)
    });
    Some(match said.max_by_key(|told| told.at) {
        Some(told) if !told.withdrawn => Owed::Heard(told.clone()),
        _ => match all()
            .filter_map(|record| settles_in(record, settle, now))
            .max()
        {
            Some(wait) => Owed::Later(wait),
            None => Owed::Tell(version.clone()),
        },
    })
}

/// Returns the version that is live and verified.
pub(crate) fn proven<'a>(record: &'a Record, origin: &Origin) -> Option<&'a Version> {
    let live = record.live.as_ref()?;
    let here = live.origin.source == origin.source && live.origin.path == origin.path;
    let settled = record.verification.is_none() && record.intent.is_none();
    (here && settled && live.verified_by.is_some()).then_some(&live.version)
}

/// Returns the rest of the `settle` time after the verification of the live version; `None` if it is over. A
/// verification in the future, from before the clock was set back, counts as long past.
fn settles_in(record: &Record, settle: Duration, now: DateTime<Utc>) -> Option<Duration> {
    let since = record.live.as_ref()?.verified_at?;
    let settling = !is_over(since, settle, now);
    // If the clock of another process is a little ahead, the whole time is waited.
    let left = settle.saturating_sub((now - since).to_std().unwrap_or_default());
    Some(left).filter(|left| settling && !left.is_zero())
}

/// Returns the version that was acknowledged and has been rolled back since.
fn rolled_back<'a>(record: &'a Record, origin: &Origin) -> Option<&'a Version> {
    let told = record.acknowledged.as_ref()?;
    let held = record.held.as_ref()?;
    let live = record.live.as_ref()?;
    let out = held.version == told.version && live.version != told.version;
    (is_of(told, origin) && !told.withdrawn && out).then_some(&told.version)
}

fn has_told(record: &Record, origin: &Origin, version: &Version) -> bool {
    record
        .acknowledged
        .as_ref()
        .is_some_and(|told| is_of(told, origin) && !told.withdrawn && told.version == *version)
}

fn is_of(told: &Acknowledged, origin: &Origin) -> bool {
    told.source == origin.source && told.path == origin.path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::FieldMap;
    use crate::model::{
        AiType, Held, KeyId, Live, Settings, SourceId, Stage, Target, Verification, Verifier,
        WorkspaceId,
    };
    use crate::secret::Fingerprinter;

    fn origin() -> Origin {
        Origin {
            source: SourceId::new("s"),
            path: "p".into(),
            fields: FieldMap::default(),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time")
    }

    fn verified(version: &str) -> Record {
        let mut record = Record::new(KeyId::new("k"));
        record.live = Some(Live {
            version: Version::new(version),
            fingerprint: Fingerprinter::new([3; 32]).bytes(b"x"),
            origin: origin(),
            settings: Settings {
                workspace_id: WorkspaceId::new("w"),
                name: "n".into(),
                ai_type: AiType::Openai,
                endpoint: "https://e".into(),
                target: Target::Configuration,
            },
            created_at: None,
            pushed_at: at(0),
            verified_by: Some(Verifier::Flashback),
            verified_at: Some(at(0)),
            shown: None,
        });
        record
    }

    const SETTLE: Duration = Duration::from_secs(30);

    #[test]
    fn acknowledges_after_the_last_key_of_the_secret_has_settled() {
        let late = |second| {
            let mut record = verified("2");
            record.live = record.live.map(|live| Live {
                verified_at: Some(at(second)),
                ..live
            });
            record
        };
        let later = |seconds| Some(Owed::Later(Duration::from_secs(seconds)));
        assert_eq!(of(&late(10), &[]), later(10));
        assert_eq!(of(&verified("2"), &[late(25)]), later(25));
        assert_eq!(of(&late(5), &[late(1)]), later(5));
        // A clock was set back.
        let told = Some(Owed::Tell(Version::new("2")));
        assert_eq!(of(&late(3600), &[]), told);
        assert_eq!(of(&late(0), &[]), told);
    }

    fn having_told(mut record: Record, version: &str, second: i64, withdrawn: bool) -> Record {
        record.acknowledged = Some(Acknowledged {
            source: SourceId::new("s"),
            path: "p".into(),
            version: Version::new(version),
            at: at(second),
            withdrawn,
        });
        record
    }

    fn of(record: &Record, others: &[Record]) -> Option<Owed> {
        let owed = owed(record, &origin(), others, SETTLE, at(30));
        // The quick question never hides an answer.
        assert!(owed.is_none() || may_be_owed(record, &origin()), "{owed:?}");
        owed
    }

    #[test]
    fn acknowledges_once_when_every_key_has_verified_the_version() {
        let tell = |version| Some(Owed::Tell(Version::new(version)));
        assert_eq!(of(&verified("2"), &[]), tell("2"));
        assert_eq!(of(&verified("2"), &[verified("2")]), tell("2"));
        assert_eq!(of(&verified("2"), &[verified("1")]), None);
        assert_eq!(of(&verified("2"), &[Record::new(KeyId::new("new"))]), None);
        assert_eq!(of(&having_told(verified("2"), "2", 1, false), &[]), None);
        let told = having_told(verified("2"), "2", 1, false);
        let heard = told.acknowledged.clone().map(Owed::Heard);
        assert_eq!(of(&verified("2"), &[told]), heard);
        assert_eq!(
            of(&having_told(verified("2"), "1", 1, false), &[]),
            tell("2")
        );

        let mut unverified = verified("2");
        unverified.live = unverified.live.map(|live| Live {
            verified_by: None,
            ..live
        });
        assert_eq!(of(&unverified, &[]), None);
        let mut in_verification = verified("2");
        let stored = in_verification
            .live
            .as_ref()
            .map(Live::stored)
            .expect("live");
        in_verification.verification = Some(Verification::begin(stored, Stage::After, true, at(0)));
        assert_eq!(of(&in_verification, &[]), None);
        assert_eq!(of(&verified("2"), &[in_verification]), None);
    }

    #[test]
    fn withdraws_the_acknowledgement_of_a_rolled_back_version() {
        let mut back = having_told(verified("1"), "2", 1, false);
        // Another version alone takes nothing back.
        assert_eq!(of(&back, &[verified("2")]), None);
        back.held = Some(Held {
            version: Version::new("2"),
            reason: "by hand".into(),
            origin: None,
            instead: None,
            left_at: None,
        });
        let withdraw = Some(Owed::Withdraw(Version::new("2")));
        assert_eq!(of(&back, &[verified("2")]), withdraw);
        let taken_back = having_told(back, "2", 5, true);
        assert_eq!(
            of(&taken_back, &[]),
            Some(Owed::Tell(Version::new("1"))),
            "what is back is live"
        );
        // Another key had acknowledged it before it was withdrawn.
        let forward = having_told(verified("2"), "2", 5, true);
        let other = having_told(verified("2"), "2", 1, false);
        assert_eq!(of(&forward, &[other]), Some(Owed::Tell(Version::new("2"))));
    }
}
