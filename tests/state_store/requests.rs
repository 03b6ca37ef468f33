//! Requests travel from one process to those that work, and their answers back.

use std::sync::Arc;

use flashback_rotator::model::{Record, ReplicaId};
use flashback_rotator::state::membership::Membership as _;
use flashback_rotator::state::postgres::Postgres;
use flashback_rotator::state::{Request, RequestId, RequestState, StateError, StateStore};

use super::contract::contract;
use super::membership::{LONG, OVER, evict, renew, sql};
use super::{File, Kind, claim, database, full, joined, key, note, opened, row};
use crate::support::eventually;
use crate::support::postgres::Database;

contract! {
    a_request_travels,
    a_dead_ones_claim_is_given_out_again,
    many_at_once,
}

fn sync(keys: &[&str]) -> Request {
    Request::Sync {
        keys: keys.iter().map(|name| key(name)).collect(),
        force: true,
        answer_within_ms: None,
    }
}

async fn a_request_travels(kind: &dyn Kind) {
    let works = kind.open_for(&["a", "b", "c", "own"]).await;
    let beside = kind.beside().await;
    for _ in 0..3 {
        assert_eq!(works.take_request().await.expect("asked"), None);
    }
    let first = beside
        .submit(&sync(&["a", "b", "c"]))
        .await
        .expect("submitted");
    let second = beside.submit(&sync(&["a"])).await.expect("submitted");
    let third = works.submit(&sync(&["own"])).await.expect("submitted");
    let state = async |id| beside.request_state(id).await;
    assert_eq!(state(first).await, Ok(RequestState::Waiting));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((first, sync(&["a", "b", "c"]))));
    let working = |done, total| Ok(RequestState::Working { done, total });
    let begun = state(first).await.expect("known");
    assert!(
        matches!(begun, RequestState::Working { done: 0, .. }),
        "{begun:?}"
    );
    works.report_progress(first, 2, 3).await.expect("reported");
    assert_eq!(state(first).await, working(2, 3));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((second, sync(&["a"]))));
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((third, sync(&["own"]))));
    assert_eq!(works.take_request().await.expect("asked"), None);

    works
        .answer(first, "{\"keys\":[]}")
        .await
        .expect("answered");
    let answered = RequestState::Answered("{\"keys\":[]}".to_owned());
    assert_eq!(state(first).await, Ok(answered));
    for forgotten in [first, RequestId(987_654)] {
        let error = state(forgotten).await.expect_err("forgotten");
        assert!(matches!(error, StateError::Failed { .. }), "{error}");
        let late = works.answer(forgotten, "{}").await;
        late.expect("nobody waits for it, and that is no error");
    }
    let next = beside.submit(&sync(&["b"])).await.expect("submitted");
    assert!(next.0 > third.0, "numbers are never used twice");
    let taken = works.take_request().await.expect("taken");
    assert_eq!(taken, Some((next, sync(&["b"]))));
}

async fn a_dead_ones_claim_is_given_out_again(kind: &dyn Kind) {
    let store = kind.open_for(&["done", "dropped"]).await;
    let answered = store.submit(&sync(&["done"])).await.expect("submitted");
    let dropped = store.submit(&sync(&["dropped"])).await.expect("submitted");
    for _ in 0..2 {
        store.take_request().await.expect("taken").expect("one");
    }
    let none = "{\"keys\":[]}";
    store.answer(answered, none).await.expect("answered");
    store.report_progress(dropped, 1, 1).await.expect("said");
    kind.close(store).await;
    let next = kind.open_for(&["done", "dropped"]).await;
    let state = next.request_state(dropped).await;
    assert_eq!(state, Ok(RequestState::Waiting));
    let taken = next.take_request().await.expect("taken");
    assert_eq!(taken, Some((dropped, sync(&["dropped"]))));
    assert_eq!(next.take_request().await.expect("asked"), None);
    let state = next.request_state(answered).await;
    assert_eq!(state, Ok(RequestState::Answered(none.to_owned())));
}

async fn many_at_once(kind: &dyn Kind) {
    let names: Vec<_> = (0..20).map(|number| format!("key-{number:02}")).collect();
    let each: Vec<_> = names.iter().map(String::as_str).collect();
    let store: Arc<dyn StateStore> = Arc::from(kind.open_for(&each).await);
    let beside: Arc<dyn StateStore> = Arc::from(kind.beside().await);
    let mut tasks = tokio::task::JoinSet::new();
    for name in names {
        let (store, beside) = (store.clone(), beside.clone());
        tasks.spawn(async move {
            let held = store.load(&key(&name)).await.expect("read").lease;
            for turn in 1..=5 {
                let record = Record {
                    lease: held,
                    ..full(&name, turn)
                };
                store
                    .save(&record, Some(&row(&name, turn)))
                    .await
                    .expect("saved");
                store.note_check(&record.key, note(turn, None));
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
    assert_eq!(
        store.history(None, None, None).await.expect("read").len(),
        100
    );
    assert_eq!(store.take_request().await.expect("asked"), None);
}

#[tokio::test]
async fn each_carries_out_its_part_of_a_request() {
    let database = database().await;
    let (a, replica_a) = joined(&database, LONG).await;
    let (b, replica_b) = joined(&database, LONG).await;
    let asks = opened(&database).await;
    claim(&a, replica_a, &["a", "b"]).await;
    claim(&b, replica_b, &["c"]).await;
    let id = asks
        .submit(&sync(&["c", "b", "a"]))
        .await
        .expect("submitted");
    let state = async || asks.request_state(id).await.expect("known");
    let working = |done| RequestState::Working { done, total: 3 };
    assert_eq!(state().await, RequestState::Waiting);
    assert_eq!(a.take_request().await, Ok(Some((id, sync(&["a", "b"])))));
    assert_eq!(a.take_request().await, Ok(None));
    assert_eq!(b.take_request().await, Ok(Some((id, sync(&["c"])))));
    b.report_progress(id, 1, 1).await.expect("said");
    assert_eq!(state().await, working(1));
    let answer = |name: &str| format!("{{\"keys\":[{{\"key\":\"{name}\"}}]}}");
    b.answer(id, &answer("c")).await.expect("answered");
    assert_eq!(state().await, working(1));
    // `a` and `b` change hands before they are done: the next holder has them to do.
    strike_out_now(&database, &a, replica_a).await;
    claim(&b, replica_b, &["a", "b"]).await;
    assert_eq!(b.take_request().await, Ok(Some((id, sync(&["a", "b"])))));
    a.answer(id, &answer("a"))
        .await
        .expect("nobody waits for that");
    assert_eq!(state().await, working(1));
    // It was broken off at `b`: whoever claims that next has it to do.
    b.answer(id, &answer("a")).await.expect("answered");
    assert_eq!(state().await, working(2));
    let lost = [key("b")];
    b.release(replica_b, &lost).await.expect("given back");
    claim(&b, replica_b, &["b"]).await;
    assert_eq!(b.take_request().await, Ok(Some((id, sync(&["b"])))));
    b.answer(id, &answer("b")).await.expect("answered");
    let expected = r#"{"keys":[{"key":"a"}, {"key":"b"}, {"key":"c"}]}"#.to_owned();
    assert_eq!(state().await, RequestState::Answered(expected));
    assert!(asks.request_state(id).await.is_err(), "forgotten");

    let all = asks.submit(&sync(&[])).await.expect("submitted");
    assert_eq!(
        b.take_request().await,
        Ok(Some((all, sync(&["a", "b", "c"]))))
    );
    let back = Request::Rollback { key: key("a") };
    let id = asks.submit(&back).await.expect("submitted");
    assert_eq!(b.take_request().await, Ok(Some((id, back))));
    let strange = "INSERT INTO rotator_requests (request) VALUES ('{\"command\": \"dance\"}');
        INSERT INTO rotator_request_keys (request, key) SELECT max(id), 'a' FROM rotator_requests";
    sql(&database, strange).await;
    assert_eq!(b.take_request().await, Ok(None));
    let strange = RequestId(id.0 + 1);
    let answered = asks.request_state(strange).await.expect("known");
    assert!(
        matches!(&answered, RequestState::Answered(text) if text.contains("error")),
        "{answered:?}"
    );
}

async fn strike_out_now(database: &Database, store: &Postgres, replica: ReplicaId) {
    renew(store, replica, OVER).await.expect("it is there");
    let (other, id) = joined(database, LONG).await;
    eventually("it is evicted", async || {
        evict(&other, id).await.expect("it is there");
        renew(store, replica, OVER).await.is_none().then_some(())
    })
    .await;
    other.leave(id).await.expect("left");
}
