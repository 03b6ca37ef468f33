//! Walks the table of verifications: what a value has come to, and the step that follows.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::scenario::{Scenario, at, origin, settings, stored};
use super::*;
use crate::model::{Action, AiLlmId, Asked, Missing, Verdict, Verifier};

pub const GRACE: Duration = Duration::from_secs(60);

/// The store went from 1, which was live and good, to 2, and 2 was pushed at 100.
pub fn pushed() -> Scenario {
    let mut case = Scenario::live().seen("2");
    case.record = case
        .record
        .pushed(push("2", "two", What::Newest, at(100)))
        .having_seen(&Version::new("2"));
    case.now = at(100);
    case
}

pub fn push(version: &str, value: &str, what: What, now: DateTime<Utc>) -> Pushed {
    Pushed {
        id: AiLlmId::new("id-1"),
        value: stored(version, value),
        settings: settings("n", "w"),
        what,
        validate: true,
        anew: false,
        verified_by: None,
        shown: None,
        created_at: None,
        at: now,
    }
}

impl Scenario {
    /// Flashback says this about what it holds, `second`s after the start.
    pub fn said(self, verdict: &Verdict, second: i64) -> Self {
        self.with(|case| {
            case.now = at(second);
            case.record = case.record.validated(verdict, asked(second));
        })
    }

    pub fn no(self, second: i64) -> Self {
        self.said(&Verdict::Rejected("401".into()), second)
    }

    fn silent(self, second: i64) -> Self {
        self.said(&Verdict::Inconclusive("503".into()), second)
    }

    /// Sets the value of the previous version that is read.
    pub fn older(self, version: &str, value: &str) -> Self {
        self.found(version, Ok(scenario::value(version, value)))
    }

    fn found(self, version: &str, found: Result<ReadValue, String>) -> Self {
        self.with(|case| {
            case.older = Some(Older {
                version: Version::new(version),
                origin: origin("a"),
                found,
            });
        })
    }

    pub fn lost(self, version: &str) -> Self {
        self.found(version, Err("destroyed".into()))
    }

    /// 2 was rejected through the grace, and 1 is to be put back.
    pub fn turned(self) -> Self {
        self.with(|case| {
            let reason = HoldReason::Flashback("401".into());
            let (to, now) = (stored("1", "one"), case.now);
            let record = &case.record;
            case.record = record.turning_back(to, Version::new("2"), origin("a"), &reason, now);
        })
    }

    /// … and was.
    pub fn back(self, second: i64) -> Self {
        self.turned().with(|case| {
            case.now = at(second);
            let pushed = push("1", "one", What::Older, at(second));
            case.record = case.record.pushed(pushed);
        })
    }

    fn by_hand(self) -> Self {
        self.with(|case| case.command = KeyCommand::RollBack)
    }

    fn at(self, second: i64) -> Self {
        self.with(|case| case.now = at(second))
    }
}

pub fn asked(second: i64) -> Asked {
    Asked {
        at: at(second),
        wait: Duration::from_secs(10),
        grace: GRACE,
    }
}

pub fn check(table: &[(Scenario, &str)]) {
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
fn after_a_push() {
    let failed = || pushed().no(100).no(160);
    let lease = |case: Scenario| case.with(|case| case.config().verify.rollback = false);
    check(&[
        (pushed(), "validate id-1"),
        (pushed().said(&Verdict::Works, 100), "in sync"),
        (
            pushed().said(&Verdict::Unsupported("404".into()), 100),
            "in sync",
        ),
        (pushed().no(100), "in sync"),
        (pushed().no(100).at(109), "in sync"),
        (pushed().no(100).at(110), "validate id-1"),
        // The last question is asked at the end of the grace.
        (pushed().no(100).no(155).at(159), "in sync"),
        (pushed().no(100).no(155).at(160), "validate id-1"),
        (failed(), "read older 1"),
        // A no stands though silence followed, and silence alone takes nothing out.
        (pushed().no(100).silent(160), "read older 1"),
        (pushed().silent(100).silent(160).at(170), "validate id-1"),
        (pushed().silent(100).no(161), "read older 1"),
        (failed().older("1", "one"), "from 2 back to 1"),
        (failed().lost("1"), "let stand"),
        (failed().older("1", "another"), "let stand"),
        (lease(failed()), "let stand, held"),
        // Verification is turned off.
        (
            pushed().with(|case| case.config().verify.after_flashback = false),
            "end the verification",
        ),
        // The source does not matter, as long as it has nothing newer to push.
        (
            failed().with(|case| case.observation = Observation::Missing(Missing::Deleted)),
            "read older 1",
        ),
        (failed().seen("3"), "read 3"),
        (
            failed().seen("3").read("3", "three"),
            "update id-1: rotated",
        ),
        (failed().seen("3").read("3", "two"), "note 3"),
        (failed().seen("1").read("1", "one"), "update id-1: rotated"),
        // The value in Flashback is not known.
        (pushed().unfinished(Action::Update, "2"), "read 2"),
        (
            pushed()
                .unfinished(Action::Update, "3")
                .with(|case| case.observation = Observation::Missing(Missing::Deleted)),
            "missing: Deleted",
        ),
    ]);
}

#[test]
fn asks_the_source_for_the_previous_version_when_none_is_recorded() {
    let first = || {
        let mut case = Scenario::fresh().seen("2");
        case.record = case
            .record
            .pushed(push("2", "two", What::Newest, at(100)))
            .having_seen(&Version::new("2"));
        case.no(160)
    };
    let before = |answer: Result<Version, String>| first().with(|case| case.before = Some(answer));
    let one = || before(Ok(Version::new("1")));
    let renamed = {
        // The value was live and good before; the new settings are what does not work.
        let mut case = Scenario::live().with(|case| case.config().settings = settings("m", "w"));
        let mut again = push("1", "one", What::Newest, at(100));
        again.settings = settings("m", "w");
        case.record = case.record.pushed(again);
        case.no(160)
    };
    check(&[
        (first(), "find what is before 2"),
        (before(Err("the first".into())), "let stand"),
        (one(), "read older 1"),
        (one().older("1", "one"), "from 2 back to 1"),
        (one().older("1", "two"), "let stand"),
        (one().lost("1"), "let stand"),
        (renamed, "let stand"),
    ]);
}

#[test]
fn on_the_way_back_and_forward() {
    let failed = || pushed().no(160);
    let stands = || {
        failed().back(161).no(221).with(|case| {
            case.record = case.record.letting_stand(Stand::Best, case.now);
        })
    };
    let again = || {
        stands().with(|case| {
            let pushed = push("2", "two", What::Newest, at(222));
            case.record = case.record.pushed(pushed);
            case.now = at(222);
        })
    };
    let held = || failed().back(161).said(&Verdict::Works, 162);
    let resync = |case: Scenario| case.with(|case| case.now = at(162 + 24 * 3600));
    check(&[
        (failed().turned(), "read older 1"),
        (
            failed().turned().older("1", "one"),
            "update id-1 with the older one: rolled back",
        ),
        (failed().turned().lost("1"), "let stand"),
        (
            failed().turned().older("1", "one").rejected(Action::Update),
            "let stand for now",
        ),
        (
            failed().turned().older("1", "one").gone("id-1"),
            "update id-1 with the older one: rolled back",
        ),
        (failed().turned().seen("3"), "read 3"),
        (failed().turned().forced(), "read 2"),
        (failed().back(161), "validate id-1"),
        (failed().back(161).no(162), "held"),
        (failed().back(161).no(221), "let stand"),
        (failed().back(161).silent(300).at(400), "validate id-1"),
        (held(), "held"),
        (
            failed()
                .back(161)
                .said(&Verdict::Unsupported("404".into()), 162),
            "held",
        ),
        (held().forced(), "read 2"),
        (held().seen("3"), "read 3"),
        (resync(held()), "read older 1"),
        (
            resync(held()).older("1", "one"),
            "update id-1 with the older one: resync",
        ),
        (resync(held()).lost("1"), "leave"),
        (
            resync(held()).with(|case| case.record = case.record.leaving_older(case.now)),
            "held",
        ),
        (
            held()
                .older("1", "one")
                .with(|case| case.config().settings = settings("m", "w")),
            "update id-1 with the older one: settings changed",
        ),
        (
            held().older("1", "one").unfinished(Action::Update, "2"),
            "update id-1 with the older one: unfinished push",
        ),
        (stands(), "read 2"),
        (
            stands().read("2", "two"),
            "update id-1: the previous one does not work either",
        ),
        (
            stands()
                .read("2", "two")
                .with(|case| case.config().verify.before_provider = true),
            "update id-1: the previous one does not work either",
        ),
        // It cannot go back in.
        (
            stands().with(|case| case.observation = Observation::Missing(Missing::Deleted)),
            "keep",
        ),
        (again(), "validate id-1"),
        (again().no(222), "unproven"),
        (again().no(222).at(232), "validate id-1"),
        (again().said(&Verdict::Works, 222), "in sync"),
    ]);
    let works = again().said(&Verdict::Works, 222).record.clone();
    let live = works.live.expect("live");
    assert_eq!(live.verified_by, Some(Verifier::Flashback));
}

#[test]
fn before_a_push() {
    let new = || {
        let case = Scenario::live().seen("2").read("2", "two");
        case.with(|case| {
            case.config().verify.before_provider = true;
            case.now = at(100);
        })
    };
    let said = |case: Scenario, verdict: Verdict, second| {
        case.with(|case| {
            let value = stored("2", "two");
            case.record = case.record.probed(&value, &verdict, asked(second));
            case.clearance = (case.record.candidate.is_none()).then_some(Clearance::Unknown);
            case.now = at(second);
        })
    };
    let no = |case: Scenario, second| said(case, Verdict::Rejected("401".into()), second);
    let silent = |case: Scenario, second| said(case, Verdict::Inconclusive("503".into()), second);
    let resync = Scenario::live().read("1", "one").with(|case| {
        case.config().verify.before_provider = true;
        case.now = at(24 * 3600);
    });
    check(&[
        (new(), "probe"),
        (said(new(), Verdict::Works, 100), "update id-1: rotated"),
        (silent(new(), 100), "update id-1: rotated"),
        (no(new(), 100), "probing"),
        (no(new(), 100).at(110), "probe"),
        (silent(no(new(), 100), 110), "probing"),
        (
            said(no(new(), 100), Verdict::Works, 110),
            "update id-1: rotated",
        ),
        (
            no(no(new(), 100), 160),
            "hold 2: its provider does not take it: 401",
        ),
        (
            silent(no(new(), 100), 160),
            "hold 2: its provider does not take it: 401",
        ),
        (no(new(), 100).read("3", "three"), "probe"),
        (new().forced(), "update id-1: forced"),
        (resync, "update id-1: resync"),
    ]);
}

#[test]
fn by_hand() {
    let verified = || pushed().said(&Verdict::Works, 100);
    let held = || {
        verified().with(|case| {
            let (to, now) = (stored("1", "one"), case.now);
            let (from, reason) = (Version::new("2"), HoldReason::ByHand);
            case.record = case
                .record
                .turning_back(to, from, origin("a"), &reason, now);
        })
    };
    let back = || {
        held().with(|case| {
            let pushed = push("1", "one", What::Older, at(101));
            case.record = case.record.pushed(pushed);
            case.now = at(101);
        })
    };
    check(&[
        (Scenario::fresh().by_hand(), "no way back"),
        (Scenario::live().by_hand(), "find what is before 1"),
        (
            Scenario::live()
                .by_hand()
                .with(|case| case.before = Some(Err("the first".into()))),
            "no way back",
        ),
        (verified().by_hand(), "read older 1"),
        (verified().by_hand().lost("1"), "no way back"),
        (verified().by_hand().older("1", "one"), "from 2 back to 1"),
        (
            verified()
                .by_hand()
                .older("1", "one")
                .with(|case| case.observation = Observation::Missing(Missing::Deleted)),
            "from 2 back to 1",
        ),
        // The live version is the previous one.
        (
            Scenario::live().seen("2").by_hand(),
            "hold 2: rolled back by hand",
        ),
        (
            pushed().no(160).back(161).by_hand(),
            "hold 2: rolled back by hand",
        ),
        (held(), "read older 1"),
        (
            held().older("1", "one"),
            "update id-1 with the older one: rolled back",
        ),
        (held().older("1", "one").rejected(Action::Update), "leave"),
        (back(), "validate id-1"),
        (back().said(&Verdict::Works, 101), "held"),
        (back().said(&Verdict::Works, 101).by_hand(), "held"),
        // A person has rolled back: the value stays, whatever the verdict.
        (back().no(101), "held"),
        (back().no(101).no(161), "unproven"),
        (back().seen("3"), "read 3"),
    ]);
}
