//! Walks the table of stored keys: what is attached to one, and what is one itself.

use super::scenario::{Scenario, at, stored};
use super::*;
use crate::model::{Action, AiLlmId, Target, Verification};

/// A configuration that takes its credentials from a stored key does not belong to this key any more, and does not
/// count as verified.
#[test]
fn configuration_attached_to_a_stored_key_is_no_longer_live() {
    let in_verification = Scenario::live().with(|case| {
        case.record.verification = Some(Verification::begin(
            stored("1", "one"),
            Stage::After,
            true,
            at(30),
        ));
    });
    let record = in_verification.record.clone();
    let shared = Drift::Shared(AiLlmId::new("key-1"));
    let after = news(&record, &shared).expect("it is news");
    assert_eq!((&after.live, &after.verification), (&None, &None));
    assert_eq!(after.ai_llm_id, record.ai_llm_id);
    assert_eq!(news(&after, &shared), None);
    // From then on it is searched for by its name, and found to be shared.
    let shared = Remote::Shared {
        id: AiLlmId::new("id-1"),
        stored_key: AiLlmId::new("key-1"),
    };
    let case = Scenario::live().read("1", "one").with(|case| {
        case.record = after;
    });
    assert_eq!(case.step(), "list");
    assert_eq!(case.with(|case| case.remote = shared).step(), "refuse 1");
}

/// A stored key is adopted by its id or description. It is created only if that is configured, and never if it may
/// exist already.
#[test]
fn a_stored_key_is_made_only_where_that_is_asked_for() {
    let target = |id: Option<&str>| {
        Scenario::fresh().read("1", "one").with(|case| {
            case.config().settings.target = Target::StoredKey {
                id: id.map(AiLlmId::new),
            };
        })
    };
    let remote = |case: Scenario, remote: Remote| case.with(|case| case.remote = remote);
    let found = || Remote::Found(AiLlmId::new("key-1"));
    let unlistable = || Remote::Unlistable("403".into());
    let creating = |case: Scenario| case.with(|case| case.config().may_create = true);
    let table = [
        (target(None), "list"),
        (remote(target(None), found()), "adopt key-1: first push"),
        (
            remote(target(Some("key-1")), found()),
            "adopt key-1: first push",
        ),
        (remote(target(None), Remote::Absent), "contradiction"),
        (
            remote(target(Some("key-1")), Remote::Absent),
            "contradiction",
        ),
        (remote(target(None), unlistable()), "contradiction"),
        (
            creating(remote(target(None), Remote::Absent)),
            "create: first push",
        ),
        (
            creating(remote(target(None), unlistable())),
            "contradiction",
        ),
        (
            creating(remote(target(None), Remote::Absent)).rejected(Action::Create),
            "refuse 1",
        ),
    ];
    for (row, (case, expected)) in table.iter().enumerate() {
        assert_eq!(case.step(), *expected, "row {row}");
    }
}
