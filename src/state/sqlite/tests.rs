//! Tests that need private items.

use chrono::{TimeDelta, Utc};

use super::*;
use crate::state::{REQUEST_LIFE, Request};

fn opened() -> (tempfile::TempDir, Sqlite) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Sqlite::open(&directory.path().join("state.db"), "a test").expect("opened");
    (directory, store)
}

fn everything() -> Request {
    Request::Sync {
        keys: Vec::new(),
        force: false,
        answer_within_ms: None,
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_harms_nothing() {
    let (_directory, store) = opened();
    let mut record = Record::new(KeyId::new("a"));
    store.save(&record, None).await.expect("saved");
    let pages =
        |sql: &'static str| store.read(|connection| connection.query_row(sql, [], |_| Ok(())));
    pages("PRAGMA max_page_count = 1").await.expect("set");
    record.held = Some(crate::model::Held {
        version: crate::model::Version::new("v1"),
        reason: "x".repeat(100_000),
        origin: None,
        instead: None,
        left_at: None,
    });
    let note = CheckNote {
        checked_at: Some(Utc::now()),
        ..CheckNote::default()
    };
    store.note_check(&record.key, note.clone());
    let error = store.save(&record, None).await.expect_err("full");
    assert!(matches!(error, StateError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let kept = store.load(&record.key).await.expect("read");
    assert_eq!((kept.held, kept.look), (None, note), "and the note is kept");
    pages("PRAGMA max_page_count = 100000").await.expect("set");
    store.save(&record, None).await.expect("saved again");
}

#[tokio::test]
async fn notes_that_cannot_be_written_are_kept() {
    let (_directory, store) = opened();
    let key = KeyId::new("a");
    let read_only =
        |on| store.read(move |connection| connection.pragma_update(None, "query_only", on));
    read_only(true).await.expect("set");
    store.note_check(&key, CheckNote::default());
    let error = store.flush().await.expect_err("not written");
    assert!(error.to_string().contains("write permission"), "{error}");
    assert_eq!(store.load_all().await.expect("read").len(), 1);
    read_only(false).await.expect("set");
    store.flush().await.expect("written");
    assert!(store.notes.take(&key).is_none());
}

#[tokio::test]
async fn nothing_is_asked_of_the_tables_while_nobody_writes() {
    let (directory, store) = opened();
    let quiet = || store.ask(|writer| Ok(writer.no_request_since));
    assert_eq!(quiet().await.expect("asked"), None);
    assert_eq!(store.take_request().await.expect("asked"), None);
    assert!(quiet().await.expect("asked").is_some());
    let beside = Sqlite::open_beside(&directory.path().join("state.db"))
        .expect("beside")
        .expect("a state");
    beside.submit(&everything()).await.expect("submitted");
    assert!(store.take_request().await.expect("taken").is_some());
    assert_eq!(store.take_request().await.expect("asked"), None);
    store.submit(&everything()).await.expect("submitted");
    assert_eq!(quiet().await.expect("asked"), None);
}

#[tokio::test]
async fn old_requests_and_unknown_ones_are_cleared_away() {
    let (_directory, store) = opened();
    let long_ago = Utc::now() - TimeDelta::from_std(REQUEST_LIFE).expect("a span") * 2;
    let old = store
        .ask(move |writer| requests::submit(writer, &everything(), long_ago))
        .await
        .expect("submitted");
    let fresh = store.submit(&everything()).await.expect("submitted");
    assert!(store.request_state(old).await.is_err(), "forgotten");
    store
        .write(|transaction| {
            transaction.execute(
                "UPDATE requests SET request = '{\"command\": \"dance\"}'",
                [],
            )
        })
        .await
        .expect("changed");
    assert_eq!(store.take_request().await.expect("asked"), None);
    let state = store.request_state(fresh).await.expect("known");
    assert!(
        matches!(&state, RequestState::Answered(text) if text.contains("error")),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_job_that_panics_ends_in_an_error_undoes_what_it_did_and_stops_no_other() {
    let (_directory, store) = opened();
    let panics: Result<(), _> = store
        .write(|half| {
            half.execute_batch("CREATE TABLE half (a)")?;
            panic!("on purpose")
        })
        .await;
    let error = panics.expect_err("it panicked");
    assert!(matches!(error, StateError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("this is a bug"), "{error}");
    let half = store.read(|connection| {
        let sql = "SELECT count(*) FROM sqlite_master WHERE name = 'half'";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0))
    });
    assert_eq!(half.await.expect("read"), 0);
    store.note_check(&KeyId::new("a"), CheckNote::default());
    store.flush().await.expect("written");
}

#[tokio::test]
async fn records_wait_for_the_disk_also_after_notes_did_not() {
    let (_directory, store) = opened();
    let number = |sql: &'static str| {
        store.read(move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    for _ in 0..2 {
        let full = number("PRAGMA synchronous").await.expect("read");
        assert_eq!(full, 2, "FULL");
        store.note_check(&KeyId::new("a"), CheckNote::default());
        store.flush().await.expect("written");
    }
    assert_eq!(number("PRAGMA foreign_keys").await.expect("read"), 1);
    assert_eq!(
        number("PRAGMA temp_store").await.expect("read"),
        2,
        "MEMORY"
    );
}

/// Has the thread wait until the saves of these records wait, too; gives what they ended with, and how
/// many pages that was in the log.
async fn saved_at_once(store: &Sqlite, records: &[Record]) -> (Vec<Result<(), StateError>>, i64) {
    let frames = || {
        store.read(|connection| {
            let sql = "PRAGMA wal_checkpoint(PASSIVE)";
            connection.query_row(sql, [], |row| row.get::<_, i64>(1))
        })
    };
    let before = frames().await.expect("read");
    let (go, gone) = channel::<()>();
    let held = store.ask(move |_| {
        let _ = gone.recv();
        Ok(())
    });
    let saves =
        futures_util::future::join_all(records.iter().map(|record| store.save(record, None)));
    let go = async { go.send(()).expect("it waits") };
    let (held, saved, ()) = tokio::join!(biased; held, saves, go);
    held.expect("held");
    (saved, frames().await.expect("read") - before)
}

#[tokio::test]
async fn saves_that_wait_share_a_writing() {
    let (_directory, store) = opened();
    let record = |index| Record::new(KeyId::new(format!("k{index}")));
    let records: Vec<_> = (0..300).map(record).collect();
    let (saved, frames) = saved_at_once(&store, &records).await;
    assert!(saved.iter().all(Result::is_ok), "{saved:?}");
    assert_eq!(store.load_all().await.expect("read").len(), 300);
    assert!(frames < 150, "{frames} pages for 300 records");
}

#[tokio::test]
async fn a_failing_save_in_a_batch_affects_no_other_save() {
    let (_directory, store) = opened();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON keys WHEN new.key IN ('k3', 'k7')
        BEGIN SELECT RAISE(ROLLBACK, 'on purpose'); END";
    let made = store.read(move |connection| connection.execute_batch(trigger));
    made.await.expect("made");
    let record = |index| Record::new(KeyId::new(format!("k{index}")));
    let records: Vec<_> = (0..10).map(record).collect();
    let (saved, _) = saved_at_once(&store, &records).await;
    for (index, saved) in saved.iter().enumerate() {
        assert_eq!(saved.is_err(), matches!(index, 3 | 7), "{index}: {saved:?}");
    }
    assert_eq!(store.load_all().await.expect("read").len(), 8);
}

#[test]
fn a_pod_is_named_without_a_process_number() {
    let pod = "rotator-5d9c7b6f4-x2k8p";
    assert_eq!(on_host(pod, "1"), format!("on host {pod},"));
    assert_eq!(on_host("vm-1", "4711"), "on host vm-1, process 4711 there,");
    assert_eq!(in_the_line("vm-1/4711"), on_host("vm-1", "4711"));
}
