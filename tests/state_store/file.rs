//! The file itself: whose it is, who may use it, and what is said when it cannot be used.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flashback_rotator::state::sqlite::Sqlite;
use flashback_rotator::state::{StateError, StateStore as _};
use rusqlite::Connection;

use super::{File, full, key, row};

fn refusal(path: &Path) -> StateError {
    match Sqlite::open(path, "the second") {
        Ok(_) => panic!("{} should not open", path.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_second_process_is_refused_and_the_holder_named() {
    let file = File::new();
    assert_eq!(Sqlite::holder(&file.path()), None);
    let first = Sqlite::open(&file.path(), "flashback-rotator run, pid 123").expect("opened");
    let holder = Some("flashback-rotator run, pid 123".to_owned());
    assert_eq!(Sqlite::holder(&file.path()), holder);
    let error = refusal(&file.path());
    assert!(error.to_string().contains("pid 123"), "{error}");
    assert!(matches!(&error, StateError::Locked { holder: found, .. } if *found == holder));
    let beside = Sqlite::open_beside(&file.path()).expect("beside");
    assert!(beside.is_some(), "readers go beside it");
    drop(first);
    assert_eq!(Sqlite::holder(&file.path()), None);
    file.works();
}

#[test]
fn looking_for_the_holder_never_keeps_a_daemon_from_starting() {
    let file = File::new();
    drop(file.works());
    let stop = AtomicBool::new(false);
    let looking = || {
        while !stop.load(Ordering::Relaxed) {
            let _ = Sqlite::holder(&file.path());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(looking);
        scope.spawn(looking);
        for _ in 0..20 {
            drop(file.works());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn beside_nothing_is_nothing_and_makes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state.db");
    let away = directory.path().join("no/such/state.db");
    for path in [&path, &away] {
        assert!(Sqlite::open_beside(path).expect("no error").is_none());
        assert_eq!(Sqlite::holder(path), None);
    }
    let left = std::fs::read_dir(directory.path()).expect("listed").count();
    assert_eq!(left, 0);
    std::fs::write(&path, "").expect("an empty file");
    assert!(Sqlite::open_beside(&path).expect("no error").is_none());
}

#[tokio::test]
async fn only_its_user_can_read_it() {
    let file = File::new();
    let store = file.works();
    store.save(&full("a", 1), None).await.expect("saved");
    let mut files = 0;
    for entry in std::fs::read_dir(file.directory.path()).expect("listed") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(
        files, 4,
        "the file, its lock, its log and its shared memory"
    );
}

#[tokio::test]
async fn opening_restricts_permissive_files_to_the_owner() {
    let file = File::new();
    let store = file.works();
    store.save(&full("a", 1), None).await.expect("saved");
    // As after a crash: the log and the shared memory stay where they are.
    let kept = tempfile::tempdir().expect("a directory");
    let files = ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"];
    for name in files {
        let from = file.directory.path().join(name);
        std::fs::copy(from, kept.path().join(name)).expect("copied");
        allow(&kept.path().join(name), 0o666);
    }
    drop(store);
    let path = kept.path().join("state.db");
    let store = Sqlite::open(&path, "the test").expect("opened");
    for name in files {
        let found = kept.path().join(name).metadata().expect("there");
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(store.load(&key("a")).await.expect("read"), full("a", 1));
}

#[test]
fn names_that_lead_to_other_files_are_refused_and_lead_to_no_harm() {
    let file = File::new();
    drop(file.works());
    let other = file.directory.path().join("other");
    let names = ["state.db", "state.db.lock", "state.db-wal", "state.db-shm"];
    for name in names {
        let path = file.directory.path().join(name);
        let _ = std::fs::rename(&path, file.directory.path().join("kept"));
        std::fs::write(&other, "theirs").expect("written");
        allow(&other, 0o644);
        type Link = fn(&Path, &Path) -> std::io::Result<()>;
        let links: [(Link, &str); 2] = [
            (|to, at| std::os::unix::fs::symlink(to, at), "symbolic link"),
            (|to, at| std::fs::hard_link(to, at), "2 names"),
        ];
        for (link, words) in links {
            link(&other, &path).expect("linked");
            let error = refusal(&file.path());
            assert!(error.to_string().contains(words), "{name}: {error}");
            if name == "state.db" {
                let beside = Sqlite::open_beside(&path).map(|_| ());
                assert!(beside.is_err(), "{words}");
            }
            std::fs::remove_file(&path).expect("removed");
        }
        // One that leads nowhere makes nothing there.
        std::os::unix::fs::symlink(file.directory.path().join("none"), &path).expect("linked");
        refusal(&file.path());
        std::fs::remove_file(&path).expect("removed");
        assert!(!file.directory.path().join("none").exists());
        assert_eq!(std::fs::read_to_string(&other).expect("read"), "theirs");
        let mode = other.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        std::fs::remove_file(&other).expect("removed");
        let _ = std::fs::rename(file.directory.path().join("kept"), &path);
    }
    // A lock that is somebody's document is none.
    let lock = file.directory.path().join("state.db.lock");
    let document = "theirs\n".repeat(100);
    std::fs::write(&lock, &document).expect("written");
    assert!(refusal(&file.path()).to_string().contains("something else"));
    assert_eq!(std::fs::read_to_string(&lock).expect("read"), document);
    std::fs::remove_file(&lock).expect("removed");
    // Below a directory that is a link, the state is where it is.
    let link = tempfile::tempdir().expect("a directory");
    let link = link.path().join("link");
    std::os::unix::fs::symlink(file.directory.path(), &link).expect("linked");
    drop(Sqlite::open(&link.join("state.db"), "the test").expect("opened"));
}

#[tokio::test]
async fn there_is_no_place_for_a_value() {
    let file = File::new();
    let store = file.works();
    store
        .save(&full("a", 1), Some(&row("a", 1)))
        .await
        .expect("saved");
    drop(store);
    let shell = Connection::open(file.path()).expect("opened");
    let mut tables = shell
        .prepare(
            "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY 1",
        )
        .expect("a query");
    let columns: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("names");
    // Whoever adds a column here has thought about what goes into it.
    let known = "edits.ai_llm_id edits.at edits.heard edits.id edits.own edits.user_id \
        history.at history.id history.key history.line history.outcome history.verified_by \
        keys.ai_llm_id keys.document keys.key looks.key looks.note meta.name meta.value \
        notified.line notified.receiver notified.subject \
        requests.answer requests.claimed_at requests.claimed_by requests.done requests.id \
        requests.request requests.submitted_at requests.total \
        watches.read_to watches.workspace_id";
    assert_eq!(columns.join(" "), known);
}

#[test]
fn a_state_of_another_schema_is_left_alone() {
    let file = File::new();
    for schema in [5, 99] {
        drop(file.works());
        let shell = Connection::open(file.path()).expect("opened");
        let write = |schema| shell.pragma_update(None, "user_version", schema);
        write(schema).expect("written");
        let beside = Sqlite::open_beside(&file.path()).map(|_| ());
        for error in [refusal(&file.path()), beside.expect_err("another")] {
            match error {
                StateError::Older {
                    found: 5, known: 6, ..
                } => assert_eq!(schema, 5),
                StateError::Newer {
                    found: 99,
                    known: 6,
                    ..
                } => assert_eq!(schema, 99),
                error => panic!("{error}"),
            }
        }
        write(6).expect("written");
    }
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = directory.path().join("text");
    std::fs::write(&text, "OPENAI_API_KEY=canary\n".repeat(100)).expect("written");
    let other = directory.path().join("other.db");
    let shell = Connection::open(&other).expect("opened");
    shell.execute_batch("CREATE TABLE t (x)").expect("made");
    drop(shell);
    for path in [&text, &other] {
        let before = std::fs::read(path).expect("read");
        let beside = Sqlite::open_beside(path).map(|_| ());
        for error in [refusal(path), beside.expect_err("not ours")] {
            assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert_eq!(std::fs::read(path).expect("read"), before);
    }
}

#[tokio::test]
async fn damage_is_named() {
    let file = File::new();
    let store = file.works();
    for turn in 1..200 {
        let (record, row) = (full(&format!("key-{turn}"), turn), row("a", turn));
        store.save(&record, Some(&row)).await.expect("saved");
    }
    drop(store);
    let whole = std::fs::read(file.path()).expect("read");
    let damage = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).expect("written");
        let error = refusal(&file.path());
        assert!(matches!(error, StateError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("Move it away"), "{error}");
    };
    damage(&whole[..whole.len() / 2]);
    damage(&whole[..50]);
    let mut scribbled = whole.clone();
    for page in scribbled.chunks_mut(4096).skip(1) {
        page[..64].fill(0xa5);
    }
    damage(&scribbled);
}

#[test]
fn the_words_of_a_damaged_file_are_not_repeated() {
    let file = File::new();
    drop(file.works());
    let shell = Connection::open(file.path()).expect("opened");
    // Each word of it may be shown elsewhere.
    shell
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE looks (the password is not a valid token'
             WHERE name = 'looks';",
        )
        .expect("damaged");
    drop(shell);
    let error = refusal(&file.path()).to_string();
    assert!(error.contains("damaged"), "{error}");
    assert!(!error.contains("password"), "{error}");
}

#[test]
fn a_place_that_cannot_be_is_named_with_a_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = refusal(&directory.path().join("no/such/state.db")).to_string();
    assert!(missing.contains("does not exist: create it"), "{missing}");
    let itself = refusal(directory.path()).to_string();
    assert!(itself.contains("not a file"), "{itself}");
    std::fs::write(directory.path().join("file"), "").expect("written");
    let below = refusal(&directory.path().join("file/state.db")).to_string();
    assert!(below.contains("not a directory"), "{below}");
}

/// In a thread that has put down root's right to pass over permissions: the tests may run as root.
fn as_nobody_special(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            #[cfg(target_os = "linux")]
            put_down_roots_rights();
            test();
        });
    });
}

#[cfg(target_os = "linux")]
fn put_down_roots_rights() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).expect("this thread's rights");
    sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    set_capabilities(None, sets).expect("put down");
}

fn allow(path: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("changed");
}

#[test]
fn an_unwritable_state_is_reported_with_the_missing_permission() {
    let file = File::new();
    let directory = file.directory.path();
    as_nobody_special(|| {
        allow(directory, 0o500);
        let error = refusal(&file.path());
        assert!(matches!(error, StateError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("write permission"), "{error}");
        allow(directory, 0o700);
        drop(file.works());
        allow(&file.path(), 0o400);
        let error = refusal(&file.path());
        assert!(matches!(error, StateError::Unusable { .. }), "{error}");
        assert!(error.to_string().contains("write permission"), "{error}");
        let beside = Sqlite::open_beside(&file.path()).expect("reading is allowed");
        assert!(beside.is_some());
    });
}

#[tokio::test]
async fn a_file_taken_away_while_in_use_is_noticed() {
    let file = File::new();
    let store = file.works();
    store.save(&full("a", 1), None).await.expect("saved");
    std::fs::rename(file.path(), file.directory.path().join("elsewhere")).expect("moved");
    let error = store.save(&full("a", 2), None).await.expect_err("moved");
    assert!(error.to_string().contains("moved or deleted"), "{error}");
}
