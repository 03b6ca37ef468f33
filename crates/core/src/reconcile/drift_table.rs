//! Walks the table of drift: what the list says of the configuration on record, and the step that
//! follows.

use super::scenario::{Scenario, at, origin, settings, stored};
use super::*;
use crate::model::{
    Action, AiLlmId, Appearance, Held, Listed, Record, Settings, Shown, Verification,
};

fn edited() -> Settings {
    Settings {
        endpoint: "https://other.example.com".into(),
        ..settings("n", "w")
    }
}

fn taken(renamed: Option<&str>) -> Drift {
    Drift::TakenOver {
        by: AiLlmId::new("other"),
        renamed: renamed.map(str::to_owned),
    }
}

impl Scenario {
    fn compared(self, drift: &Drift) -> Self {
        let compared = Some(Compared {
            drift: drift.clone(),
            age: ListAge::Minutes,
        });
        self.with(|case| case.compared = compared)
    }

    fn compared_to_write(self, drift: &Drift) -> Self {
        let compared = Some(Compared {
            drift: drift.clone(),
            age: ListAge::Seconds,
        });
        self.with(|case| case.compared = compared)
    }

    fn afresh(self, drift: &Drift) -> Self {
        let compared = Some(Compared {
            drift: drift.clone(),
            age: ListAge::Zero,
        });
        self.with(|case| case.compared = compared)
    }

    fn not_compared(self) -> Self {
        self.with(|case| case.compared = None)
    }

    /// Records that the list did not show the last repair.
    fn shown(self, shown: Shown) -> Self {
        self.with(|case| {
            let live = case.record.live.as_mut().expect("something is live");
            live.shown = Some(shown);
        })
    }

    /// Puts the live value into verification since `second`.
    fn in_verification(self, stage: Stage, second: i64) -> Self {
        self.with(|case| {
            let mut verification = Verification::begin(stored("1", "one"), stage, true, at(second));
            verification.next_at = at(1_000_000);
            case.record.verification = Some(verification);
        })
    }

    /// Holds a version, with `instead` to be live meanwhile.
    fn holding(self, version: &str, instead: Option<Stored>) -> Self {
        let held = Held {
            version: Version::new(version),
            reason: "broken".into(),
            origin: Some(origin("a")),
            instead,
            left_at: None,
        };
        self.with(|case| case.record.held = Some(held))
    }

    fn read_older(self, version: &str, value: &str) -> Self {
        let older = Older {
            version: Version::new(version),
            origin: origin("a"),
            found: Ok(scenario::value(version, value)),
        };
        self.with(|case| case.older = Some(older))
    }
}

#[test]
fn the_whole_table_of_drift() {
    let (gone, edit) = (Drift::Gone, Drift::Edited(scenario::shown(&edited())));
    let shared = Drift::Shared(AiLlmId::new("key-1"));
    let live = Scenario::live;
    let resync = || live().with(|case| case.now = at(24 * 3600));
    let held = || live().seen("2").holding("2", Some(stored("1", "one")));
    let left = || {
        held().with(|case| {
            let held = case.record.held.as_mut().expect("it is held");
            held.left_at = Some(at(0));
        })
    };
    let here = || live().holding("1", None);
    let put_right = "update id-1: endpoint was https://other.example.com in Flashback";
    let put_right_older = "update id-1 with the older one: endpoint was \
                           https://other.example.com in Flashback";
    let made_sure = "update id-1: it was missing from Flashback's list";

    let table = [
        // Asked when nothing else is to be done …
        (live().not_compared(), "compare"),
        (live().compared(&Drift::Unknown), "in sync"),
        (live().compared(&Drift::AsWritten), "in sync"),
        (live().seen("2").not_compared(), "read 2"),
        (Scenario::fresh().not_compared(), "read 1"),
        (
            live().unfinished(Action::Update, "2").not_compared(),
            "read 1",
        ),
        (live().refused("1", 60).not_compared(), "refused for 840 s"),
        // … and a second time before anything is written.
        (live().compared(&gone), "compare afresh"),
        (live().compared(&edit), "compare afresh"),
        (live().afresh(&Drift::Unknown), "in sync"),
        (live().afresh(&Drift::AsWritten), "in sync"),
        (live().afresh(&gone), "read 1"),
        (live().afresh(&gone).read("1", "one"), made_sure),
        (live().afresh(&edit), "read 1"),
        (live().afresh(&edit).read("1", "one"), put_right),
        (
            live()
                .afresh(&edit)
                .read("1", "one")
                .rejected(Action::Update),
            "refuse 1",
        ),
        // A value that is live already is not verified at its provider.
        (
            live()
                .afresh(&edit)
                .read("1", "one")
                .with(|case| case.config().verify.before_provider = true),
            put_right,
        ),
        // Taken over.
        (live().compared(&taken(None)), "contradiction"),
        (live().compared(&taken(Some("m"))), "contradiction"),
        (live().afresh(&taken(None)), "contradiction"),
        (live().seen("2").compared(&taken(None)), "read 2"),
        (resync().not_compared(), "compare"),
        (resync().compared(&taken(None)), "contradiction"),
        (resync().compared(&Drift::AsWritten), "read 1"),
        (
            resync().compared(&edit).read("1", "one"),
            "compare to write",
        ),
        // Before a write it is asked whether it is ours to write to.
        (
            live().seen("2").not_compared().read("2", "two"),
            "compare to write",
        ),
        (
            live()
                .seen("2")
                .compared_to_write(&Drift::Unknown)
                .read("2", "two"),
            "update id-1: rotated",
        ),
        (
            live().seen("2").compared_to_write(&gone).read("2", "two"),
            "update id-1: rotated",
        ),
        (
            live().seen("2").compared_to_write(&shared).read("2", "two"),
            "refuse 2",
        ),
        (
            live().forced().compared_to_write(&shared).read("1", "one"),
            "refuse 1",
        ),
        (resync().forced().compared(&taken(None)), "read 1"),
        // Shown as before the repair.
        (
            live()
                .shown(Shown::As(scenario::shown(&edited())))
                .compared(&edit),
            "contradiction",
        ),
        (
            live()
                .shown(Shown::As(scenario::shown(&edited())))
                .compared(&gone),
            "compare afresh",
        ),
        (live().shown(Shown::Nowhere).compared(&gone), "in sync"),
        (
            live().shown(Shown::Nowhere).compared(&edit),
            "compare afresh",
        ),
        (
            resync()
                .shown(Shown::As(scenario::shown(&edited())))
                .compared_to_write(&edit)
                .read("1", "one"),
            "update id-1: resync",
        ),
        // Being verified: not asked within the grace, and then only whether it is gone.
        (
            live().in_verification(Stage::After, 30).not_compared(),
            "in sync",
        ),
        (
            live().in_verification(Stage::After, -300).not_compared(),
            "compare",
        ),
        (
            live().in_verification(Stage::After, -300).compared(&edit),
            "in sync",
        ),
        (
            live()
                .in_verification(Stage::After, -300)
                .compared(&taken(None)),
            "in sync",
        ),
        (
            live().in_verification(Stage::After, -300).compared(&gone),
            "compare afresh",
        ),
        (
            live()
                .in_verification(Stage::After, -300)
                .afresh(&gone)
                .read("1", "one"),
            made_sure,
        ),
        // The held version is not written; the value that is live in its place is.
        (held().not_compared(), "compare"),
        (held().compared(&edit), "compare afresh"),
        (held().afresh(&edit), "read older 1"),
        (held().afresh(&edit).read_older("1", "one"), put_right_older),
        (held().afresh(&edit).read_older("1", "x"), "leave"),
        (held().compared(&taken(None)), "contradiction"),
        (left().not_compared(), "held"),
        (live().seen("2").holding("2", None).not_compared(), "held"),
        // A repair with no known outcome is one still.
        (
            live()
                .unfinished(Action::Update, "1")
                .read("1", "one")
                .with(|case| {
                    let intent = case.record.intent.as_mut().expect("it was begun");
                    intent.drift = Some("name was `m` in Flashback".into());
                }),
            "update id-1: name was `m` in Flashback",
        ),
        (here().not_compared(), "compare"),
        (here().afresh(&edit).read("1", "one"), put_right),
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
fn compares_the_recorded_configuration_with_the_list() {
    let record = Scenario::live().record.clone();
    let listed = |id: &str, appearance: Appearance| Listed {
        id: AiLlmId::new(id),
        appearance,
    };
    let ours = |appearance| listed("id-1", appearance);
    let other = |appearance| listed("other", appearance);
    let written = || scenario::shown(&settings("n", "w"));
    let elsewhere = || scenario::shown(&settings("m", "w"));
    let endpoint = |endpoint: Option<&str>| Appearance {
        endpoint: endpoint.map(str::to_owned),
        ..written()
    };
    let ai_type = |ai_type: Option<&str>| Appearance {
        ai_type: ai_type.map(str::to_owned),
        ..written()
    };
    let attached = Appearance {
        stored_key: Some(AiLlmId::new("key-1")),
        ..elsewhere()
    };
    let edited = scenario::shown(&edited());
    let table = [
        (vec![ours(written())], Drift::AsWritten),
        (
            vec![ours(endpoint(Some("https://API.openai.com/v1/")))],
            Drift::AsWritten,
        ),
        // A field that is not shown counts as equal; an unknown type counts as a different one.
        (vec![ours(endpoint(None))], Drift::AsWritten),
        (vec![ours(ai_type(None))], Drift::AsWritten),
        (
            vec![ours(ai_type(Some("MISTRAL")))],
            Drift::Edited(ai_type(Some("MISTRAL"))),
        ),
        (vec![ours(written()), other(elsewhere())], Drift::AsWritten),
        (vec![ours(edited.clone())], Drift::Edited(edited)),
        (vec![ours(elsewhere())], Drift::Edited(elsewhere())),
        (vec![ours(elsewhere()), other(written())], taken(Some("m"))),
        (vec![other(written())], taken(None)),
        (vec![other(elsewhere())], Drift::Gone),
        (vec![], Drift::Gone),
        (
            vec![ours(attached), other(written())],
            Drift::Shared(AiLlmId::new("key-1")),
        ),
    ];
    for (row, (listed, expected)) in table.iter().enumerate() {
        let listed: Vec<&Listed> = listed.iter().collect();
        assert_eq!(compare(&record, &listed), *expected, "row {row}");
    }
    assert_eq!(compare(&Scenario::fresh().record, &[]), Drift::Unknown);
}

/// A repair is remembered until the list shows something else, and a held version stays held.
#[test]
fn a_repair_is_remembered_until_it_is_seen() {
    let push = |shown| Pushed {
        id: AiLlmId::new("id-1"),
        value: stored("1", "one"),
        settings: settings("n", "w"),
        what: What::Newest,
        validate: true,
        anew: false,
        verified_by: None,
        shown,
        created_at: None,
        at: at(60),
    };
    let shown = |record: &Record| record.live.as_ref().and_then(|live| live.shown.clone());
    let as_edited = Some(Shown::As(scenario::shown(&edited())));
    let before = Scenario::live().holding("1", None).record.clone();
    let repaired = before.pushed(push(as_edited.clone()));
    assert_eq!(shown(&repaired), as_edited);
    assert_eq!(repaired.held, before.held);
    assert_eq!(repaired.verification, None);

    let edit = Drift::Edited(scenario::shown(&edited()));
    for (drift, stays) in [
        (Drift::Unknown, true),
        (edit, true),
        (Drift::Edited(scenario::shown(&settings("m", "w"))), false),
        (Drift::AsWritten, false),
        (Drift::Gone, false),
    ] {
        let after = news(&repaired, &drift);
        let after = shown(after.as_ref().unwrap_or(&repaired));
        assert_eq!(after.is_some(), stays, "{drift:?}");
    }
    // It says nothing of another configuration, or of other settings.
    assert_eq!(shown(&repaired.pushed(push(None))), as_edited);
    let elsewhere = Pushed {
        id: AiLlmId::new("id-2"),
        ..push(None)
    };
    assert_eq!(shown(&repaired.pushed(elsewhere)), None);
    let otherwise = Pushed {
        settings: edited(),
        ..push(None)
    };
    assert_eq!(shown(&repaired.pushed(otherwise)), None);
}
