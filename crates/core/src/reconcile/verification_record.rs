//! Tests of the verification in a record, and of the steps that follow from it.

use super::scenario::{Scenario, at, origin, stored};
use super::verification_table::{GRACE, asked, check, push, pushed};
use super::*;
use crate::model::{Held, Record, Settings, Stored, Verdict, Verification};

#[test]
fn rolls_back_to_the_last_verified_version() {
    let two = Scenario::live()
        .record
        .pushed(push("2", "two", What::Newest, at(1)));
    assert_eq!(two.previous, Some(stored("1", "one")));
    // Version 3 comes while 2 is still being verified.
    let three = two.pushed(push("3", "three", What::Newest, at(2)));
    assert_eq!(three.previous, Some(stored("1", "one")));
    let proven = two.validated(&Verdict::Works, asked(1));
    let three = proven.pushed(push("3", "three", What::Newest, at(2)));
    assert_eq!(three.previous, Some(stored("2", "two")));
    // A configuration that is made anew has not forgotten it.
    let three = proven
        .gone()
        .pushed(push("3", "three", What::Newest, at(2)));
    assert_eq!(three.previous, Some(stored("2", "two")));
}

#[test]
fn a_value_in_verification_keeps_its_way_back_when_it_is_written_again() {
    let fresh = |record: &Record| {
        record
            .verification
            .as_ref()
            .map(|verification| verification.fresh)
    };
    let two = || push("2", "two", What::Newest, at(1));
    let in_verification = Scenario::live().record.pushed(two());
    let elsewhere = |pushed: Pushed| Pushed {
        settings: Settings {
            endpoint: "https://elsewhere.example.com".to_owned(),
            ..pushed.settings.clone()
        },
        ..pushed
    };
    let moved = in_verification.pushed(elsewhere(two()));
    assert_eq!(fresh(&moved), Some(true), "another endpoint");
    assert_eq!(moved.previous, Some(stored("1", "one")));
    let forced = in_verification.pushed(Pushed {
        anew: true,
        ..two()
    });
    assert_eq!(fresh(&forced), Some(true), "somebody forced it");
    // After a verified value there is no previous one to put back.
    let proven = in_verification.validated(&Verdict::Works, asked(1));
    let moved = proven.pushed(elsewhere(two()));
    assert_eq!(fresh(&moved), Some(false));
}

/// The age is that of the value, which neither a new push nor a new version number resets.
#[test]
fn a_live_value_is_as_old_as_its_source_says() {
    let created = |record: &Record| record.live.as_ref().and_then(|live| live.created_at);
    let of = |version: &str, value: &str, said: Option<i64>, second: i64| Pushed {
        created_at: said.map(at),
        ..push(version, value, What::Newest, at(second))
    };
    let one = Scenario::live()
        .record
        .pushed(of("2", "two", Some(50), 100));
    assert_eq!(created(&one), Some(at(50)));
    let again = one.pushed(of("2", "two", Some(60), 200));
    assert_eq!(created(&again), Some(at(50)), "pushed again");
    let renamed = one.noted(&Version::new("3"), &origin("p"));
    assert_eq!(created(&renamed), Some(at(50)), "stored again");
    let another = one.pushed(of("3", "three", Some(150), 200));
    assert_eq!(created(&another), Some(at(150)));
    // A source without versions does not say; a file's own time is that of its mount.
    let file = one.pushed(of("fp-0@0", "file", Some(10), 300));
    assert_eq!(created(&file), Some(at(300)));
    // A version that contains its time of creation keeps it when it is put back.
    let older = |version: &str| Pushed {
        value: Stored {
            version: Version::new(version),
            ..stored("1", "one")
        },
        what: What::Older,
        ..of("1", "one", Some(999), 400)
    };
    let back = another.pushed(older("1@2026-01-02T03:04:05.6Z"));
    let expected = "2026-01-02T03:04:05.6Z".parse().ok();
    assert_eq!(created(&back), expected);
    assert_eq!(created(&another.pushed(older("an-id"))), None);
}

/// Returns a case in which Flashback has refused to accept version 1 again.
fn turned_down() -> Scenario {
    let case = pushed().no(160).turned().older("1", "one");
    case.with(|case| case.record = case.record.letting_stand(Stand::ForNow, case.now))
}

#[test]
fn a_way_back_that_is_refused_is_tried_again_while_the_newest_is_rejected() {
    let no = || turned_down().no(1050);
    let later = |case: Scenario, second| case.with(|case| case.now = at(second));
    let again = |case: Scenario| later(case, 160 + 900);
    check(&[
        (turned_down(), "validate id-1"),
        (again(turned_down()), "validate id-1"),
        (no(), "unproven"),
        (later(no(), 160 + 899), "unproven"),
        (again(no()), "from 2 back to 1"),
        (again(no().with(|case| case.older = None)), "read older 1"),
        (again(no().lost("1")), "let stand"),
        (again(no()).seen("3"), "read 3"),
        (
            again(no()).with(|case| case.config().verify.rollback = false),
            "let stand, held",
        ),
        // A clock that was set back does not make it wait for ever.
        (later(no(), 95), "from 2 back to 1"),
        (turned_down().said(&Verdict::Works, 1050), "in sync"),
        (again(turned_down().said(&Verdict::Works, 1050)), "in sync"),
    ]);
    // A start brings it forward, but not at once.
    let started = |case: Scenario| case.started(0);
    check(&[
        (started(later(turned_down().no(215), 160 + 59)), "unproven"),
        (
            started(later(turned_down().no(215), 160 + 60)),
            "from 2 back to 1",
        ),
    ]);
    // A value that is refused again waits again, and one that cannot be read any more is not read again.
    let back = again(no()).turned();
    let refused =
        back.with(|case| case.record = case.record.letting_stand(Stand::ForNow, case.now));
    check(&[(later(refused.no(1958), 1060 + 899), "unproven")]);
    let lost = again(no()).with(|case| {
        case.record = case.record.letting_stand(Stand::Best, case.now);
    });
    check(&[(later(lost, 80_000), "validate id-1")]);
}

#[test]
fn a_clock_that_was_set_back_ends_no_verification_and_no_wait() {
    let value = stored("2", "two");
    let verification = Verification::begin(value, Stage::After, true, at(0));
    assert!(!verification.late(GRACE, at(59)) && verification.late(GRACE, at(60)));
    assert!(!verification.late(GRACE, at(-59)) && verification.late(GRACE, at(-61)));
    let asked = verification.asked(asked(0));
    assert!(asked.waits(at(9)) && !asked.waits(at(10)));
    assert!(!asked.waits(at(-61)), "a year from now is not waited for");
}

#[test]
fn a_hold_is_of_a_version_of_an_origin() {
    let held = Held {
        version: Version::new("2"),
        reason: String::new(),
        origin: Some(origin("a")),
        instead: None,
        left_at: None,
    };
    assert!(held.is(&Version::new("2"), &origin("a")));
    assert!(!held.is(&Version::new("2"), &origin("b")));
    assert!(!held.is(&Version::new("3"), &origin("a")));
}
