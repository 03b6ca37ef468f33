//! What every store keeps, whatever it is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use flashback_rotator::model::{
    AiLlmId, Discovered, DiscoveredSecret, Edit, HistoryRow, Notified, Outcome, ReceiverId, Record,
    RuleId, SourceId, Verifier, WorkspaceId,
};
use flashback_rotator::state::StateStore;
use flashback_rotator::state::edits::{Heard, Watch};

use super::{File, Kind, at, database, full, key, note, origin, row, settings};
use crate::support::eventually;

/// Each part of the contract is tried on each kind of store.
macro_rules! contract {
    ($($part:ident,)+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $part() {
                super::$part(&super::File::new()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $part() {
                super::$part(&super::database().await).await;
            })+
        }
    };
}
pub(super) use contract;

contract! {
    records_survive,
    check_notes_are_visible_at_once_and_survive_reopening,
    check_notes_reach_other_processes_without_a_flush,
    history_is_in_order,
    the_verifier_is_added_to_the_newest_successful_push,
    the_fingerprint_key_stays,
    updates_are_heard_of_once,
    notified_states_survive_reopening,
    discoveries_survive_reopening,
}

async fn records_survive(kind: &dyn Kind) {
    let store = kind.open().await;
    assert!(store.load_all().await.expect("read").is_empty());
    let unknown = store.load(&key("a")).await.expect("read");
    assert_eq!(unknown, Record::new(key("a")));
    let (mut first, second) = (full("a", 1), full("b", 2));
    store.save(&second, None).await.expect("saved");
    store.save(&first, Some(&row("a", 1))).await.expect("saved");
    first = Record {
        ai_llm_id: first.ai_llm_id,
        ..Record::new(key("a"))
    };
    store.save(&first, None).await.expect("saved");
    for store in [store, kind.beside().await] {
        assert_eq!(store.load(&key("a")).await.expect("read"), first);
        let all = store.load_all().await.expect("read");
        assert_eq!(all, [first.clone(), second.clone()]);
    }
    let store = kind.open().await;
    assert_eq!(store.load(&key("b")).await.expect("read"), second);
}

async fn check_notes_are_visible_at_once_and_survive_reopening(kind: &dyn Kind) {
    let store = kind.open().await;
    let mut record = full("a", 1);
    store.save(&record, None).await.expect("saved");
    store.note_check(&key("a"), note(5, None));
    store.note_check(&key("b"), note(6, Some("away")));
    record.look = note(5, None);
    let mut only_looked_at = Record::new(key("b"));
    only_looked_at.look = note(6, Some("away"));
    let expected = [record.clone(), only_looked_at];
    assert_eq!(store.load(&key("a")).await.expect("read"), record);
    assert_eq!(store.load_all().await.expect("read"), expected);
    store.flush().await.expect("flushed");
    let beside = kind.beside().await;
    assert_eq!(beside.load_all().await.expect("read"), expected);
    drop(beside);

    store.note_check(&key("a"), note(7, None));
    record.look = note(8, None);
    store.save(&record, None).await.expect("saved");
    assert_eq!(
        store.load(&key("a")).await.expect("read").look,
        note(8, None)
    );
    store.note_check(&key("a"), note(9, None));
    kind.close(store).await;
    let store = kind.open().await;
    let kept = store.load(&key("a")).await.expect("read").look;
    assert_eq!(kept, note(9, None), "the last note is written at the end");
}

async fn check_notes_reach_other_processes_without_a_flush(kind: &dyn Kind) {
    let store = kind.open().await;
    let beside = kind.beside().await;
    store.note_check(&key("a"), note(5, None));
    eventually("the note is written", async || {
        let found = beside.load(&key("a")).await.expect("read");
        (found.look == note(5, None)).then_some(())
    })
    .await;
}

async fn history_is_in_order(kind: &dyn Kind) {
    let store = kind.open().await;
    let rows = [row("a", 0), row("b", 1), row("a", 2)];
    for row in &rows {
        let record = Record::new(row.key.clone());
        store.save(&record, Some(row)).await.expect("saved");
    }
    let history = async |of: Option<&str>, since: Option<usize>, limit| {
        let (of, since) = (of.map(key), since.map(|row| rows[row].at));
        let rows = store.history(of.as_ref(), since, limit).await;
        rows.expect("read")
    };
    assert_eq!(history(None, None, None).await, rows);
    assert_eq!(history(None, None, Some(2)).await, rows[1..]);
    assert_eq!(
        history(Some("a"), None, None).await,
        [rows[0].clone(), rows[2].clone()]
    );
    assert_eq!(history(Some("a"), None, Some(1)).await, rows[2..]);
    assert!(history(Some("c"), None, None).await.is_empty());
    assert!(history(None, None, Some(0)).await.is_empty());
    assert_eq!(history(None, Some(0), None).await, rows);
    assert_eq!(history(None, Some(1), None).await, rows[1..]);
    assert_eq!(history(None, Some(0), Some(1)).await, rows[2..]);
    assert_eq!(history(Some("a"), Some(1), None).await, rows[2..]);
    let later = rows[2].at + TimeDelta::microseconds(1);
    let none = store.history(None, Some(later), None).await;
    assert!(none.expect("read").is_empty());
}

async fn the_verifier_is_added_to_the_newest_successful_push(kind: &dyn Kind) {
    let store = kind.open().await;
    let of = |name: &str, turn, outcome| HistoryRow {
        outcome,
        ..row(name, turn)
    };
    let rows = [
        of("a", 1, Outcome::Succeeded),
        of("a", 2, Outcome::Succeeded),
        of("b", 3, Outcome::Succeeded),
        of("a", 4, Outcome::Failed),
    ];
    for row in &rows {
        let record = Record::new(row.key.clone());
        store.save(&record, Some(row)).await.expect("saved");
    }
    let record = full("a", 5);
    let verified = store.save_verified(&record, Verifier::Flashback).await;
    verified.expect("saved");
    assert_eq!(store.load(&key("a")).await.expect("read"), record);
    let trail = store.history(None, None, None).await.expect("read");
    let by: Vec<_> = trail.iter().map(|row| row.verified_by.as_deref()).collect();
    assert_eq!(by, [None, Some("flashback"), None, None]);
}

/// An update that is told of twice is heard of once, by the key whose record names what was updated, and
/// only when a record that has heard of it is saved.
async fn updates_are_heard_of_once(kind: &dyn Kind) {
    let workspace = WorkspaceId::new("w");
    let every = Duration::from_secs(60);
    let update = |id, of: &str, second| Heard {
        ai_llm_id: AiLlmId::new(format!("ai-{of}")),
        edit: Edit {
            id,
            user_id: "user-7".to_owned(),
            own: false,
        },
        at: at(second),
    };
    let store = kind.open_for(&["a", "b"]).await;
    for name in ["a", "b"] {
        let record = store.load(&key(name)).await.expect("read");
        let ai_llm_id = Some(AiLlmId::new(format!("ai-{name}")));
        let record = Record {
            ai_llm_id,
            ..record
        };
        store.save(&record, None).await.expect("saved");
    }
    let watch = store.watch(&workspace, every).await.expect("read");
    assert_eq!(watch, Watch::Mine { read_to: None });
    let heard = [
        update(2, "a", 2),
        update(1, "a", 1),
        update(3, "unknown", 3),
    ];
    store.hear(&workspace, at(3), &heard).await.expect("heard");
    store.hear(&workspace, at(3), &heard).await.expect("heard");
    assert_eq!(store.edited().await.expect("read"), [key("a")]);
    let unheard = store.unheard(&key("a")).await.expect("read");
    assert_eq!(
        unheard.iter().map(|edit| edit.id).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(store.unheard(&key("b")).await.expect("read").is_empty());

    let record = store.load(&key("a")).await.expect("read");
    let heard = Record { unheard, ..record }.hearing();
    store.save(&heard, None).await.expect("saved");
    let again = store.load(&key("a")).await.expect("read");
    assert_eq!(again.edits.changed_by.as_deref(), Some("user-7"));
    // What is told of again is known, and what is new is not lost beside it.
    let more = [update(1, "a", 1), update(2, "a", 2), update(9, "a", 4)];
    store.hear(&workspace, at(4), &more).await.expect("heard");
    let unheard = store.unheard(&key("a")).await.expect("read");
    assert_eq!(unheard.iter().map(|edit| edit.id).collect::<Vec<_>>(), [9]);
    kind.close(store).await;
    let store = kind.open_for(&["a", "b"]).await;
    let read_to = match store.watch(&workspace, Duration::ZERO).await.expect("read") {
        Watch::Mine { read_to } => read_to,
        Watch::Another => panic!("its time has come"),
    };
    assert_eq!(read_to, Some(at(4)));
    // What nobody needs any more goes.
    store
        .hear(&workspace, at(90_000), &[])
        .await
        .expect("heard");
    store
        .hear(&workspace, at(90_000), &more)
        .await
        .expect("heard");
    let unheard = store.unheard(&key("a")).await.expect("read");
    assert_eq!(unheard.len(), 3);
}

async fn the_fingerprint_key_stays(kind: &dyn Kind) {
    let store = kind.open().await;
    let first = store.fingerprinter().await.expect("read").bytes(b"x");
    kind.close(store).await;
    let again = kind.open().await;
    let second = again.fingerprinter().await.expect("read").bytes(b"x");
    assert_eq!(first, second);
}

async fn notified_states_survive_reopening(kind: &dyn Kind) {
    let line = |receiver: &str, subject: &str, event: Option<&str>, told: Option<&str>| Notified {
        receiver: ReceiverId::new(receiver),
        subject: subject.to_owned(),
        event: event.map(str::to_owned),
        since: at(7),
        told: told.map(str::to_owned),
    };
    let store = kind.open().await;
    assert!(store.notified().await.expect("read").is_empty());
    let failing = line("ops", "key:a", Some("failing"), None);
    let recovering = line("ops", "key:b", None, Some("held"));
    let other = line("people", "key:a", Some("failing"), Some("failing"));
    let over = line("ops", "key:never", None, None);
    let lines = [failing.clone(), recovering.clone(), other.clone(), over];
    store.save_notified(&lines).await.expect("saved");
    drop(store);
    let store = kind.open().await;
    let sorted = async |store: &dyn StateStore| {
        let mut lines = store.notified().await.expect("read");
        lines.sort_by_key(|line| (line.receiver.clone(), line.subject.clone()));
        lines
    };
    let expected = [failing, recovering, other.clone()];
    assert_eq!(sorted(&*store).await, expected);
    // One is told, one is over.
    let told = line("ops", "key:a", Some("failing"), Some("failing"));
    let changes = [told.clone(), line("ops", "key:b", None, None)];
    store.save_notified(&changes).await.expect("saved");
    assert_eq!(sorted(&*store).await, [told, other]);
}

async fn discoveries_survive_reopening(kind: &dyn Kind) {
    let secret = |removed: bool| DiscoveredSecret {
        settings: settings("a"),
        fields: origin("a").fields,
        since: at(1),
        absent_since: removed.then(|| at(2)),
        removed,
    };
    let of = |secrets: &[(&str, bool)]| Discovered {
        source: SourceId::new("vault"),
        secrets: secrets
            .iter()
            .map(|(path, removed)| ((*path).to_owned(), secret(*removed)))
            .collect(),
    };
    let (a, b) = (RuleId::new("a"), RuleId::new("b"));
    let store = kind.open().await;
    assert!(store.discovered().await.expect("read").is_empty());
    let first = of(&[("llm/a", false), ("llm/\u{fc}/b", true)]);
    let second = of(&[]);
    for (rule, discovered) in [(&a, &second), (&b, &second), (&a, &first)] {
        let saved = store.save_discovered(rule, Some(discovered)).await;
        saved.expect("saved");
    }
    drop(store);
    let store = kind.open().await;
    let known = store.discovered().await.expect("read");
    let expected = BTreeMap::from([(a.clone(), first), (b.clone(), second.clone())]);
    assert_eq!(known, expected);
    store.save_discovered(&a, None).await.expect("forgotten");
    let known = store.discovered().await.expect("read");
    assert_eq!(known, BTreeMap::from([(b, second)]));
}
