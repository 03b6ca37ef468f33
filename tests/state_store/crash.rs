//! Killed at any moment, the store has everything it said it had, and nobody is locked out.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use flashback_rotator::model::Record;
use flashback_rotator::state::sqlite::Sqlite;
use flashback_rotator::state::{Request, StateStore as _};

use super::{File, full, key, row};

/// Where the child of [`kill_loses_nothing_that_was_saved`] finds the state.
const STATE: &str = "FLASHBACK_ROTATOR_TEST_CRASH_STATE";

#[tokio::test]
async fn kill_loses_nothing_that_was_saved() {
    let file = File::new();
    for round in 1..=3_usize {
        let mut child = Command::new(std::env::current_exe().expect("this test's binary"))
            .args(["--exact", "state_store::crash::the_child_that_is_killed"])
            .args(["--nocapture", "--test-threads=1"])
            .env(STATE, file.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let said = output
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("saved ")?.parse::<i64>().ok())
            .nth(20 * round);
        child.kill().expect("killed");
        child.wait().expect("gone");
        let last = said.expect("the child saved something");

        assert_eq!(Sqlite::holder(&file.path()), None);
        let store = file.works();
        let record = store.load(&key("a")).await.expect("read");
        let history = store.history(None, None, None).await.expect("read");
        let newest = history.last().expect("rows").clone();
        assert!(newest.at >= row("a", last).at, "row {last} is there");
        let saved = full("a", (newest.at - row("a", 0).at).num_seconds());
        assert_eq!(record, saved, "the record and its row are one");
        let taken = store.take_request().await.expect("asked");
        assert!(taken.is_some(), "what the dead one took is given out again");
    }
}

/// Does nothing by itself: it is the child of [`kill_loses_nothing_that_was_saved`].
#[tokio::test]
async fn the_child_that_is_killed() {
    let Some(path) = std::env::var_os(STATE) else {
        return;
    };
    let store = Sqlite::open(Path::new(&path), "the child").expect("opened");
    let everything = Request::Sync {
        keys: Vec::new(),
        force: false,
        answer_within_ms: None,
    };
    store.submit(&everything).await.expect("submitted");
    store.take_request().await.expect("taken").expect("one");
    let rows = store.history(None, None, None).await.expect("read").len();
    for turn in i64::try_from(rows).expect("a number").. {
        let (record, row) = (full("a", turn), row("a", turn));
        store.save(&record, Some(&row)).await.expect("saved");
        println!("saved {turn}");
    }
}

#[tokio::test]
async fn a_copy_of_the_files_has_what_was_saved() {
    let file = File::new();
    let store = file.works();
    let copy = tempfile::tempdir().expect("a directory");
    for turn in 1..=30 {
        let (record, row) = (full("a", turn), row("a", turn));
        store.save(&record, Some(&row)).await.expect("saved");
        // What a power cut leaves: the database and its log, without the shared memory.
        let path = copy.path().join(format!("{turn}.db"));
        for end in ["", "-wal"] {
            let from = format!("{}{end}", file.path().display());
            let to = format!("{}{end}", path.display());
            std::fs::copy(from, to).expect("copied");
        }
        let copied = Sqlite::open(&path, "the test").expect("the copy opens");
        assert_eq!(copied.load(&key("a")).await.expect("read"), record);
        let rows = copied.history(None, None, None).await.expect("read").len();
        assert_eq!(rows, usize::try_from(turn).expect("a number"));
    }
}

#[tokio::test]
async fn a_log_cut_short_at_any_place_leaves_a_whole_record() {
    let file = File::new();
    let store = file.works();
    for turn in 1..=10 {
        let (record, row) = (full("a", turn), row("a", turn));
        store.save(&record, Some(&row)).await.expect("saved");
    }
    let database = std::fs::read(file.path()).expect("read");
    let log = std::fs::read(format!("{}-wal", file.path().display())).expect("read");
    drop(store);
    let copy = tempfile::tempdir().expect("a directory");
    for (number, end) in (0..log.len()).step_by(log.len() / 40).enumerate() {
        let path = copy.path().join(format!("{number}.db"));
        std::fs::write(&path, &database).expect("written");
        std::fs::write(format!("{}-wal", path.display()), &log[..end]).expect("written");
        let store = Sqlite::open(&path, "the test").expect("it opens");
        let turns = store.history(None, None, None).await.expect("read").len();
        let record = store.load(&key("a")).await.expect("read");
        let expected = match i64::try_from(turns).expect("a number") {
            0 => Record::new(key("a")),
            turn => full("a", turn),
        };
        assert_eq!(record, expected, "cut at byte {end} of {}", log.len());
    }
}
