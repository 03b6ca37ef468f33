//! Tests decisions about repairs: a replica may have written the key after losing its lease.

use std::time::Duration;

use super::scenario::{Scenario, at, origin};
use super::verification_table::{check, pushed};
use super::*;
use crate::model::{Action, AiLlmId, Held, Missing, Repair, Verdict};

const WRITTEN: &str = "update id-1: another replica may have written it late";
const OLDER_WRITTEN: &str =
    "update id-1 with the older one: another replica may have written it late";

fn due_in(seconds: u64) -> Repair {
    Repair {
        number: 1,
        due_in: Duration::from_secs(seconds),
        done: false,
    }
}

impl Scenario {
    fn marked(self) -> Self {
        self.with(|case| case.record.repair = Some(due_in(0)))
    }

    fn marked_for_later(self) -> Self {
        self.with(|case| case.record.repair = Some(due_in(40)))
    }

    fn repaired(self) -> Self {
        self.with(|case| case.record.repair = Some(due_in(0).written()))
    }

    /// This version is held where it is.
    fn holds(self, version: &str) -> Self {
        let held = Held {
            version: Version::new(version),
            reason: "broken".into(),
            origin: Some(origin("a")),
            instead: None,
            left_at: None,
        };
        self.with(|case| case.record.held = Some(held))
    }
}

#[test]
fn repair_writes_the_live_version_once_more() {
    let live = Scenario::live;
    let new = || live().seen("2").read("2", "two");
    let tomorrow = |case: Scenario| case.with(|case| case.now = at(24 * 3600));
    let gone = |case: Scenario| {
        case.with(|case| case.observation = Observation::Missing(Missing::Deleted))
    };
    let taken_over = Compared {
        drift: Drift::TakenOver {
            by: AiLlmId::new("x"),
            renamed: None,
        },
        age: ListAge::Minutes,
    };
    check(&[
        (live().marked(), "read 1"),
        (live().marked().read("1", "one"), WRITTEN),
        (live().marked_for_later(), "in sync"),
        (live().repaired(), "in sync"),
        // Another value is more than that.
        (new().marked(), "update id-1: rotated"),
        (live().seen("2").read("2", "one").marked(), WRITTEN),
        (
            live()
                .marked()
                .unfinished(Action::Update, "1")
                .read("1", "one"),
            "update id-1: unfinished push",
        ),
        (
            live().marked().forced().read("1", "one"),
            "update id-1: forced",
        ),
        // A resync has its own time.
        (
            tomorrow(live().repaired()).read("1", "one"),
            "update id-1: resync",
        ),
        // Nothing is written to a configuration that another user has taken over.
        (live().marked().with(|case| case.compared = None), "compare"),
        (
            live()
                .marked()
                .with(|case| case.compared = Some(taken_over)),
            "contradiction",
        ),
        (gone(live()).marked(), "missing: Deleted"),
        (new().marked().refused("2", 60), "refused for 840 s"),
        (Scenario::fresh().marked(), "read 1"),
    ]);
}

#[test]
fn repair_writes_a_held_version_only_where_it_is_live() {
    let back = || pushed().no(160).back(161);
    let held = || back().said(&Verdict::Works, 162);
    let in_place = || Scenario::live().holds("1");
    check(&[
        (in_place().marked_for_later(), "held"),
        (in_place().marked(), "read 1"),
        (in_place().marked().read("1", "one"), WRITTEN),
        (in_place().repaired(), "held"),
        // A version that is not live is not written, and no other value is known.
        (Scenario::live().seen("2").holds("2").marked(), "held"),
        (held().marked_for_later(), "held"),
        (held().marked(), "read older 1"),
        (held().marked().older("1", "one"), OLDER_WRITTEN),
        (held().marked().lost("1"), "leave"),
        (back().marked().older("1", "one"), OLDER_WRITTEN),
    ]);
}

#[test]
fn only_what_was_due_is_done_by_a_write() {
    let written = |repair: Repair| repair.written();
    assert!(due_in(0).is_due() && !due_in(1).is_due());
    assert!(written(due_in(0)).done && !written(due_in(0)).is_due());
    assert!(!written(due_in(1)).done);
    assert!(written(written(due_in(0))).done);
}
