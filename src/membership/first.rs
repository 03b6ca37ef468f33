//! The decision whether a key that was just claimed is checked at once or waits for its schedule.

use chrono::{DateTime, Utc};

use crate::model::{Live, Origin, Record, Settings, is_ahead};

/// Returns `true` if a key with a cron schedule is checked as soon as it was claimed. The replica that had it
/// before may have checked it as scheduled; then there is nothing to do until the next occurrence, unless
/// something is unfinished or the configuration asks for something else than it did then.
pub fn is_due(record: &Record, settings: &Settings, origin: &Origin, now: DateTime<Utc>) -> bool {
    let was_set_back = record.look.checked_at.is_some_and(|at| is_ahead(at, now));
    let missed = was_set_back || record.look.next_at.is_none_or(|at| at <= now);
    let unfinished = record.intent.is_some()
        || record.verification.is_some()
        || record.candidate.is_some()
        || record.repair.is_some()
        || record.look.problem.is_some();
    let asks_for = |live: &Live| live.settings == *settings && live.origin == *origin;
    missed || unfinished || !record.live.as_ref().is_some_and(asks_for)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;

    use super::*;
    use crate::document::FieldMap;
    use crate::model::{
        AiType, CheckNote, KeyId, Problem, ProblemKind, Repair, SourceId, Target, Version,
        WorkspaceId,
    };
    use crate::secret::Fingerprinter;

    fn settings(name: &str) -> Settings {
        Settings {
            workspace_id: WorkspaceId::new("w"),
            name: name.to_owned(),
            ai_type: AiType::Openai,
            endpoint: "https://api.openai.com/v1".to_owned(),
            target: Target::Configuration,
        }
    }

    fn origin() -> Origin {
        Origin {
            source: SourceId::new("s"),
            path: "p".to_owned(),
            fields: FieldMap::default(),
        }
    }

    fn at_rest(now: DateTime<Utc>) -> Record {
        Record {
            live: Some(Live {
                version: Version::new("1"),
                fingerprint: Fingerprinter::new([7; 32]).bytes(b"sk-a"),
                origin: origin(),
                settings: settings("a"),
                created_at: None,
                pushed_at: now,
                verified_by: None,
                verified_at: None,
                shown: None,
            }),
            look: CheckNote {
                checked_at: Some(now - TimeDelta::minutes(1)),
                next_at: Some(now + TimeDelta::hours(1)),
                ..CheckNote::default()
            },
            ..Record::new(KeyId::new("a"))
        }
    }

    #[test]
    fn only_an_undisturbed_key_waits_for_its_schedule_at_first() {
        let now = Utc::now();
        let due = |record: &Record| is_due(record, &settings("a"), &origin(), now);
        let rested = at_rest(now);
        assert!(!due(&rested));
        assert!(due(&Record::new(KeyId::new("a"))), "never looked at");
        let mut missed = rested.clone();
        missed.look.next_at = Some(now);
        assert!(due(&missed));
        let mut set_back = rested.clone();
        set_back.look.checked_at = Some(now + TimeDelta::days(365));
        set_back.look.next_at = Some(now + TimeDelta::days(366));
        assert!(due(&set_back), "of a clock that was wrong");
        let mut failing = rested.clone();
        failing.look.problem = Some(Problem {
            kind: ProblemKind::Flashback,
            error: "refused".to_owned(),
        });
        assert!(due(&failing));
        let mut marked = rested.clone();
        marked.repair = Some(Repair {
            number: 1,
            due_in: Duration::ZERO,
            done: false,
        });
        assert!(due(&marked));
        assert!(is_due(&rested, &settings("b"), &origin(), now), "renamed");
    }
}
