//! The `file` source: a directory of secrets, as Kubernetes, systemd and sops mount it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use flashback_rotator::document::{FieldMap, Malformed};
use flashback_rotator::model::{Missing, Observation, SourceId, Version};
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::source::file::FileSource;
use flashback_rotator::source::{Reading, Source, SourceError};
use tempfile::TempDir;

use crate::support::place_file;
use crate::support::upstreams::{Bench, calls, upstream};

fn source(dir: &Path) -> FileSource {
    FileSource::new(
        SourceId::new("mounted"),
        dir.to_owned(),
        Fingerprinter::new([7; 32]),
        upstream("mounted"),
    )
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        place_file(directory.path().join(name), text);
    }
    directory
}

async fn version(source: &FileSource, path: &str) -> Version {
    match source.observe(path).await.expect("looked") {
        Observation::Present { version, .. } => version,
        Observation::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

/// The secret that a read finds, and its version.
async fn value(source: &FileSource, path: &str) -> (String, Version) {
    let asked = Version::new("any");
    match source.read(path, &asked).await.expect("read") {
        Reading::Present {
            version, document, ..
        } => {
            let taken = document.credentials(&FieldMap::default());
            let secret = taken.expect("one secret").credentials.secret;
            (secret.expose().to_owned(), version)
        }
        Reading::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

async fn refusal(source: &FileSource, path: &str) -> SourceError {
    let looked = source.observe(path).await.expect_err("refused");
    let read = source.read(path, &Version::new("any")).await;
    assert_eq!(
        read.expect_err("refused too"),
        looked,
        "read and look agree on {path}"
    );
    looked
}

#[tokio::test]
async fn text_and_json_are_read_and_lose_one_newline() {
    let directory = directory(&[
        ("plain", "sk-plain\n"),
        ("crlf", "sk-crlf\r\n"),
        ("json", "{\"api_key\": \"sk-json\"}\n"),
    ]);
    fs::create_dir(directory.path().join("team")).expect("made");
    place_file(directory.path().join("team/key"), "sk-below");
    let source = source(directory.path());
    for (path, expected) in [
        ("plain", "sk-plain"),
        ("crlf", "sk-crlf"),
        ("json", "sk-json"),
        ("team/key", "sk-below"),
    ] {
        let (secret, read) = value(&source, path).await;
        assert_eq!(secret, expected);
        assert_eq!(read, version(&source, path).await, "{path}");
    }
    let line = source.connect().await.expect("there");
    assert!(line.contains("directory"), "{line}");
}

#[tokio::test]
async fn a_version_is_the_value_whatever_the_file() {
    let directory = directory(&[("key", "one")]);
    let file = directory.path().join("key");
    let source = source(directory.path());
    let one = version(&source, "key").await;
    assert!(!format!("{one:?}").contains("one"), "a digest");
    fs::write(&file, "two").expect("written");
    let two = version(&source, "key").await;
    assert_ne!(one, two);
    fs::write(&file, "one\n").expect("written");
    assert_eq!(version(&source, "key").await, one, "put back");
    fs::remove_file(&file).expect("removed");
    assert_eq!(
        source.observe("key").await,
        Ok(Observation::Missing(Missing::NotFound))
    );
    fs::write(&file, "two").expect("written");
    assert_eq!(version(&source, "key").await, two, "made again");
}

/// A rewrite of the same length that keeps the time of modification, within the grain of the file
/// system's clock, leaves the file as it was but for what it holds: it must be seen all the same.
#[tokio::test]
async fn a_quick_rewrite_of_the_same_length_is_seen() {
    let directory = directory(&[]);
    let file = directory.path().join("key");
    let source = source(directory.path());
    let mut last = None;
    for number in 100..104 {
        for half in ["a", "b"] {
            place_file(&file, format!("sk-{number}{half}"));
            let now = version(&source, "key").await;
            assert_ne!(last.replace(now), last, "write {number}{half} was not seen");
        }
    }
}

#[tokio::test]
async fn a_settled_file_is_not_read_again() {
    let directory = directory(&[("key", "settled")]);
    let file = directory.path().join("key");
    let bench = Bench::new("mounted", Duration::from_secs(30));
    let (id, path) = (SourceId::new("mounted"), directory.path().to_owned());
    let source = FileSource::new(id, path, Fingerprinter::ephemeral(), bench.upstream);
    let written = fs::metadata(&file).expect("there");
    let settled = SystemTime::UNIX_EPOCH + Duration::from_secs(written.ctime() as u64 + 4);
    crate::support::eventually("the file is old enough", async || {
        (SystemTime::now() > settled).then_some(())
    })
    .await;
    let before = version(&source, "key").await;
    for _ in 0..50 {
        assert_eq!(version(&source, "key").await, before);
    }
    assert_eq!(calls(&bench.metrics, "read_file", "ok"), 1);
    assert_eq!(calls(&bench.metrics, "stat_file", "ok"), 50);
    // Same length, and the time of modification put back: the kernel's own time tells.
    let times = fs::FileTimes::new().set_modified(written.modified().expect("a time"));
    fs::write(&file, "SETTLED").expect("written");
    let handle = fs::File::options().write(true).open(&file).expect("opened");
    handle.set_times(times).expect("set");
    assert_ne!(version(&source, "key").await, before);
}

#[tokio::test]
async fn written_at_is_the_time_of_modification() {
    let directory = directory(&[("key", "value")]);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    let handle = fs::File::options()
        .write(true)
        .open(directory.path().join("key"))
        .expect("opened");
    handle
        .set_times(fs::FileTimes::new().set_modified(at))
        .expect("set");
    match source(directory.path())
        .observe("key")
        .await
        .expect("looked")
    {
        Observation::Present { written_at, .. } => assert_eq!(written_at, Some(at.into())),
        Observation::Missing(why) => panic!("{why:?}"),
    }
}

#[tokio::test]
async fn nothing_outside_the_directory_is_read() {
    let outside = directory(&[("canary", "canary-value")]);
    let inside = directory(&[("key", "value")]);
    let link = |target: &Path, name: &str| {
        symlink(target, inside.path().join(name)).expect("linked");
    };
    link(&outside.path().join("canary"), "absolute");
    link(outside.path(), "folder");
    let relative = Path::new("..")
        .join(outside.path().file_name().expect("a name"))
        .join("canary");
    link(&relative, "relative");
    link(Path::new("round"), "round");
    link(&inside.path().join("key"), "own");
    let source = source(inside.path());
    let absolute = outside.path().join("canary").display().to_string();
    for path in [
        "absolute",
        "folder/canary",
        "relative",
        "round",
        "../x",
        "a/../../x",
        ".",
        "",
        "./key",
        "nul\0",
        &absolute,
    ] {
        let error = refusal(&source, path).await;
        assert!(
            matches!(error, SourceError::Invalid { .. }),
            "{path:?}: {error:?}"
        );
        assert!(!format!("{error:?}").contains("canary-value"), "{error:?}");
        let named = path.escape_debug().to_string();
        assert!(error.to_string().contains(&named), "{path:?}: {error}");
    }
    assert_eq!(
        value(&source, "own").await.0,
        "value",
        "an absolute link that stays inside"
    );
}

#[tokio::test]
async fn binary_huge_and_special_files_are_refused_without_hanging() {
    let directory = directory(&[("latin1", ""), ("huge", ""), ("empty", ""), ("file", "x")]);
    let at = |name: &str| directory.path().join(name);
    place_file(at("latin1"), b"canary-\xe9");
    place_file(at("huge"), vec![b'x'; 1024 * 1024 + 1]);
    place_file(at("largest"), vec![b'x'; 1024 * 1024]);
    fs::create_dir(at("folder")).expect("made");
    let made = std::process::Command::new("mkfifo")
        .arg(at("fifo"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    let _socket = UnixListener::bind(at("socket")).expect("bound");
    let source = source(directory.path());
    let error = refusal(&source, "latin1").await;
    assert_eq!(error, SourceError::Malformed(Malformed::Binary));
    for path in ["folder", "fifo", "socket", "huge"] {
        let error = refusal(&source, path).await;
        assert!(
            matches!(error, SourceError::Invalid { .. }),
            "{path}: {error:?}"
        );
        assert!(error.to_string().contains(path), "{error}");
    }
    assert_eq!(
        source.observe("file/below").await,
        Ok(Observation::Missing(Missing::NotFound))
    );
    assert_eq!(value(&source, "largest").await.0.len(), 1024 * 1024);
    let Ok(Reading::Present { document, .. }) = source.read("empty", &Version::new("any")).await
    else {
        panic!("an empty file is a file")
    };
    let empty = document.credentials(&FieldMap::default());
    assert!(matches!(empty, Err(Malformed::Empty { .. })));
}

/// As root every file can be read, so what is expected depends on who runs the test.
#[tokio::test]
async fn a_file_that_may_not_be_read_is_denied() {
    let directory = directory(&[("key", "value")]);
    let file = directory.path().join("key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("set");
    let readable = fs::read(&file).is_ok();
    let source = source(directory.path());
    if readable {
        assert_eq!(value(&source, "key").await.0, "value");
    } else {
        let error = refusal(&source, "key").await;
        assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_missing_directory_is_an_outage_that_ends() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("mount");
    let source = source(&dir);
    let error = source.observe("key").await.expect_err("away");
    assert!(
        matches!(error, SourceError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("mount"), "{error}");
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join("key"), "value").expect("written");
    crate::support::eventually("the source is back", async || {
        source.observe("key").await.ok()
    })
    .await;
    assert_eq!(value(&source, "key").await.0, "value");
}

/// Kubernetes replaces a mounted secret by one rename of `..data` and then removes the old files;
/// sops swaps the directory itself. A reader may come at any moment in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_under_a_reader_is_never_torn_or_missing() {
    for swapped in ["..data", "."] {
        let parent = tempfile::tempdir().expect("a directory");
        let stage = Stage::new(parent.path(), swapped);
        stage.swap(0);
        let source = source(&stage.mount());
        let done = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let done = done.clone();
            move || {
                let mut generation = 0;
                while !done.load(Ordering::SeqCst) {
                    generation += 1;
                    stage.swap(generation);
                }
                generation
            }
        });
        let mut seen = std::collections::BTreeSet::new();
        let mut reads = 0;
        let enough = async {
            while seen.len() < 20 || reads < 200 {
                seen.insert(whole(&value(&source, "key").await.0));
                version(&source, "key").await;
                reads += 1;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), enough).await;
        done.store(true, Ordering::SeqCst);
        let last = writer.join().expect("swapped");
        in_time.expect("twenty generations in a minute");
        assert_eq!(whole(&value(&source, "key").await.0), last);
    }
}

/// Which generation a value is of; a mixture is none.
fn whole(value: &str) -> usize {
    let numbers: std::collections::BTreeSet<usize> = value
        .split(' ')
        .map(|word| word.parse().expect("a number"))
        .collect();
    assert_eq!(numbers.len(), 1, "a torn read");
    *numbers.first().expect("one")
}

/// A mount as Kubernetes makes it (`..data`), or as sops does (the directory itself, `.`).
struct Stage {
    parent: std::path::PathBuf,
    whole_directory: bool,
}

impl Stage {
    fn new(parent: &Path, swapped: &str) -> Self {
        let stage = Self {
            parent: parent.to_owned(),
            whole_directory: swapped == ".",
        };
        if !stage.whole_directory {
            fs::create_dir(stage.mount()).expect("made");
            symlink("..data/key", stage.mount().join("key")).expect("linked");
        }
        stage
    }

    fn mount(&self) -> std::path::PathBuf {
        self.parent.join("mount")
    }

    fn swap(&self, generation: usize) {
        let (home, link) = if self.whole_directory {
            (self.parent.clone(), "mount")
        } else {
            (self.mount(), "..data")
        };
        let name = |generation| home.join(format!("..gen_{generation}"));
        let next = name(generation);
        fs::create_dir(&next).expect("made");
        let text = vec![generation.to_string(); 2_000].join(" ");
        fs::write(next.join("key"), text).expect("written");
        let fresh = home.join("..fresh");
        symlink(next.file_name().expect("a name"), &fresh).expect("linked");
        fs::rename(&fresh, home.join(link)).expect("swapped");
        if generation > 0 {
            fs::remove_dir_all(name(generation - 1)).expect("removed");
        }
    }
}
