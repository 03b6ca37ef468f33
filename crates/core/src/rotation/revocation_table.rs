//! The table of what becomes of an old key.

use std::time::Duration;

use super::case::*;
use super::step::Leaving;
use crate::model::*;
use crate::reconcile::scenario::{at, digest};

#[test]
fn old_key_is_revoked_when_nobody_needs_it() {
    let both = || [issued("live", true), issued("old", true)];
    let drained = || case().old(old("old")).at(3600);
    let ready = || {
        drained()
            .listing(&both())
            .used("old", LastUse::Never)
            .newest("1", "live")
    };
    let begun = |case: Case| {
        case.with(|case| case.rotation.old[0].disabled_at = Some(at(3590)))
            .with(|case| case.rotation.old[0].disabling = Some(at(3590)))
    };
    let dead = |case: Case| case.with(|case| case.rotation.old[0].disabled_at = Some(at(3600)));
    let fleeting = |case: Case| case.with(|case| case.rotate.cool_off = Duration::ZERO);
    let off = || [issued("live", true), issued("old", false)];
    let day = 3600 + 24 * 3600;
    let revoke = |how: Revoke| ready().with(|case| case.rotate.revoke = how);
    let urgent = |forced: bool| {
        case().with(|case| {
            case.rotation.old.push(OldKey {
                compromised: true,
                even_if_broken: forced,
                ..old("old")
            });
        })
    };
    check(&[
        (drained(), "list"),
        (drained().listing(&both()), "ask for the last use of old"),
        (
            drained().listing(&both()).used("old", LastUse::Never),
            "ask for the newest",
        ),
        (ready(), "save Begun"),
        (begun(ready()), "disable old"),
        (revoke(Revoke::Delete), "delete old"),
        (revoke(Revoke::None), "save Left(\"old\", Configured)"),
        (
            dead(revoke(Revoke::None)).at(3659),
            "rest for 1 s: the old key old was disabled a moment ago",
        ),
        (
            dead(revoke(Revoke::None)).at(3660),
            "save Left(\"old\", Configured)",
        ),
        (
            ready().with(|case| case.abilities.disables = false),
            "delete old",
        ),
        (drained().listing(&off()), "save Disabled(\"old\")"),
        (
            drained().listing(&[issued("live", true)]),
            "save Gone(\"old\")",
        ),
        // Disabled, and then deleted.
        (
            dead(drained()),
            "rest for 86400 s: the old key old is deleted when it has cooled off",
        ),
        (
            dead(drained()).at(day).listing(&off()),
            "ask for the newest",
        ),
        (
            dead(drained()).at(day).listing(&off()).newest("1", "live"),
            "delete old",
        ),
        (
            dead(drained()).at(day).listing(&both()),
            "save Left(\"old\", EnabledAgain)",
        ),
        // A list may be behind, though nothing else is waited for.
        (
            fleeting(dead(drained())).at(3659).listing(&both()),
            "rest for 1 s: the old key old was disabled a moment ago",
        ),
        (
            fleeting(dead(drained())).at(3660).listing(&both()),
            "save Left(\"old\", EnabledAgain)",
        ),
        (
            urgent(false).at(59).listing(&[issued("live", true)]),
            "rest for 1 s: the provider does not list the old key old",
        ),
        // At once, if it is compromised.
        (urgent(false).listing(&both()), "ask for the newest"),
        (
            urgent(false).listing(&both()).newest("1", "live"),
            "save Begun",
        ),
        (urgent(true).listing(&both()).behind("old"), "save Begun"),
    ]);
}

#[test]
fn every_refusal_to_revoke_says_why() {
    let both = || [issued("live", true), issued("old", true)];
    let drained = || case().old(old("old")).at(3600);
    let listed = || drained().listing(&both());
    let ready = || listed().used("old", LastUse::Never).newest("1", "live");
    let urgent = |case: Case| case.with(|case| case.rotation.old[0].compromised = true);
    let failed = |case: Case| {
        case.with(|case| {
            case.rotation = case
                .rotation
                .failed(Some(&id("old")), "503", None, at(3600));
        })
    };
    let dead = |case: Case| case.with(|case| case.rotation.old[0].disabled_at = Some(at(0)));
    let unknown = |case: Case| {
        case.live("1", "x").with(|case| {
            case.rotation.current = None;
            case.rotation.unknown = Some(digest("x"));
        })
    };
    let refused = |case: Case| {
        case.with(|case| {
            let failed = case.rotation.failed(Some(&id("old")), "404", None, at(0));
            case.rotation = failed;
        })
    };
    check(&[
        (
            case().old(old("old")),
            "rest for 3600 s: the old key old is revoked when the overlap is over",
        ),
        (
            listed().used("old", LastUse::At(at(3599))),
            "rest for 1799 s: the old key old was used a moment ago",
        ),
        (
            listed().used("old", LastUse::At(at(9000))),
            "rest for 1800 s: the old key old was used a moment ago",
        ),
        (
            ready().behind("live"),
            "rest: the old key old is not revoked until the newest version is live and verified in `other`",
        ),
        (
            ready().behind("live").with(|case| case.proof.behind = None),
            "rest: the old key old is not revoked until its successor is verified",
        ),
        (
            urgent(ready()).behind("old"),
            "rest: the value of the old key old is live, or is to be",
        ),
        (
            ready().newest("3", "old"),
            "rest: the newest version has the value of the old key old",
        ),
        (
            urgent(ready()).newest("3", "old"),
            "rest: the newest version has the value of the old key old",
        ),
        (
            ready().listing(&[issued("live", false), issued("old", true)]),
            "stuck: the provider does not list the live key live as active, so the old key old is not revoked",
        ),
        (
            unknown(ready()).listing(&[issued("old", true)]),
            "stuck: the old key old is the only active one, so it is not revoked",
        ),
        (
            unknown(ready()).with(|case| case.rotation.deleted_at = Some(at(3541))),
            "stuck: another key was deleted a moment ago, so the old key old is not revoked yet",
        ),
        (
            unknown(ready()).with(|case| case.rotation.deleted_at = Some(at(3540))),
            "save Begun",
        ),
        (
            ready().with(|case| case.rotation.old[0].key.id = id("live")),
            "stuck: the key live is both live and old: nothing is done to it",
        ),
        (failed(ready()), "rest for 1 s: 503"),
        // It is live again: the wait begins anew, and a dead one is brought back.
        (ready().behind("old"), "save Restarted"),
        (dead(ready()).behind("old"), "enable old"),
        // A call of before it was enabled may have disabled it since.
        (
            ready().behind("old").with(|case| {
                case.rotation.old[0].since = at(3590);
                case.rotation.old[0].disabling = Some(at(3480));
            }),
            "enable old",
        ),
        (
            ready().behind("old").with(|case| {
                case.rotation.old[0].since = at(3590);
                case.rotation.old[0].disabling = Some(at(3481));
            }),
            "rest for 1 s: the value of the old key old is live, or is to be",
        ),
        (
            dead(ready())
                .behind("old")
                .with(|case| case.abilities.disables = false),
            "rest: the value of the old key old is live, or is to be",
        ),
        // Enabling it has failed: there may be nothing to be enabled.
        (refused(dead(drained()).behind("old")), "list"),
        (
            refused(dead(drained()).behind("old")).listing(&both()),
            "enable old",
        ),
        (
            refused(dead(drained()).behind("old")).listing(&[issued("live", true)]),
            "stuck: the value of the old key old is live, and the provider does not list it any more",
        ),
        (
            refused(dead(drained()).behind("old")).with(|case| {
                case.rotation = case.rotation.failed(None, "503", None, at(3600));
            }),
            "enable old",
        ),
        (
            ready().with(|case| case.rotation.old[0].since = at(9000)),
            "save Restarted",
        ),
    ]);
}

#[test]
fn wish_is_over_when_the_old_key_is_dead() {
    let over = |compromised: bool| {
        case().asked(compromised, false).with(|case| {
            case.rotation.times.started_at = Some(at(0));
            case.rotation.times.verified_at = Some(at(0));
        })
    };
    let alive = OldKey {
        compromised: true,
        ..old("old")
    };
    check(&[
        (over(false), "save Done"),
        (over(false).old(old("old")), "save Done"),
        (over(true).old(alive.clone()), "list"),
        (
            over(true).old(alive.clone()).behind("old"),
            "rest: the value of the old key old is live, or is to be",
        ),
        (
            over(true).old(OldKey {
                disabled_at: Some(at(0)),
                ..alive
            }),
            "save Done",
        ),
    ]);
}

#[test]
fn compromised_key_is_one_whoever_replaces_it() {
    let asked = |compromised: bool| case().asked(compromised, false).rotation;
    for compromised in [false, true] {
        let rotation = asked(compromised);
        let adopted = rotation.adopted(Some(id("theirs")), digest("theirs"), at(1));
        let unknown = rotation.adopted(None, digest("theirs"), at(1));
        let minted = case().next(stored(0)).asked(compromised, false).rotation;
        let verified = minted.verified(None, at(1));
        for next in [adopted, unknown, verified] {
            let old: Vec<_> = next.old.iter().map(|old| old.compromised).collect();
            assert_eq!(old, [compromised]);
        }
    }
}

#[test]
fn key_that_is_to_die_whatever_comes_of_it_is_so_on_record() {
    let next = case().asked(true, true).rotation.forced(at(1));
    let old: Vec<_> = next
        .old
        .iter()
        .map(|old| (old.compromised, old.even_if_broken))
        .collect();
    assert_eq!(old, [(true, true)]);
    assert_eq!(next.current, None);
}

#[test]
fn key_that_was_live_is_the_next_one_again_if_the_source_has_it() {
    let back = case().old(old("back")).rotation;
    let held = back.reinstated(&id("back"), Some(version("2")), at(1));
    let next = held.next.as_ref().and_then(NextKey::id);
    assert_eq!((next, held.old.len()), (Some(&id("live")), 0));
    // One that the source has not any more is an old key.
    let gone = back.reinstated(&id("back"), None, at(1));
    let old = gone.old.first().map(|old| &old.key.id);
    assert_eq!((gone.next, old), (None, Some(&id("live"))));
}

#[test]
fn call_that_may_come_late_stays_on_record() {
    let doubt = Duration::from_secs(60);
    let disabling = case().old(old("old")).rotation.disabling(&id("old"), at(0));
    let enabled = |now| disabling.enabled(&id("old"), doubt, at(now)).old[0].disabling;
    assert_eq!((enabled(119), enabled(120)), (Some(at(0)), None));
    let disabled = disabling.disabled(&id("old"), at(1));
    let enabled = |now| disabled.enabled(&id("old"), doubt, at(now)).old[0].disabling;
    assert_eq!((enabled(120), enabled(121)), (Some(at(1)), None));
    let discarded = case().next(minted(0)).rotation.discarded(at(1));
    let deleted = disabling.without(&id("old"), None, at(1));
    let left = disabling.without(&id("old"), Some(Leaving::Configured), at(1));
    assert_eq!(discarded.deleted_at, Some(at(1)));
    assert_eq!((deleted.deleted_at, left.deleted_at), (Some(at(1)), None));
}
