//! Walks the table: every situation that the diagram tells apart, and the step that follows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::document::FieldMap;
use crate::model::{AiType, Held, Intent, KeyId, Missing, Origin, Refusal, SourceId, WorkspaceId};
use crate::secret::Fingerprinter;

const RULES: Rules = Rules {
    resync: Duration::from_secs(24 * 3600),
    refused: Duration::from_secs(15 * 60),
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a time")
}

fn digest(value: &str) -> Fingerprint {
    Fingerprinter::new([3; 32]).bytes(value.as_bytes())
}

fn origin(path: &str) -> Origin {
    Origin {
        source: SourceId::new("s"),
        path: path.into(),
        fields: FieldMap::default(),
    }
}

fn settings(name: &str, workspace: &str) -> Settings {
    Settings {
        workspace_id: WorkspaceId::new(workspace),
        name: name.into(),
        ai_type: AiType::Openai,
        endpoint: "https://api.openai.com/v1".into(),
    }
}

/// One situation, built up from "version 1 is live and nothing has happened since".
struct Case {
    settings: Settings,
    origin: Origin,
    record: Record,
    observation: Observation,
    reading: Option<Read>,
    remote: Remote,
    rejection: Option<Rejection>,
    force: bool,
    now: DateTime<Utc>,
}

impl Case {
    fn fresh() -> Self {
        Self {
            settings: settings("n", "w"),
            origin: origin("a"),
            record: Record::new(KeyId::new("k")),
            observation: Observation::Present {
                version: Version::new("1"),
                written_at: None,
            },
            reading: None,
            remote: Remote::Unasked,
            rejection: None,
            force: false,
            now: at(60),
        }
    }

    fn live() -> Self {
        let mut case = Self::fresh();
        case.record = case.record.pushed(
            AiLlmId::new("id-1"),
            Version::new("1"),
            digest("one"),
            origin("a"),
            settings("n", "w"),
            at(0),
        );
        case
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn seen(self, version: &str) -> Self {
        let observation = Observation::Present {
            version: Version::new(version),
            written_at: None,
        };
        self.with(|case| case.observation = observation)
    }

    fn read(self, version: &str, value: &str) -> Self {
        let read = Read::Value {
            version: Version::new(version),
            fingerprint: digest(value),
        };
        self.with(|case| case.reading = Some(read))
    }

    fn unfinished(self, action: Action, version: &str) -> Self {
        self.with(|case| {
            case.record.intent = Some(Intent {
                version: Version::new(version),
                fingerprint: digest("two"),
                settings: case.settings.clone(),
                action,
                at: at(10),
            });
        })
    }

    fn refused(self, version: &str, after: i64) -> Self {
        self.with(|case| {
            case.record.refusal = Some(Refusal {
                version: Version::new(version),
                origin: origin("a"),
                settings: settings("n", "w"),
                at: at(60 - after),
                error: "no".into(),
            });
        })
    }

    fn rejected(self, action: Action) -> Self {
        self.with(|case| {
            case.rejection = Some(Rejection::Refused {
                action,
                error: "no".into(),
            });
        })
    }

    fn gone(self, id: &str) -> Self {
        self.with(|case| case.rejection = Some(Rejection::Gone(AiLlmId::new(id))))
    }

    fn remote(self, remote: Remote) -> Self {
        self.with(|case| case.remote = remote)
    }

    fn forced(self) -> Self {
        self.with(|case| case.force = true)
    }

    /// The step, in few words.
    fn step(&self) -> String {
        let step = decide(&Facts {
            settings: &self.settings,
            origin: &self.origin,
            record: &self.record,
            observation: &self.observation,
            reading: self.reading.as_ref(),
            remote: &self.remote,
            rejection: self.rejection.as_ref(),
            force: self.force,
            rules: RULES,
            now: self.now,
        });
        match step {
            Step::Read(version) => format!("read {version}"),
            Step::List => "list".into(),
            Step::Push { action, id, reason } => {
                let id = id.map_or_else(String::new, |id| format!(" {id}"));
                format!("{}{id}: {reason}", action.as_str())
            }
            Step::Note(version) => format!("note {version}"),
            Step::Refuse { version, .. } => format!("refuse {version}"),
            Step::Rest(Rest::InSync) => "in sync".into(),
            Step::Rest(Rest::Missing(why)) => format!("missing: {why:?}"),
            Step::Rest(Rest::Malformed(_)) => "malformed".into(),
            Step::Rest(Rest::Held(_)) => "held".into(),
            Step::Rest(Rest::Refused { until, .. }) => {
                format!("refused for {} s", (until - self.now).num_seconds())
            }
            Step::Rest(Rest::Contradiction(_)) => "contradiction".into(),
        }
    }
}

fn found(id: &str) -> Remote {
    Remote::Found(AiLlmId::new(id))
}

#[test]
fn the_whole_table() {
    let missing = Observation::Missing(Missing::Deleted);
    let malformed = Read::Malformed {
        version: Version::new("2"),
        error: "empty".into(),
    };
    let unlistable = || Remote::Unlistable("403".into());
    let doubled = || Remote::Doubled(vec![AiLlmId::new("a"), AiLlmId::new("b")]);
    let resync = |case: Case| case.with(|case| case.now = at(24 * 3600));
    let hold = |case: Case, version: &str| {
        let held = Held {
            version: Version::new(version),
            reason: "broken".into(),
        };
        case.with(|case| case.record.held = Some(held))
    };
    let elsewhere = |case: Case| case.with(|case| case.origin = origin("b"));
    let old = || Case::live().seen("2");
    let new = || old().read("2", "two");
    let first = || Case::fresh().read("1", "one");
    let moved = || Case::live().with(|case| case.settings = settings("n", "elsewhere"));
    let renamed = || Case::live().with(|case| case.settings = settings("m", "w"));

    let table = [
        // The store.
        (Case::live(), "in sync"),
        (
            Case::live().with(|case| case.observation = missing.clone()),
            "missing: Deleted",
        ),
        (
            Case::live()
                .forced()
                .with(|case| case.observation = missing),
            "missing: Deleted",
        ),
        (old(), "read 2"),
        (
            old().with(|case| case.reading = Some(Read::Missing(Missing::Destroyed))),
            "missing: Destroyed",
        ),
        (
            old().with(|case| case.reading = Some(malformed)),
            "malformed",
        ),
        (old().read("2", "one"), "note 2"),
        (old().read("3", "one"), "note 3"),
        (old().read("1", "one"), "in sync"),
        // A known configuration.
        (new(), "update id-1: rotated"),
        (renamed(), "read 1"),
        (renamed().read("1", "one"), "update id-1: settings changed"),
        (renamed().read("1", "two"), "update id-1: rotated"),
        (elsewhere(Case::live()), "read 1"),
        (elsewhere(Case::live()).read("1", "one"), "note 1"),
        (
            elsewhere(Case::live()).read("1", "two"),
            "update id-1: rotated",
        ),
        (elsewhere(old().refused("2", 60)), "read 2"),
        (resync(Case::live()), "read 1"),
        (resync(Case::live()).read("1", "one"), "update id-1: resync"),
        (Case::live().forced(), "read 1"),
        (
            Case::live().forced().read("1", "one"),
            "update id-1: forced",
        ),
        (Case::live().unfinished(Action::Update, "2"), "read 1"),
        (
            Case::live()
                .unfinished(Action::Update, "2")
                .read("1", "one"),
            "update id-1: unfinished push",
        ),
        (new().rejected(Action::Update), "refuse 2"),
        // None known.
        (Case::fresh(), "read 1"),
        (first(), "list"),
        (first().remote(Remote::Absent), "create: first push"),
        (first().remote(found("x")), "adopt x: first push"),
        (first().remote(doubled()), "contradiction"),
        (first().remote(unlistable()), "create: first push"),
        (
            first().remote(Remote::Absent).rejected(Action::Create),
            "refuse 1",
        ),
        (
            first().remote(unlistable()).rejected(Action::Create),
            "refuse 1",
        ),
        (first().rejected(Action::Create), "list"),
        (
            first().remote(found("x")).rejected(Action::Create),
            "adopt x: first push",
        ),
        (
            first().remote(found("x")).rejected(Action::Adopt),
            "refuse 1",
        ),
        (first().unfinished(Action::Create, "1"), "list"),
        (
            first().unfinished(Action::Create, "1").remote(found("x")),
            "adopt x: unfinished push",
        ),
        (
            first()
                .unfinished(Action::Create, "1")
                .remote(unlistable())
                .with(|case| {
                    case.settings = settings("m", "w");
                }),
            "contradiction",
        ),
        // Gone, or elsewhere.
        (Case::fresh().read("1", "one").gone("id-1"), "list"),
        (
            first().gone("id-1").remote(Remote::Absent),
            "create: first push",
        ),
        (
            first().gone("id-1").remote(found("x")),
            "adopt x: first push",
        ),
        (first().gone("id-1").remote(found("id-1")), "contradiction"),
        (moved(), "read 1"),
        (moved().read("1", "one"), "list"),
        (
            moved().read("1", "one").remote(Remote::Absent),
            "create: settings changed",
        ),
        // What stands in the way.
        (new().refused("2", 60), "refused for 840 s"),
        (old().refused("2", 60), "refused for 840 s"),
        (old().refused("2", 900), "read 2"),
        (old().refused("2", -3600), "read 2"),
        (old().refused("3", 60), "read 2"),
        (old().refused("2", 60).forced(), "read 2"),
        (
            old()
                .refused("2", 60)
                .with(|case| case.settings = settings("m", "w")),
            "read 2",
        ),
        (Case::live().refused("2", 60), "in sync"),
        (hold(old(), "2"), "held"),
        (hold(old(), "1"), "read 2"),
        (hold(old(), "2").forced(), "read 2"),
        (hold(new(), "2").unfinished(Action::Update, "2"), "held"),
    ];
    let mut wrong = Vec::new();
    for (row, (case, expected)) in table.iter().enumerate() {
        let step = case.step();
        if step != *expected {
            wrong.push(format!("row {row}: {step}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn resync_is_due_to_the_second() {
    let day = TimeDelta::hours(24);
    let just_before = Case::live().with(|case| case.now = at(0) + day - TimeDelta::seconds(1));
    assert_eq!(just_before.step(), "in sync");
    assert_eq!(
        Case::live().with(|case| case.now = at(0) + day).step(),
        "read 1"
    );
}

#[test]
fn a_creation_under_an_earlier_name_is_found_by_it() {
    let mut record = Record::new(KeyId::new("k"));
    let intent = |action| Intent {
        version: Version::new("1"),
        fingerprint: digest("one"),
        settings: settings("old", "w"),
        action,
        at: at(0),
    };
    record.intent = Some(intent(Action::Create));
    let id = AiLlmId::new("x");
    let there = [(&id, &settings("old", "w"))];
    assert_eq!(find(&settings("new", "w"), &record, &there), found("x"));
    record.intent = Some(intent(Action::Update));
    assert_eq!(find(&settings("new", "w"), &record, &there), Remote::Absent);
    assert_eq!(
        find(&settings("old", "other"), &record, &there),
        Remote::Absent
    );
}
