//! Walks the table: every situation that the diagram tells apart, and the step that follows.

use chrono::TimeDelta;

use super::Newest;
use super::case::*;
use super::step::Leaving;
use crate::model::*;
use crate::reconcile::scenario::{at, digest};

#[test]
fn key_is_made_when_it_is_due_or_asked_for() {
    let live = || [issued("live", true)];
    let console = |case: Case| case.with(|case| case.abilities.mints = false);
    let limited = |case: Case| case.with(|case| case.abilities.limit = Some(2));
    let slots = |case: Case| {
        case.with(|case| {
            case.abilities.slots = true;
            case.abilities.limit = Some(2);
        })
        .listing(&[issued("live", true), issued("idle", true)])
    };
    let full = || limited(case()).listing(&[issued("live", true), issued("theirs", true)]);
    let failed = |case: Case| {
        case.with(|case| case.rotation = case.rotation.failed(None, "503", None, at(0)))
    };
    let disabled = |name: &str| OldKey {
        disabled_at: Some(at(0)),
        ..old(name)
    };
    let room = || {
        limited(case())
            .listing(&[issued("live", true), issued("old", false)])
            .old(disabled("old"))
    };
    check(&[
        (case(), "rest"),
        (case().due(), "list"),
        (case().due().listing(&live()), "ask for the newest"),
        (
            case().due().listing(&live()).newest("1", "live"),
            "mint new",
        ),
        (
            case().due().listing(&live()).newest("2", "theirs"),
            "rest for 1 s: another version was written meanwhile, and is delivered first",
        ),
        (
            case().due().listing(&live()).with(|case| {
                case.newest = Some(Newest {
                    version: Some(version("2")),
                    fingerprint: None,
                });
            }),
            "mint new",
        ),
        (
            case().due().listing(&live()).with(|case| {
                case.rotation.rewritten_at = Some(at(-60));
            }),
            "rest for 60 s: a write to the source whose answer was lost may come yet",
        ),
        (case().asked(false, false), "list"),
        (
            case().behind("live").due(),
            "rest: a rotation is due, and the newest version is not verified in `other` yet",
        ),
        (case().behind("live").asked(false, false), "list"),
        (
            case()
                .due()
                .asked(true, false)
                .with(|case| case.rotation.times.started_at = Some(at(0))),
            "save Refused(\"the key that was made for it has not stayed, because another version went live: `rotate` makes another one\")",
        ),
        (failed(case().due()), "rest for 1 s: 503"),
        (failed(case().due()).at(1), "list"),
        (failed(case()).at(1), "save Recovered"),
        (
            console(case().due()),
            "rest: a rotation is due: make a key in the provider's console and write it into the source",
        ),
        (
            console(case().asked(false, false)),
            "save Refused(\"this provider makes keys in its console alone: make one there and write it into the source; the old one is revoked then\")",
        ),
        (
            full().due(),
            "stuck: the provider allows 2 keys, and has as many: delete one that nobody uses, or name the one that is live by `adopt`",
        ),
        (
            room().due(),
            "rest for 86400 s: a rotation is due, and waits for an old key to be deleted: the provider allows 2 keys",
        ),
        (room().asked(true, false), "ask for the newest"),
        (room().asked(true, false).newest("1", "live"), "delete old"),
        (slots(case().due()).newest("1", "live"), "mint new in idle"),
        (
            slots(case().due()).old(old("idle")),
            "rest for 3600 s: a rotation is due, and the other slot's key is not revoked yet",
        ),
        (
            slots(case().behind("idle").asked(false, false)),
            "rest: no slot is free until `other` has the newest version",
        ),
        (
            slots(case().asked(false, false))
                .with(|case| case.rotation.current = None)
                .live("1", "x")
                .with(|case| case.rotation.unknown = Some(digest("x"))),
            "stuck: it is not known which of the provider's slots is live: say so by `adopt`",
        ),
    ]);
}

#[test]
fn lost_answer_is_cleared_up_by_the_list() {
    let lost = || case().next(minting(0));
    let nameless = || lost().with(|case| case.abilities.names = false);
    let both = || [issued("live", true), issued("new", true)];
    let three = || {
        [
            issued("live", true),
            issued("new", true),
            issued("third", true),
        ]
    };
    let hour = TimeDelta::hours(1);
    check(&[
        (lost(), "list"),
        (
            lost().listing(&[issued("live", true)]),
            "rest for 0 s: the answer of the provider was lost",
        ),
        (
            lost().at(40).listing(&[issued("live", true)]),
            "rest for 10 s: the answer of the provider was lost",
        ),
        (
            lost().at(60).listing(&[issued("live", true)]),
            "save NotMade",
        ),
        (lost().listing(&both()), "discard new"),
        // One of this name that was there before is another one.
        (
            lost().at(60).listing(&both()).with(|case| {
                case.rotation.next = Some(NextKey::Minting {
                    name: "name of new".into(),
                    slot: None,
                    before: vec![id("live"), id("new")],
                    expected: None,
                    at: at(0),
                });
            }),
            "save NotMade",
        ),
        (lost().at(-3600).listing(&both()), "save Restarted"),
        (nameless().listing(&both()), "ask for the last use of new"),
        (
            nameless().listing(&both()).used("new", LastUse::Never),
            "rest for 0 s: the answer of the provider was lost",
        ),
        (
            nameless()
                .at(60)
                .listing(&both())
                .used("new", LastUse::Never),
            "discard new",
        ),
        (
            nameless()
                .at(60)
                .listing(&both())
                .used("new", LastUse::At(at(9))),
            "save NotMade",
        ),
        (
            nameless()
                .at(60)
                .listing(&both())
                .used("new", LastUse::At(at(0) + hour)),
            "stuck: the answer of the provider was lost, and it cannot be told whether the key new is used: delete it if nobody uses it",
        ),
        // One that was made long before is another one, though no list has shown it before.
        (
            nameless().at(60).listing(&[
                issued("live", true),
                IssuedKey {
                    created_at: Some(at(-301)),
                    ..issued("new", true)
                },
            ]),
            "save NotMade",
        ),
        (
            nameless()
                .at(60)
                .listing(&three())
                .used("new", LastUse::Never),
            "ask for the last use of third",
        ),
        (
            nameless()
                .at(60)
                .listing(&three())
                .used("new", LastUse::Never)
                .used("third", LastUse::At(at(9))),
            "discard new",
        ),
        (
            nameless()
                .at(60)
                .listing(&three())
                .used("new", LastUse::Never)
                .used("third", LastUse::Never),
            "stuck: the answer of the provider was lost, and more than one key was made at the time: delete the one that nobody uses",
        ),
        (
            lost().with(|case| case.abilities.slots = true),
            "rest for 60 s: the answer of the provider was lost",
        ),
        (
            lost().with(|case| case.abilities.slots = true).at(60),
            "save NotMade",
        ),
    ]);
}

#[test]
fn value_is_stored_or_its_key_removed() {
    let has = || case().next(minted(0)).with(|case| case.has_value = true);
    let lost = || case().next(minted(0));
    let failed = |case: Case| {
        case.with(|case| case.rotation = case.rotation.failed(None, "503", None, at(-2)))
    };
    // The first one was refused for certain, by another version.
    check(&[
        (has(), "store"),
        (has().at(60), "save Begun"),
        (has().newest("2", "theirs"), "discard new"),
        (has().newest("2", "new"), "save Stored"),
        (
            has().newest("1", "live"),
            "stuck: the source refuses the new key because of another version, and shows none",
        ),
        (failed(has()), "ask for the newest"),
        (failed(has()).newest("1", "live"), "store"),
        (failed(has()).at(60).newest("1", "live"), "save Begun"),
        (failed(has()).newest("2", "theirs"), "save Recovered"),
        (
            failed(has()).at(120).newest("2", "theirs"),
            "save Superseded(\"new\")",
        ),
        (lost(), "ask for the newest"),
        (lost().newest("2", "new"), "save Stored"),
        (
            lost().newest("1", "live"),
            "rest for 120 s: it is not known yet whether the new key was stored",
        ),
        (lost().at(120).newest("1", "live"), "discard new"),
        // It was moved back, and another key that reads the secret has it.
        (
            lost().behind("new").at(120).newest("1", "live"),
            "save Superseded(\"new\")",
        ),
        (
            lost().at(120).newest("2", "theirs"),
            "save Superseded(\"new\")",
        ),
        // It was stored and is live already.
        (lost().live("2", "new"), "save Stored"),
    ]);
}

#[test]
fn new_key_is_waited_for_and_does_not_come_twice() {
    let waits = || case().next(stored(0)).with(|case| case.seen = version("2"));
    let held = || waits().with(|case| case.held = Some(version("2")));
    let begun = |case: Case| case.with(|case| case.rotation.times.started_at = Some(at(0)));
    check(&[
        (
            waits(),
            "rest for 0 s: the new key is not live and verified yet",
        ),
        (
            waits().behind("live"),
            "rest for 0 s: the new key is not live and verified in `other` yet",
        ),
        (waits().live("2", "new"), "save Verified"),
        (
            waits().live("3", "live"),
            "rest for 0 s: the new key is not live and verified yet",
        ),
        (waits().live("3", "live").at(60), "save Superseded(\"new\")"),
        // It is not an old one as long as a key may go back to it.
        (
            waits()
                .live("3", "live")
                .with(|case| case.proof.somewhere.push(digest("new")))
                .at(60),
            "rest for 15 s: the new key is not live and verified yet",
        ),
        (
            waits().live("3", "live").behind("new").at(60),
            "rest for 15 s: the new key is not live and verified in `other` yet",
        ),
        (
            held(),
            "stuck: the new key does not work or is held, so the old one stays; `sync --force` tries it again, `rotate` makes another one",
        ),
        (held().asked(false, false), "save Superseded(\"new\")"),
        (
            begun(held().asked(true, false)),
            "stuck: the new key does not work or is held, so the old one stays; `sync --force` tries it again, `rotate` makes another one",
        ),
        (begun(held().asked(true, true)), "save Forced(\"live\")"),
    ]);
}

#[test]
fn live_value_of_another_hand_is_adopted() {
    let foreign = || case().live("2", "theirs");
    let fresh = || foreign().with(|case| case.rotation.current = None);
    let told = |case: Case| case.with(|case| case.rotate.adopt = Some(id("told")));
    let both = || [issued("live", true), issued("told", true)];
    check(&[
        (foreign(), "list"),
        (foreign().listing(&both()), "find"),
        (
            foreign()
                .listing(&both())
                .with(|case| case.found = Some(None)),
            "save Adopted(None)",
        ),
        (
            foreign()
                .listing(&both())
                .with(|case| case.found = Some(Some(id("live")))),
            "save Adopted(Some(\"live\"))",
        ),
        (
            told(fresh())
                .listing(&both())
                .with(|case| case.found = Some(None)),
            "save Adopted(Some(\"told\"))",
        ),
        (
            foreign().with(|case| case.rotation.deleted_at = Some(at(-59))),
            "rest for 1 s: it is not known yet whose the live value is: a list may show what was deleted a moment ago",
        ),
        (
            foreign().with(|case| case.rotation.deleted_at = Some(at(-60))),
            "list",
        ),
        // Not one that was an old key before the first rotation.
        (
            told(fresh())
                .with(|case| {
                    case.rotation.old.push(old("told"));
                    let left = Some(Leaving::Configured);
                    case.rotation = case.rotation.without(&id("told"), left, at(0));
                })
                .asked(false, false)
                .with(|case| {
                    let command = case.rotation.command.take().expect("it was asked for");
                    case.rotation = case.rotation.asked(command);
                })
                .listing(&both())
                .with(|case| case.found = Some(None)),
            "save Adopted(None)",
        ),
        // Only the first key is told.
        (
            told(foreign())
                .listing(&both())
                .with(|case| case.found = Some(None)),
            "save Adopted(None)",
        ),
        (
            case()
                .old(old("back"))
                .live("1", "back")
                .with(|case| case.seen = version("2")),
            "save Reinstated(\"back\")",
        ),
    ]);
}
