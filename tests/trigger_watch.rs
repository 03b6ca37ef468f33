//! The trigger of a directory of files: what the kernel tells becomes the names of keys.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use flashback_rotator::model::{Observation, SourceId};
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::source::Source as _;
use flashback_rotator::source::SourceKind;
use flashback_rotator::source::file::{FileConfig, FileSource};
use flashback_rotator::trigger::{Context, watch};
use tempfile::TempDir;

use crate::support::place_file;
use crate::support::triggers::Listening;
use crate::support::upstreams::{Bench, calls};

fn listening(dir: &Path) -> Listening {
    let config = FileConfig {
        dir: dir.to_owned(),
        watch: true,
    };
    let kind = (watch::KIND.implied)(&config).expect("it watches by itself");
    let id = SourceId::new("mounted");
    let trigger = kind.build(Context {
        id: &id,
        source: &config,
        secret: &|_| unreachable!("no secret is needed"),
    });
    Listening::to(id, trigger.expect("built"))
}

fn directory() -> TempDir {
    // /tmp may be on any file system; this is on the one that is built on.
    tempfile::tempdir().expect("a directory")
}

#[test]
fn a_source_watches_unless_it_is_told_not_to() {
    let config = FileConfig {
        dir: "/run/secrets".into(),
        watch: false,
    };
    let source: &dyn SourceKind = &config;
    assert!((watch::KIND.implied)(source).is_none());
}

#[tokio::test]
async fn hears_writes_renames_removals_and_new_directories() {
    let directory = directory();
    let path = directory.path();
    place_file(path.join("key"), "one");
    let mut listening = listening(path);
    listening.is_up().await;

    fs::write(path.join("key"), "two").expect("written");
    listening.hears("key").await;
    place_file(path.join("next"), "three");
    fs::rename(path.join("next"), path.join("key")).expect("renamed");
    listening.hears("key").await;
    fs::create_dir_all(path.join("team/deep")).expect("made");
    place_file(path.join("team/deep/key"), "new");
    listening.hears("team/deep/key").await;
    fs::write(path.join("team/deep/key"), "newer").expect("written");
    listening.hears("team/deep/key").await;
    fs::rename(path.join("team"), path.join("other")).expect("renamed");
    let heard = listening.hears("other/deep/key").await;
    assert!(heard.contains("team/deep/key"), "{heard:?}");
    fs::remove_file(path.join("key")).expect("removed");
    listening.hears("key").await;
}

#[tokio::test]
async fn a_file_is_told_of_once_its_writer_has_closed_it() {
    let directory = directory();
    let path = directory.path();
    let mut listening = listening(path);
    listening.is_up().await;
    let bench = Bench::new("mounted", Duration::from_secs(30));
    let id = SourceId::new("mounted");
    let source = FileSource::new(
        id,
        path.to_owned(),
        Fingerprinter::ephemeral(),
        bench.upstream,
    );

    for text in ["one", "two", "three"] {
        let mut file = fs::File::create(path.join("key")).expect("made");
        file.write_all(text.as_bytes()).expect("written");
        file.flush().expect("flushed");
        place_file(path.join("other"), text);
        let heard = listening.hears("other").await;
        assert!(!heard.contains("key"), "it is being written: {heard:?}");
        drop(file);
        listening.hears("key").await;
        let looked = source.observe("key").await.expect("looked");
        assert!(matches!(looked, Observation::Present { .. }));
    }
    // A file that may be unfinished is read more than once.
    assert_eq!(calls(&bench.metrics, "read_file", "ok"), 3);
}

/// As the kubelet does it: a new directory, a link to it that replaces the old one, and the old one removed.
#[tokio::test]
async fn hears_that_kubernetes_has_swapped_the_data() {
    let directory = directory();
    let path = directory.path();
    let generation = |number: u32| path.join(format!("..2026_{number}"));
    let swap = |number: u32| {
        fs::create_dir(generation(number)).expect("made");
        fs::write(generation(number).join("key"), number.to_string()).expect("written");
        fs::write(generation(number).join("same"), "same").expect("written");
        symlink(format!("..2026_{number}"), path.join("..data_tmp")).expect("linked");
        fs::rename(path.join("..data_tmp"), path.join("..data")).expect("swapped");
        let _ = fs::remove_dir_all(generation(number.wrapping_sub(1)));
    };
    swap(1);
    for name in ["key", "same"] {
        symlink(format!("..data/{name}"), path.join(name)).expect("linked");
    }
    let mut listening = listening(path);
    listening.is_up().await;
    for number in 2..5 {
        swap(number);
        listening.hears("key").await;
        assert_eq!(
            fs::read_to_string(path.join("key")).expect("read"),
            number.to_string()
        );
    }
}

#[tokio::test]
async fn hears_that_the_directory_itself_was_replaced() {
    let directory = directory();
    let home = directory.path();
    for number in 0..3 {
        fs::create_dir(home.join(number.to_string())).expect("made");
        place_file(home.join(format!("{number}/key")), number.to_string());
    }
    symlink("0", home.join("current")).expect("linked");
    let mut listening = listening(&home.join("current"));
    listening.is_up().await;
    for number in 1..3 {
        symlink(number.to_string(), home.join("fresh")).expect("linked");
        fs::rename(home.join("fresh"), home.join("current")).expect("swapped");
        listening.hears("key").await;
        fs::write(home.join(format!("{number}/key")), "again").expect("written");
        listening.hears("key").await;
    }
    fs::remove_file(home.join("current")).expect("removed");
    let error = listening.ends().await;
    assert!(error.contains("there is no directory"), "{error}");
}

#[tokio::test]
async fn links_lead_to_all_names_and_in_no_circle() {
    let directory = directory();
    let path = directory.path();
    fs::create_dir(path.join("real")).expect("made");
    place_file(path.join("real/key"), "one");
    symlink(".", path.join("real/circle")).expect("linked");
    symlink("real", path.join("by-directory")).expect("linked");
    symlink("real/key", path.join("by-file")).expect("linked");
    symlink("real/later", path.join("in-vain")).expect("linked");
    let mut listening = listening(path);
    listening.is_up().await;
    fs::write(path.join("real/key"), "two").expect("written");
    let heard = listening.hears("real/key").await;
    let expected = ["by-directory/key", "by-file", "real/key"];
    assert_eq!(heard, expected.map(str::to_owned).into());
    place_file(path.join("real/later"), "there");
    let heard = listening.hears("in-vain").await;
    assert!(heard.contains("real/later"), "{heard:?}");
}

#[tokio::test]
async fn loses_nothing_of_many_writes() {
    let directory = directory();
    let path = directory.path();
    let mut listening = listening(path);
    listening.is_up().await;
    let names: BTreeSet<String> = (0..2_000).map(|number| format!("k{number}")).collect();
    let writing = {
        let (path, names) = (path.to_owned(), names.clone());
        tokio::task::spawn_blocking(move || {
            for name in names {
                fs::write(path.join(name), "value").expect("written");
            }
        })
    };
    let mut left = names;
    while !left.is_empty() {
        let news = listening.news().await;
        if news.missed.is_some() {
            break;
        }
        for name in news.heard.into_keys().flatten() {
            left.remove(&name);
        }
    }
    writing.await.expect("written");
}

#[tokio::test]
async fn says_what_is_wrong_with_the_directory() {
    let directory = directory();
    let error = listening(&directory.path().join("nothing")).ends().await;
    assert!(error.contains("is it mounted"), "{error}");
    let error = listening(Path::new("/proc")).ends_or_is_down().await;
    assert!(
        error.contains("file system") || error.contains("more than"),
        "{error}"
    );
}
