//! Records of rotations in each outcome.

use super::*;
use crate::model::{ProviderId, Stuck, Times};
use crate::rotation::Stage;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(ms)
}

fn wanted(compromised: bool) -> RotateCommand {
    RotateCommand {
        compromised,
        even_if_broken: false,
        at: at(0),
    }
}

/// A rotation that is over, of a key that was disabled after it.
fn over(compromised: bool) -> RotationReport {
    let old = OldKeyReport {
        id: ProviderKeyId::new("key_1"),
        since: at(900),
        disabled_at: Some(at(1_000)),
        compromised,
        revoke_after: None,
        delete_after: Some(at(3_600_000)),
        stuck: None,
    };
    RotationReport {
        provider: ProviderId::new("openai"),
        stage: Stage::Disabled,
        due_at: None,
        waiting: None,
        stuck: None,
        asked: None,
        current: Some(ProviderKeyId::new("key_2")),
        next: None,
        old: vec![old],
        times: Times {
            asked: Some(wanted(compromised)),
            replaced: Some(ProviderKeyId::new("key_1")),
            started_at: Some(at(50)),
            minted_at: Some(at(100)),
            stored_at: Some(at(200)),
            live_at: Some(at(500)),
            verified_at: Some(at(900)),
            revoked_at: Some(at(1_000)),
            ended: Vec::new(),
        },
    }
}

fn record(report: RotationReport, wanted: RotateCommand) -> RotationRecord {
    let key = KeyId::new("k");
    RotationRecord::new(&key, wanted, report, None, at(2_000))
}

fn shown(record: &RotationRecord) -> String {
    anstream::adapter::strip_str(&record.text()).to_string()
}

#[test]
fn the_record_has_each_time_and_what_becomes_of_the_old_key() {
    let record = record(over(true), wanted(true));
    assert_eq!(record.outcome, Outcome::Done);
    assert_eq!(
        shown(&record),
        "The new key of k is key_2, made by openai.\n\n\
         STEP          AT                        AFTER\n\
         asked for     2024-10-04T00:00:00.000Z\n\
         begun         2024-10-04T00:00:00.050Z  0.050 s\n\
         minted        2024-10-04T00:00:00.100Z  0.100 s\n\
         stored        2024-10-04T00:00:00.200Z  0.200 s\n\
         live          2024-10-04T00:00:00.500Z  0.500 s\n\
         verified      2024-10-04T00:00:00.900Z  0.900 s\n\
         old key dead  2024-10-04T00:00:01.000Z  1.000 s\n\n\
         Old key key_1: disabled at 2024-10-04T00:00:01Z; deleted at 2024-10-04T01:00:00Z at the earliest (in 59 min)"
    );
    let document = record.document();
    assert_eq!(document["outcome"], "done");
    assert_eq!(document["reason"], Value::Null);
    assert_eq!(
        document["times"]["old_key_dead"],
        json!({ "at": "2024-10-04T00:00:01.000Z", "ms": 1_000 })
    );
    assert_eq!(document["old_keys"][0]["fate"], "disabled");
    assert_eq!(document["new_key"], "key_2");
}

#[test]
fn a_deleted_key_is_dead_since_it_was_deleted() {
    let mut report = over(true);
    report.old.clear();
    report.times.ended.push(EndedKey {
        id: ProviderKeyId::new("key_1"),
        fate: Fate::Deleted,
        compromised: true,
        disabled_at: None,
        at: at(950),
    });
    let document = record(report, wanted(true)).document();
    assert_eq!(document["times"]["old_key_dead"]["ms"], 950);
    assert_eq!(document["old_keys"][0]["fate"], "deleted");
    assert_eq!(
        document["old_keys"][0]["deleted_at"],
        "2024-10-04T00:00:00.950Z"
    );
}

#[test]
fn a_compromised_key_that_is_not_known_is_not_said_to_be_dead() {
    let mut report = over(true);
    report.old.clear();
    report.times.replaced = None;
    let record = record(report, wanted(true));
    assert_eq!(record.outcome, Outcome::NotRevoked);
    assert!(record.reason().contains("NOT revoked"));
    assert_eq!(record.document()["times"]["old_key_dead"], Value::Null);
}

#[test]
fn what_is_stuck_broken_taken_back_or_not_taken_says_so() {
    let stuck = RotationReport {
        asked: Some(wanted(true)),
        stuck: Some(Stuck {
            why: "access denied".to_owned(),
            since: at(0),
            tries: 4,
            next_at: at(0),
        }),
        waiting: Some("access denied".to_owned()),
        ..over(true)
    };
    let stuck = record(stuck, wanted(true));
    assert_eq!(stuck.outcome, Outcome::Stuck);
    assert!(
        stuck.reason().ends_with("access denied"),
        "{}",
        stuck.reason()
    );

    let mut broken = over(true);
    broken.times.verified_at = None;
    let forced = RotateCommand {
        even_if_broken: true,
        ..wanted(true)
    };
    assert_eq!(record(broken.clone(), forced).outcome, Outcome::Broken);
    let taken_back = record(broken, wanted(true));
    assert_eq!(taken_back.outcome, Outcome::TakenBack);
    assert!(taken_back.reason().contains("`rotate` makes another one"));

    let later = RotateCommand {
        at: at(10_000),
        ..wanted(false)
    };
    let not_taken = record(over(false), later);
    assert_eq!(not_taken.outcome, Outcome::NotTaken);
    // The times of a rotation of before are not those of this one.
    assert_eq!(not_taken.document()["times"]["minted"], Value::Null);
}
