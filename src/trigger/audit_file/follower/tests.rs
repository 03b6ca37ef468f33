use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::credential::SecretRef;
use crate::model::SourceId;
use crate::source::vault::{KvVersion, VaultAuth, VaultConfig, VaultLook};
use crate::telemetry::metrics::Metrics;
use crate::trigger::feed::Feed;

/// A server's audit device, and a follower of its file.
struct Bed {
    directory: TempDir,
    /// The file that the server has open.
    written: File,
    follower: Follower,
    ear: Ear,
    feed: Arc<Feed>,
    arrivals: Arrivals,
    records: u32,
    rotations: u32,
}

impl Bed {
    /// Begins with this in the file.
    fn new(content: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.log");
        fs::write(&path, content).expect("written");
        let arrivals = Arrivals::default();
        let follower = Follower::at_the_end(path.clone(), engine(), Arc::clone(&arrivals));
        let feed = Arc::new(Feed::new(Arc::new(Metrics::new())));
        Self {
            written: append_to(&path),
            follower: follower.expect("opened"),
            ear: Ear::new(SourceId::new("vault"), Arc::clone(&feed)),
            directory,
            feed,
            arrivals,
            records: 0,
            rotations: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn write(&mut self, text: &str) {
        self.written.write_all(text.as_bytes()).expect("written");
    }

    /// Writes the record of a secret with a name of its own, and returns the name.
    fn write_record(&mut self) -> String {
        self.records += 1;
        let name = format!("secret-{}", self.records);
        let record = record(&name);
        self.write(&record);
        name
    }

    /// Renames the file, as `logrotate` does.
    fn rename(&mut self) {
        self.rotations += 1;
        let to = format!("audit.log.{}", self.rotations);
        let _ = fs::rename(self.path(), self.directory.path().join(to));
    }

    /// Makes the next file if there is none, as `logrotate` or the server does.
    fn create(&mut self) {
        if !self.path().exists() {
            File::create(self.path()).expect("made");
            self.arrivals.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Lets the server open its file again, as SIGHUP does.
    fn reopen(&mut self) {
        self.create();
        self.written = append_to(&self.path());
    }

    /// Looks until everything is read, and returns what was heard, and why something may have been missed.
    fn look(&mut self) -> (BTreeSet<String>, Option<&'static str>) {
        while self.follower.look(&self.ear).expect("readable") == Look::More {}
        let Some(taken) = self.feed.take().now_or_never() else {
            return (BTreeSet::new(), None);
        };
        let [taken] = &taken[..] else {
            panic!("one source");
        };
        self.feed.done(taken);
        let heard = taken.news.heard.keys().flatten().cloned();
        (heard.collect(), taken.news.missed)
    }
}

fn engine() -> Engine {
    Engine::of(&VaultConfig {
        address: "http://127.0.0.1:8200".to_owned(),
        namespace: None,
        mount: "secret".to_owned(),
        kv_version: KvVersion::V2,
        ca_file: None,
        look: VaultLook::Auto,
        auth: VaultAuth::Token {
            token: SecretRef::Env("UNUSED".to_owned()),
        },
    })
}

fn record(name: &str) -> String {
    let request = format!(r#"{{"operation":"update","path":"secret/data/{name}"}}"#);
    format!("{{\"type\":\"response\",\"request\":{request}}}\n")
}

fn append_to(path: &Path) -> File {
    File::options().append(true).open(path).expect("opened")
}

fn names<const N: usize>(names: [&String; N]) -> BTreeSet<String> {
    names.into_iter().cloned().collect()
}

#[test]
fn begins_at_the_end_and_reads_on() {
    let mut bed = Bed::new(&record("before"));
    assert_eq!(bed.look(), (BTreeSet::new(), None));
    let (first, second) = (bed.write_record(), bed.write_record());
    assert_eq!(bed.look(), (names([&first, &second]), None));
    let half = record("half");
    let (start, end) = half.split_at(30);
    bed.write(start);
    assert_eq!(bed.look(), (BTreeSet::new(), None));
    bed.write(end);
    assert_eq!(bed.look(), (names([&"half".to_owned()]), None));
}

#[test]
fn passes_over_the_record_in_whose_middle_it_begins() {
    let half = record("half");
    let (start, end) = half.split_at(30);
    let mut bed = Bed::new(start);
    bed.write(end);
    let next = bed.write_record();
    assert_eq!(bed.look(), (names([&next]), None));
}

#[test]
fn a_renamed_file_is_read_until_the_server_writes_the_next_one() {
    let mut bed = Bed::new("");
    let before = bed.write_record();
    bed.rename();
    let renamed = bed.write_record();
    assert_eq!(bed.look(), (names([&before, &renamed]), None));
    bed.create();
    let still_there = bed.write_record();
    assert_eq!(bed.look(), (names([&still_there]), None));
    let last = bed.write_record();
    bed.reopen();
    let next = bed.write_record();
    assert_eq!(bed.look(), (names([&last, &next]), None));
}

#[test]
fn a_truncated_file_is_read_from_its_start_and_something_may_be_missed() {
    let truncated = Some("the audit log was truncated");
    let mut bed = Bed::new(&record("before"));
    bed.written.set_len(0).expect("truncated");
    assert_eq!(bed.look(), (BTreeSet::new(), truncated));
    let after = bed.write_record();
    assert_eq!(bed.look(), (names([&after]), None));
    // It has grown beyond the place of reading before it is looked at.
    bed.written.set_len(0).expect("truncated");
    let (first, second) = (bed.write_record(), bed.write_record());
    assert_eq!(bed.look(), (names([&first, &second]), truncated));
}

#[test]
fn a_file_that_was_replaced_twice_before_a_look_is_missed() {
    let mut bed = Bed::new("");
    for _ in 0..2 {
        bed.rename();
        bed.reopen();
        bed.write_record();
    }
    let (heard, missed) = bed.look();
    assert_eq!(heard.len(), 1);
    assert!(missed.is_some());
}

#[test]
fn a_file_that_is_gone_before_a_look_is_missed_until_the_next_one_is_read() {
    let mut bed = Bed::new("");
    bed.rename();
    bed.reopen();
    bed.write_record();
    bed.rename();
    assert_eq!(bed.look(), (BTreeSet::new(), Some(UNSEEN)));
    bed.write_record();
    bed.create();
    assert_eq!(bed.look(), (BTreeSet::new(), None));
    bed.reopen();
    let next = bed.write_record();
    assert_eq!(bed.look(), (names([&next]), Some(UNSEEN)));
}

#[test]
fn a_record_that_was_cut_by_the_end_of_the_file_is_missed() {
    let mut bed = Bed::new("");
    bed.write(&record("half")[..30]);
    bed.rename();
    bed.reopen();
    let next = bed.write_record();
    let missed = Some("the audit log ended in the middle of a record");
    assert_eq!(bed.look(), (names([&next]), missed));
}

#[test]
fn says_why_a_file_cannot_be_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |path: &Path| match Follower::at_the_end(path.into(), engine(), Arrivals::default()) {
        Err(error) => error.0,
        Ok(_) => panic!("it cannot"),
    };
    assert!(at(&directory.path().join("none")).contains("no file"));
    assert!(at(directory.path()).contains("not a file"));
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Write,
    Rename,
    Create,
    Reopen,
    Truncate,
    Look,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn each_record_is_heard_or_missed_whatever_happens_to_the_file(
        all in prop::collection::vec(prop_oneof![
            4 => Just(Happens::Write),
            1 => Just(Happens::Rename),
            1 => Just(Happens::Create),
            2 => Just(Happens::Reopen),
            1 => Just(Happens::Truncate),
            3 => Just(Happens::Look),
        ], 1..60)
    ) {
        let mut bed = Bed::new("");
        let mut left = BTreeSet::new();
        for happens in all.into_iter().chain([Happens::Reopen, Happens::Write, Happens::Look]) {
            match happens {
                Happens::Write => { left.insert(bed.write_record()); }
                Happens::Rename => bed.rename(),
                Happens::Create => bed.create(),
                Happens::Reopen => bed.reopen(),
                Happens::Truncate => {
                    // A file of which nothing was read is not known to have been truncated.
                    left.insert(bed.write_record());
                    let (heard, missed) = bed.look();
                    left.retain(|name| missed.is_none() && !heard.contains(name));
                    bed.written.set_len(0).expect("truncated");
                }
                Happens::Look => {
                    let (heard, missed) = bed.look();
                    left.retain(|name| missed.is_none() && !heard.contains(name));
                }
            }
        }
        prop_assert!(left.is_empty(), "neither heard nor missed: {left:?}");
    }
}
