//! Walks the table: every situation that the diagram tells apart, and the step that follows.

use chrono::TimeDelta;

use super::scenario::{Scenario, at, digest, origin, settings, stored};
use super::*;
use crate::model::{Action, AiLlmId, Held, Intent, KeyId, Listed, Missing, Record};

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
    let resync = |case: Scenario| case.with(|case| case.now = at(24 * 3600));
    let lease = |case: Scenario, version: &str| {
        let held = Held {
            version: Version::new(version),
            reason: "broken".into(),
            origin: Some(origin("a")),
            instead: None,
            left_at: None,
        };
        case.with(|case| case.record.held = Some(held))
    };
    let elsewhere = |case: Scenario| case.with(|case| case.config().origin = origin("b"));
    let old = || Scenario::live().seen("2");
    let new = || old().read("2", "two");
    let first = || Scenario::fresh().read("1", "one");
    let moved =
        || Scenario::live().with(|case| case.config().settings = settings("n", "elsewhere"));
    let renamed = || Scenario::live().with(|case| case.config().settings = settings("m", "w"));

    let table = [
        // The source.
        (Scenario::live(), "in sync"),
        (
            Scenario::live().with(|case| case.observation = missing.clone()),
            "missing: Deleted",
        ),
        (
            Scenario::live()
                .forced()
                .with(|case| case.observation = missing),
            "missing: Deleted",
        ),
        (old(), "read 2"),
        (
            old().with(|case| case.newest = Some(Read::Missing(Missing::Destroyed))),
            "missing: Destroyed",
        ),
        (
            old().with(|case| case.newest = Some(malformed)),
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
        (elsewhere(Scenario::live()), "read 1"),
        (elsewhere(Scenario::live()).read("1", "one"), "note 1"),
        (
            elsewhere(Scenario::live()).read("1", "two"),
            "update id-1: rotated",
        ),
        (elsewhere(old().refused("2", 60)), "read 2"),
        (resync(Scenario::live()), "read 1"),
        (
            resync(Scenario::live()).read("1", "one"),
            "update id-1: resync",
        ),
        (Scenario::live().forced(), "read 1"),
        (
            Scenario::live().forced().read("1", "one"),
            "update id-1: forced",
        ),
        (Scenario::live().unfinished(Action::Update, "2"), "read 1"),
        (
            Scenario::live()
                .unfinished(Action::Update, "2")
                .read("1", "one"),
            "update id-1: unfinished push",
        ),
        (new().rejected(Action::Update), "refuse 2"),
        // None known.
        (Scenario::fresh(), "read 1"),
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
                    case.config().settings = settings("m", "w");
                }),
            "contradiction",
        ),
        // Gone, or elsewhere.
        (Scenario::fresh().read("1", "one").gone("id-1"), "list"),
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
        // Obstacles to a push.
        (new().refused("2", 60), "refused for 840 s"),
        (old().refused("2", 60), "refused for 840 s"),
        (old().refused("2", 900), "read 2"),
        (old().refused("2", -3600), "read 2"),
        (old().refused("3", 60), "read 2"),
        (old().refused("2", 1).started(0), "read 2"),
        (old().refused("2", 0).started(0), "refused for 900 s"),
        (old().refused("2", 1).started(1), "refused for 59 s"),
        (old().refused("2", 60).started(1), "read 2"),
        (old().refused("2", 60).started(3), "refused for 180 s"),
        (old().refused("2", 60).started(99), "refused for 840 s"),
        (old().refused("2", 900).started(99), "read 2"),
        (old().refused("2", 60).forced(), "read 2"),
        (
            old()
                .refused("2", 60)
                .with(|case| case.config().settings = settings("m", "w")),
            "read 2",
        ),
        (Scenario::live().refused("2", 60), "in sync"),
        (lease(old(), "2"), "held"),
        (lease(old(), "2").started(0), "held"),
        (lease(old().refused("2", 60), "2").started(0), "held"),
        (lease(old(), "1"), "read 2"),
        (lease(old(), "2").forced(), "read 2"),
        (lease(new(), "2").unfinished(Action::Update, "2"), "held"),
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
    let just_before = Scenario::live().with(|case| case.now = at(0) + day - TimeDelta::seconds(1));
    assert_eq!(just_before.step(), "in sync");
    assert_eq!(
        Scenario::live().with(|case| case.now = at(0) + day).step(),
        "read 1"
    );
}

#[test]
fn waiting_work_is_due_after_the_clock_is_set_back() {
    let back = |case: Scenario, seconds| {
        case.with(|case| case.now -= TimeDelta::seconds(seconds))
            .step()
    };
    let year = 365 * 24 * 3600;
    assert_eq!(
        back(Scenario::live(), 60 + 30),
        "in sync",
        "another process's clock"
    );
    assert_eq!(back(Scenario::live(), year), "read 1", "a resync");
    let refused = || Scenario::live().seen("2").refused("2", 60);
    assert_eq!(back(refused(), year), "read 2", "a refusal");
    let left = |now| {
        let case = Scenario::live().seen("2").with(|case| {
            case.now = now;
            case.record.held = Some(Held {
                version: Version::new("2"),
                reason: "by hand".to_owned(),
                origin: None,
                instead: Some(stored("0", "zero")),
                left_at: Some(at(0)),
            });
        });
        case.step()
    };
    assert_eq!(left(at(60)), "held");
    assert_eq!(
        left(at(-year)),
        "read older 0",
        "what could not be put back"
    );
    let mut record = Scenario::live().record.clone();
    record.edits.expected = 5;
    let intent = |at| Intent {
        version: Version::new("2"),
        fingerprint: digest("two"),
        settings: settings("n", "w"),
        action: Action::Update,
        at,
        drift: None,
    };
    let expected = |at| record.begun(intent(at), None).edits.expected;
    assert_eq!((expected(at(60)), expected(at(-year))), (6, 1), "events");
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
        drift: None,
    };
    record.intent = Some(intent(Action::Create));
    let there = Listed {
        id: AiLlmId::new("x"),
        appearance: scenario::shown(&settings("old", "w")),
    };
    let there = [&there];
    assert_eq!(find(&settings("new", "w"), &record, &there), found("x"));
    record.intent = Some(intent(Action::Update));
    assert_eq!(find(&settings("new", "w"), &record, &there), Remote::Absent);
}
