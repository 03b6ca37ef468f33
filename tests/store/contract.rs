//! What every store keeps, whatever it is made of.

use std::sync::Arc;

use flashback_rotator::model::{HistoryRow, Outcome, Record, Verifier};
use flashback_rotator::store::{Request, RequestId, RequestState, Store, StoreError};

use super::{File, Kind, full, key, note, row};
use crate::support::eventually;

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    records_survive(&File::new()).await;
    looks_are_seen_at_once_and_survive(&File::new()).await;
    looks_reach_others_by_themselves(&File::new()).await;
    history_is_in_order(&File::new()).await;
    what_verified_a_write_is_added_to_its_line(&File::new()).await;
    the_fingerprint_key_stays(&File::new()).await;
    a_request_travels(&File::new()).await;
    a_dead_ones_claim_is_given_out_again(&File::new()).await;
    many_at_once(&File::new()).await;
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

async fn looks_are_seen_at_once_and_survive(kind: &dyn Kind) {
    let store = kind.open().await;
    let mut record = full("a", 1);
    store.save(&record, None).await.expect("saved");
    store.note_look(&key("a"), note(5, None));
    store.note_look(&key("b"), note(6, Some("away")));
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

    store.note_look(&key("a"), note(7, None));
    record.look = note(8, None);
    store.save(&record, None).await.expect("saved");
    assert_eq!(
        store.load(&key("a")).await.expect("read").look,
        note(8, None)
    );
    store.note_look(&key("a"), note(9, None));
    drop(store);
    let store = kind.open().await;
    let kept = store.load(&key("a")).await.expect("read").look;
    assert_eq!(kept, note(9, None), "the last note is written at the end");
}

async fn looks_reach_others_by_themselves(kind: &dyn Kind) {
    let store = kind.open().await;
    let beside = kind.beside().await;
    store.note_look(&key("a"), note(5, None));
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
    let history = async |of: Option<&str>, limit| {
        let of = of.map(key);
        store.history(of.as_ref(), limit).await.expect("read")
    };
    assert_eq!(history(None, None).await, rows);
    assert_eq!(history(None, Some(2)).await, rows[1..]);
    assert_eq!(
        history(Some("a"), None).await,
        [rows[0].clone(), rows[2].clone()]
    );
    assert_eq!(history(Some("a"), Some(1)).await, rows[2..]);
    assert!(history(Some("c"), None).await.is_empty());
    assert!(history(None, Some(0)).await.is_empty());
}

async fn what_verified_a_write_is_added_to_its_line(kind: &dyn Kind) {
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
    let trail = store.history(None, None).await.expect("read");
    let by: Vec<_> = trail.iter().map(|row| row.verified_by.as_deref()).collect();
    assert_eq!(by, [None, Some("flashback"), None, None]);
}

async fn the_fingerprint_key_stays(kind: &dyn Kind) {
    let store = kind.open().await;
    let first = store.fingerprinter().await.expect("read").bytes(b"x");
    drop(store);
    let again = kind.open().await;
    let second = again.fingerprinter().await.expect("read").bytes(b"x");
    assert_eq!(first, second);
}

fn sync(keys: &[&str]) -> Request {
    Request::Sync {
        keys: keys.iter().map(|name| key(name)).collect(),
        force: true,
    }
}

async fn a_request_travels(kind: &dyn Kind) {
    let works = kind.open().await;
    let beside = kind.beside().await;
    for _ in 0..3 {
        assert_eq!(works.take_request().await.expect("asked"), None);
    }
    let first = beside.submit(&sync(&["a"])).await.expect("submitted");
    let second = beside.submit(&sync(&[])).await.expect("submitted");
    let third = works.submit(&sync(&["own"])).await.expect("submitted");
    let state = async |id| beside.request_state(id).await;
    assert_eq!(state(first).await, Ok(RequestState::Waiting));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((first, sync(&["a"]))));
    let working = |done, total| Ok(RequestState::Working { done, total });
    assert_eq!(state(first).await, working(0, 0));
    works.report_progress(first, 2, 5).await.expect("reported");
    assert_eq!(state(first).await, working(2, 5));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((second, sync(&[]))));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((third, sync(&["own"]))));
    assert_eq!(works.take_request().await.expect("asked"), None);

    works
        .answer(first, "{\"keys\": []}")
        .await
        .expect("answered");
    let answered = RequestState::Answered("{\"keys\": []}".to_owned());
    assert_eq!(state(first).await, Ok(answered));
    for forgotten in [first, RequestId(987_654)] {
        let error = state(forgotten).await.expect_err("forgotten");
        assert!(matches!(error, StoreError::Failed { .. }), "{error}");
        let late = works.answer(forgotten, "{}").await;
        late.expect("nobody waits for it, and that is no error");
    }
    let next = beside.submit(&sync(&["b"])).await.expect("submitted");
    assert!(next.0 > third.0, "numbers are never used twice");
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((next, sync(&["b"]))));
}

async fn a_dead_ones_claim_is_given_out_again(kind: &dyn Kind) {
    let store = kind.open().await;
    let answered = store.submit(&sync(&["done"])).await.expect("submitted");
    let dropped = store.submit(&sync(&["dropped"])).await.expect("submitted");
    for _ in 0..2 {
        store.take_request().await.expect("taken").expect("one");
    }
    store.answer(answered, "{}").await.expect("answered");
    store.report_progress(dropped, 1, 2).await.expect("said");
    drop(store);
    let next = kind.open().await;
    let state = next.request_state(dropped).await;
    assert_eq!(state, Ok(RequestState::Waiting));
    let taken = next.take_request().await.expect("taken");
    assert_eq!(taken, Some((dropped, sync(&["dropped"]))));
    assert_eq!(next.take_request().await.expect("asked"), None);
    let state = next.request_state(answered).await;
    assert_eq!(state, Ok(RequestState::Answered("{}".to_owned())));
}

async fn many_at_once(kind: &dyn Kind) {
    let store: Arc<dyn Store> = Arc::from(kind.open().await);
    let beside: Arc<dyn Store> = Arc::from(kind.beside().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20_i64 {
        let (store, beside) = (store.clone(), beside.clone());
        tasks.spawn(async move {
            let name = format!("key-{number:02}");
            for turn in 1..=5 {
                let record = full(&name, turn);
                store
                    .save(&record, Some(&row(&name, turn)))
                    .await
                    .expect("saved");
                store.note_look(&record.key, note(turn, None));
                let read = store.load(&record.key).await.expect("read");
                assert_eq!((read.seen, read.look), (record.seen, note(turn, None)));
                beside.submit(&sync(&[&name])).await.expect("submitted");
                store.take_request().await.expect("taken").expect("one");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    assert_eq!(store.load_all().await.expect("read").len(), 20);
    assert_eq!(store.history(None, None).await.expect("read").len(), 100);
    assert_eq!(store.take_request().await.expect("asked"), None);
}
