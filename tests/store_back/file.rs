//! Writing into files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use flashback_rotator::model::SourceId;
use flashback_rotator::secret::Fingerprinter;
use flashback_rotator::source::file::FileSource;
use tempfile::TempDir;

use super::*;
use crate::support::place_file;
use crate::support::upstreams::upstream;

fn source(dir: &Path) -> FileSource {
    FileSource::new(
        SourceId::new("files"),
        dir.to_owned(),
        Fingerprinter::new([7; 32]),
        upstream("files"),
    )
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        place_file(directory.path().join(name), text);
    }
    directory
}

/// Writes a plain text.
async fn store_plain(
    source: &FileSource,
    path: &str,
    expected: Option<&Version>,
) -> Result<StoreOutcome, SourceError> {
    let new = Replacement {
        expected,
        fields: &FieldMap::default(),
        credentials: &credentials(NEW),
        token: TOKEN,
    };
    source.store(path, &new).await
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    names.sort();
    names
}

fn text(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect("a text")
}

#[tokio::test]
async fn a_file_is_replaced_whole_with_its_mode_and_owner_and_its_newline() {
    let json = "{ \"key\": \"sk-old\",\n  \"price\": 1.10 }\n";
    let dir = directory(&[
        ("plain", "sk-old\n"),
        ("crlf", "sk-old\r\n"),
        ("bare", "sk-old"),
        ("json", json),
    ]);
    let source = source(dir.path());
    let is_root = dir.path().metadata().expect("there").uid() == 0;
    for (name, expected) in [
        ("plain", format!("{NEW}\n")),
        ("crlf", format!("{NEW}\r\n")),
        ("bare", NEW.to_owned()),
        ("json", json.replace("sk-old", NEW)),
    ] {
        let place = dir.path().join(name);
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).expect("set");
        if is_root {
            chown(&place, Some(12), Some(34)).expect("given");
        }
        let before = place.metadata().expect("there");
        let first = version(&source, name).await;
        assert_eq!(source.may_store(name).await, Ok(()));
        let new = match name {
            "json" => store(&source, name, Some(&first)).await,
            _ => store_plain(&source, name, Some(&first)).await,
        };
        let second = stored(new);
        assert_eq!(text(&dir, name), expected, "{name}");
        assert_eq!(version(&source, name).await, second, "{name}");
        let after = place.metadata().expect("there");
        assert_eq!(after.mode(), before.mode());
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino(), "another file");
        // A repeated call finds what it has written.
        let again = match name {
            "json" => store(&source, name, Some(&first)).await,
            _ => store_plain(&source, name, Some(&first)).await,
        };
        assert_eq!(stored(again), second);
    }
    assert_eq!(names(dir.path()), ["bare", "crlf", "json", "plain"]);
}

#[tokio::test]
async fn another_content_than_the_expected_stays() {
    let dir = directory(&[("key", "sk-1")]);
    let source = source(dir.path());
    let first = version(&source, "key").await;
    place_file(dir.path().join("key"), "sk-theirs");
    let conflict = Ok(StoreOutcome::Conflict);
    assert_eq!(store_plain(&source, "key", Some(&first)).await, conflict);
    assert_eq!(store_plain(&source, "key", None).await, conflict);
    assert_eq!(text(&dir, "key"), "sk-theirs");
    fs::remove_file(dir.path().join("key")).expect("removed");
    assert_eq!(store_plain(&source, "key", Some(&first)).await, conflict);
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone_and_what_a_crash_has_left_goes() {
    let dir = directory(&[]);
    fs::create_dir(dir.path().join("team")).expect("made");
    let left = dir.path().join(format!("team/.{TOKEN}.flashback-rotator"));
    fs::write(&left, "half").expect("written");
    let source = source(dir.path());
    assert_eq!(source.may_store("team/key").await, Ok(()));
    let first = stored(store(&source, "team/key", None).await);
    assert_eq!(version(&source, "team/key").await, first);
    assert_eq!(value(&source, "team/key", "key").await, NEW);
    let made = dir.path().join("team/key").metadata().expect("there");
    assert_eq!(made.mode() & 0o777, 0o600);
    assert_eq!(names(&dir.path().join("team")), ["key"]);
    for path in ["none/key", "../key", "/key"] {
        let error = store(&source, path, None).await.expect_err("refused");
        assert!(error.is_certain(), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn a_link_stays_and_what_it_leads_to_is_replaced_inside_alone() {
    let dir = directory(&[("real", "sk-old")]);
    let outside = directory(&[("key", "sk-outside")]);
    symlink("real", dir.path().join("link")).expect("linked");
    symlink(outside.path().join("key"), dir.path().join("out")).expect("linked");
    symlink("nowhere", dir.path().join("broken")).expect("linked");
    let source = source(dir.path());
    let first = version(&source, "link").await;
    stored(store_plain(&source, "link", Some(&first)).await);
    assert!(
        dir.path()
            .join("link")
            .symlink_metadata()
            .expect("there")
            .is_symlink()
    );
    assert_eq!(text(&dir, "real"), NEW);
    let error = store_plain(&source, "out", Some(&first)).await;
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("leads out")
    );
    assert_eq!(text(&outside, "key"), "sk-outside");
    let error = store_plain(&source, "broken", None).await;
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("leads nowhere")
    );
    assert_eq!(names(dir.path()), ["broken", "link", "out", "real"]);
}

#[tokio::test]
async fn a_mount_of_kubernetes_and_a_file_of_two_names_are_refused() {
    let dir = directory(&[]);
    let data = dir.path().join("..2026_01_01");
    fs::create_dir(&data).expect("made");
    place_file(data.join("key"), "sk-old");
    symlink("..2026_01_01", dir.path().join("..data")).expect("linked");
    symlink("..data/key", dir.path().join("key")).expect("linked");
    let mounted = source(dir.path());
    let first = version(&mounted, "key").await;
    for refused in [
        store_plain(&mounted, "key", Some(&first)).await.map(drop),
        store_plain(&mounted, "new", None).await.map(drop),
        mounted.may_store("key").await,
        mounted.may_store("new").await,
    ] {
        let error = refused.expect_err("refused");
        assert!(
            error.is_certain() && error.to_string().contains("Kubernetes"),
            "{error}"
        );
    }
    assert_eq!(names(&data), ["key"]);

    let dir = directory(&[("key", "sk-old")]);
    fs::hard_link(dir.path().join("key"), dir.path().join("twin")).expect("linked");
    let twins = source(dir.path());
    let first = version(&twins, "key").await;
    let error = store_plain(&twins, "key", Some(&first)).await;
    assert!(error.expect_err("refused").to_string().contains("2 names"));
    let error = twins.may_store("key").await.expect_err("refused");
    assert!(error.to_string().contains("2 names"), "{error}");
    assert_eq!(text(&dir, "key"), "sk-old");
}

#[tokio::test]
async fn a_reader_sees_the_old_or_the_new_and_never_half() {
    let long = "k".repeat(200_000);
    let old = format!("{{\"key\":\"sk-old\",\"rest\":\"{long}\"}}");
    let dir = directory(&[("key", &old)]);
    let source = source(dir.path());
    let place = dir.path().join("key");
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < 3_000 {
            let text = fs::read_to_string(&place).expect("always there");
            let whole: serde_json::Value = serde_json::from_str(&text).expect("never half");
            seen += 1;
            if whole["key"] == "sk-9" {
                break;
            }
        }
    });
    let mut before = version(&source, "key").await;
    for round in 0..10 {
        let value = format!("sk-{round}");
        before = stored(store_as(&source, "key", Some(&before), &value, TOKEN).await);
    }
    reader.join().expect("never half");
    assert_eq!(value(&source, "key", "key").await, "sk-9");
}
