//! Walks the table: every situation that the diagram tells apart, and the step that follows.

use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::model::{
    Abilities, IssuedKey, KeyId, LastUse, NextKey, OldKey, OwnKey, ProviderId, ProviderKeyId,
    Revoke, RotateCommand, RotateConfig, Rotation, Version,
};
use crate::reconcile::scenario::{at, digest};

/// A situation: the key "live" is live everywhere, nothing is due, and nothing was asked.
#[derive(Clone)]
struct Case {
    now: i64,
    rotate: RotateConfig,
    abilities: Abilities,
    rotation: Rotation,
    proof: Proof,
    seen: Version,
    held: Option<Version>,
    due: bool,
    has_value: bool,
    list: Option<Vec<IssuedKey>>,
    found: Option<Option<ProviderKeyId>>,
    newest: Option<Newest>,
    last_uses: Vec<(ProviderKeyId, LastUse)>,
}

fn id(text: &str) -> ProviderKeyId {
    ProviderKeyId::new(text)
}

/// A key whose value has the name of its id.
fn own(name: &str) -> OwnKey {
    OwnKey {
        id: id(name),
        fingerprint: digest(name),
        minted: true,
    }
}

fn issued(name: &str, active: bool) -> IssuedKey {
    IssuedKey {
        id: id(name),
        name: Some(format!("name of {name}")),
        created_at: Some(at(0)),
        active,
        last_use: LastUse::Unknown,
        redacted: None,
    }
}

fn old(name: &str) -> OldKey {
    OldKey {
        key: own(name),
        since: at(0),
        disabled_at: None,
        disabling: None,
        compromised: false,
        even_if_broken: false,
        stuck: None,
    }
}

fn version(text: &str) -> Version {
    Version::new(text)
}

fn case() -> Case {
    let mut rotation = Rotation::new(ProviderId::new("p"));
    rotation.current = Some(own("live"));
    Case {
        now: 0,
        rotate: RotateConfig {
            provider: ProviderId::new("p"),
            every: None,
            overlap: Duration::from_secs(3600),
            idle: Duration::from_secs(1800),
            revoke: Revoke::Disable,
            cool_off: Duration::from_secs(24 * 3600),
            adopt: None,
        },
        abilities: Abilities {
            mints: true,
            names: true,
            last_use: true,
            disables: true,
            slots: false,
            limit: None,
        },
        rotation,
        proof: Proof {
            everywhere: Some((version("1"), digest("live"))),
            somewhere: vec![digest("live")],
            live_at: Some(at(0)),
            behind: None,
        },
        seen: version("1"),
        held: None,
        due: false,
        has_value: false,
        list: None,
        found: None,
        newest: None,
        last_uses: Vec::new(),
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn at(self, now: i64) -> Self {
        self.with(|case| case.now = now)
    }

    fn due(self) -> Self {
        self.with(|case| case.due = true)
    }

    fn asked(self, compromised: bool, even_if_broken: bool) -> Self {
        self.with(|case| {
            case.rotation.command = Some(RotateCommand {
                compromised,
                even_if_broken,
                at: at(case.now),
            });
        })
    }

    fn listing(self, keys: &[IssuedKey]) -> Self {
        self.with(|case| case.list = Some(keys.to_vec()))
    }

    fn newest(self, text: &str, value: &str) -> Self {
        self.with(|case| {
            case.newest = Some(Newest {
                version: Some(version(text)),
                fingerprint: Some(digest(value)),
            });
        })
    }

    fn used(self, name: &str, last_use: LastUse) -> Self {
        self.with(|case| case.last_uses.push((id(name), last_use)))
    }

    fn next(self, next: NextKey) -> Self {
        self.with(|case| case.rotation.next = Some(next))
    }

    fn old(self, old: OldKey) -> Self {
        self.with(|case| case.rotation.old.push(old))
    }

    fn live(self, text: &str, value: &str) -> Self {
        self.with(|case| {
            case.proof.everywhere = Some((version(text), digest(value)));
            case.proof.somewhere = vec![digest(value)];
            case.seen = version(text);
        })
    }

    /// Another key that reads the secret has still this value.
    fn behind(self, value: &str) -> Self {
        self.with(|case| {
            case.proof.everywhere = None;
            case.proof.somewhere.push(digest(value));
            case.proof.behind = Some(KeyId::new("other"));
        })
    }

    fn step(&self) -> String {
        let step = decide(&Situation {
            now: at(self.now),
            rotate: &self.rotate,
            abilities: self.abilities,
            rotation: &self.rotation,
            proof: &self.proof,
            seen: Some(&self.seen),
            held: self.held.as_ref(),
            due_at: self.due.then(|| at(0)),
            doubt: Duration::from_secs(60),
            has_value: self.has_value,
            name: "new",
            list: self.list.as_deref(),
            found: self.found.as_ref().map(Option::as_ref),
            newest: self.newest.as_ref(),
            last_uses: &self.last_uses,
        });
        said(&step, self.now)
    }
}

fn said(step: &Step, now: i64) -> String {
    match step {
        Step::Ask(Question::List) => "list".to_owned(),
        Step::Ask(Question::Find) => "find".to_owned(),
        Step::Ask(Question::Newest) => "ask for the newest".to_owned(),
        Step::Ask(Question::LastUse(id)) => format!("ask for the last use of {id}"),
        Step::Save(next, Change::Stuck) => {
            let of_old = next.old.iter().filter_map(|old| old.stuck.as_ref());
            let why: Vec<_> = of_old
                .chain(&next.stuck)
                .map(|it| it.why.as_str())
                .collect();
            format!("stuck: {}", why.join("; "))
        }
        Step::Save(_, change) => format!("save {change:?}").replace("ProviderKeyId", ""),
        Step::Mint(NextKey::Minting { name, slot, .. }) => match slot {
            Some(slot) => format!("mint {name} in {slot}"),
            None => format!("mint {name}"),
        },
        Step::Mint(other) => format!("{other:?}"),
        Step::Store => "store".to_owned(),
        Step::Discard(id) => format!("discard {id}"),
        Step::Disable(id) => format!("disable {id}"),
        Step::Enable(id) => format!("enable {id}"),
        Step::Delete(id) => format!("delete {id}"),
        Step::Rest(rest) => {
            let until = rest.until.map(|until| (until - at(now)).num_seconds());
            let until = until
                .map(|until| format!(" for {until} s"))
                .unwrap_or_default();
            let why = rest.waiting.as_ref().map(|why| format!(": {why}"));
            format!("rest{until}{}", why.unwrap_or_default())
        }
    }
}

fn check(table: &[(Case, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .enumerate()
        .filter_map(|(row, (case, expected))| {
            let step = case.step();
            (step != *expected).then(|| format!("row {row}: {step}\n  expected: {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn minting(begun: i64) -> NextKey {
    NextKey::Minting {
        name: "name of new".into(),
        slot: None,
        before: vec![id("live")],
        expected: Some(version("1")),
        at: at(begun),
    }
}

fn minted(made: i64) -> NextKey {
    NextKey::Minted {
        id: id("new"),
        fingerprint: digest("new"),
        expected: Some(version("1")),
        token: "t".into(),
        doubtful: false,
        at: at(made),
    }
}

fn stored(stored: i64) -> NextKey {
    NextKey::Stored {
        id: id("new"),
        fingerprint: digest("new"),
        version: version("2"),
        expected: Some(version("1")),
        at: at(stored),
    }
}

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
            "rest: a rotation is due, and waits for the end of the one that was asked for",
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
                })
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
                .failed(Some(&id("old")), "503", None, at(3600))
        })
    };
    let dead = |case: Case| case.with(|case| case.rotation.old[0].disabled_at = Some(at(0)));
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
            ready()
                .live("1", "x")
                .listing(&[issued("old", true)])
                .with(|case| {
                    case.rotation.current = None;
                    case.rotation.unknown = Some(digest("x"));
                }),
            "stuck: the old key old is the only active one, so it is not revoked",
        ),
        (
            ready().with(|case| case.rotation.old[0].key.id = id("live")),
            "stuck: the key live is both live and old: nothing is done to it",
        ),
        (failed(ready()), "rest for 1 s: 503"),
        // It is live again: the wait begins anew, and a dead one is brought back.
        (ready().behind("old"), "save Restarted"),
        (dead(ready()).behind("old"), "enable old"),
        (
            dead(ready())
                .behind("old")
                .with(|case| case.abilities.disables = false),
            "rest: the value of the old key old is live, or is to be",
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
            over(true).old(OldKey {
                disabled_at: Some(at(0)),
                ..alive
            }),
            "save Done",
        ),
    ]);
}
