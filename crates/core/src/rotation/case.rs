//! Situations for the tables, and the steps that follow, in words.

use std::time::Duration;

use super::*;
use crate::model::{
    Abilities, IssuedKey, KeyId, LastUse, NextKey, OldKey, OwnKey, ProviderId, ProviderKeyId,
    Revoke, RotateCommand, RotateConfig, Rotation, Version,
};
use crate::reconcile::scenario::{at, digest};

/// A situation: the key "live" is live everywhere, nothing is due, and nothing was asked.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) now: i64,
    pub(super) rotate: RotateConfig,
    pub(super) abilities: Abilities,
    pub(super) rotation: Rotation,
    pub(super) proof: Proof,
    pub(super) seen: Version,
    pub(super) held: Option<Version>,
    pub(super) due: bool,
    pub(super) has_value: bool,
    pub(super) list: Option<Vec<IssuedKey>>,
    pub(super) found: Option<Option<ProviderKeyId>>,
    pub(super) newest: Option<Newest>,
    pub(super) last_uses: Vec<(ProviderKeyId, LastUse)>,
}

pub(super) fn id(text: &str) -> ProviderKeyId {
    ProviderKeyId::new(text)
}

/// A key whose value has the name of its id.
pub(super) fn own(name: &str) -> OwnKey {
    OwnKey {
        id: id(name),
        fingerprint: digest(name),
        minted: true,
    }
}

pub(super) fn issued(name: &str, active: bool) -> IssuedKey {
    IssuedKey {
        id: id(name),
        name: Some(format!("name of {name}")),
        created_at: Some(at(0)),
        active,
        last_use: LastUse::Unknown,
        redacted: None,
    }
}

pub(super) fn old(name: &str) -> OldKey {
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

pub(super) fn version(text: &str) -> Version {
    Version::new(text)
}

pub(super) fn case() -> Case {
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
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn at(self, now: i64) -> Self {
        self.with(|case| case.now = now)
    }

    pub(super) fn due(self) -> Self {
        self.with(|case| case.due = true)
    }

    pub(super) fn asked(self, compromised: bool, even_if_broken: bool) -> Self {
        self.with(|case| {
            case.rotation.command = Some(RotateCommand {
                compromised,
                even_if_broken,
                at: at(case.now),
            });
        })
    }

    pub(super) fn listing(self, keys: &[IssuedKey]) -> Self {
        self.with(|case| case.list = Some(keys.to_vec()))
    }

    pub(super) fn newest(self, text: &str, value: &str) -> Self {
        self.with(|case| {
            case.newest = Some(Newest {
                version: Some(version(text)),
                fingerprint: Some(digest(value)),
            });
        })
    }

    pub(super) fn used(self, name: &str, last_use: LastUse) -> Self {
        self.with(|case| case.last_uses.push((id(name), last_use)))
    }

    pub(super) fn next(self, next: NextKey) -> Self {
        self.with(|case| case.rotation.next = Some(next))
    }

    pub(super) fn old(self, old: OldKey) -> Self {
        self.with(|case| case.rotation.old.push(old))
    }

    pub(super) fn live(self, text: &str, value: &str) -> Self {
        self.with(|case| {
            case.proof.everywhere = Some((version(text), digest(value)));
            case.proof.somewhere = vec![digest(value)];
            case.seen = version(text);
        })
    }

    /// Another key that reads the secret has still this value.
    pub(super) fn behind(self, value: &str) -> Self {
        self.with(|case| {
            case.proof.everywhere = None;
            case.proof.somewhere.push(digest(value));
            case.proof.behind = Some(KeyId::new("other"));
        })
    }

    pub(super) fn step(&self) -> String {
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

pub(super) fn said(step: &Step, now: i64) -> String {
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

pub(super) fn check(table: &[(Case, &str)]) {
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

pub(super) fn minting(begun: i64) -> NextKey {
    NextKey::Minting {
        name: "name of new".into(),
        slot: None,
        before: vec![id("live")],
        expected: Some(version("1")),
        at: at(begun),
    }
}

pub(super) fn minted(made: i64) -> NextKey {
    NextKey::Minted {
        id: id("new"),
        fingerprint: digest("new"),
        expected: Some(version("1")),
        token: "t".into(),
        doubtful: false,
        at: at(made),
    }
}

pub(super) fn stored(stored: i64) -> NextKey {
    NextKey::Stored {
        id: id("new"),
        fingerprint: digest("new"),
        version: version("2"),
        expected: Some(version("1")),
        at: at(stored),
    }
}
