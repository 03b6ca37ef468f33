//! Where the configuration is read from: a file, a directory, and what changes in them.

use std::os::unix::fs::symlink;
use std::path::Path;

use flashback_rotator::config;
use flashback_rotator::config::KINDS;

use super::{CANARY, GOOD, load, load_directory, rendered};

/// [`GOOD`], cut in two.
fn halves() -> (String, String) {
    let cut = GOOD.find("[sources.files]").expect("it is in there");
    (GOOD[..cut].to_owned(), GOOD[cut..].to_owned())
}

#[test]
fn a_directory_is_merged_in_the_order_of_names() {
    let (general, rest) = halves();
    let files = [
        ("20-keys.toml", rest.as_str()),
        ("10-general.toml", general.as_str()),
        (".hidden.toml", "x = 1"),
        ("notes.txt", "not for us"),
    ];
    let merged = load_directory(&files).expect("right");
    let names: Vec<_> = merged.files.iter().filter_map(|f| f.file_name()).collect();
    assert_eq!(names, ["10-general.toml", "20-keys.toml"]);
    let whole = load(GOOD).expect("right");
    assert_eq!(
        format!("{:?}", merged.config),
        format!("{:?}", whole.config)
    );
}

#[test]
fn a_table_in_two_files_is_a_mistake_that_names_both_places() {
    let (general, rest) = halves();
    let again = format!("[log]\nlevel = \"{CANARY}\"\n[sources.vault]\ntype = \"{CANARY}\"\n");
    let files = [
        ("a.toml", general.as_str()),
        ("b.toml", rest.as_str()),
        ("c.toml", again.as_str()),
    ];
    let report = load_directory(&files).expect_err("twice");
    let shown = rendered(&report);
    assert!(!shown.contains(CANARY), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn tables_of_one_parent_can_be_in_several_files() {
    let cut = GOOD.find("[sources.vault.auth]").expect("it is in there");
    let end = GOOD.find("[sources.files]").expect("it is in there");
    let rest = format!("{}{}", &GOOD[..cut], &GOOD[end..]);
    for files in [
        [("a.toml", &GOOD[cut..end]), ("b.toml", rest.as_str())],
        [("a.toml", rest.as_str()), ("b.toml", &GOOD[cut..end])],
    ] {
        let loaded = load_directory(&files).expect("right");
        assert_eq!(loaded.config.sources.len(), 3);
    }
}

#[test]
fn unreadable_configurations_are_reported_with_a_remedy() {
    let report = config::load(Some(Path::new("/no/such/config.toml")), KINDS).expect_err("absent");
    insta::assert_snapshot!(report.to_string(), @r"
    error: there is no such file or directory
    --> /no/such/config.toml
     |
     = help: check the path given with `--config`; `flashback-rotator init` prints one to begin with

    error: 1 mistake in the configuration
    ");
    let report = load_directory(&[("notes.txt", "")]).expect_err("nothing to read");
    let [mistake] = report.mistakes() else {
        panic!("{report}");
    };
    assert_eq!(mistake.message(), "the directory has no `*.toml` in it");
    assert_eq!((mistake.line(), mistake.column()), (None, None));

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    std::fs::write(&path, b"a = 1\nb = \"\xff canary\"\n").expect("written");
    let report = config::load(Some(&path), KINDS).expect_err("not UTF-8");
    assert_eq!(report.mistakes()[0].message(), "line 2 is not UTF-8 text");
    assert!(!report.to_string().contains("canary"));
}

#[test]
fn the_digest_follows_the_symlinks_of_a_mounted_volume() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    for (version, text) in [("..v1", GOOD), ("..v2", &GOOD.replace("30s", "31s"))] {
        std::fs::create_dir(at(version)).expect("created");
        std::fs::write(at(version).join("config.toml"), text).expect("written");
    }
    symlink("..v1", at("..data")).expect("linked");
    symlink("..data/config.toml", at("config.toml")).expect("linked");

    let by_directory = config::load(Some(directory.path()), KINDS).expect("right");
    let by_file = config::load(Some(&at("config.toml")), KINDS).expect("right");
    let digest = |path: &Path| config::digest(path).expect("readable");
    assert_eq!(digest(directory.path()), by_directory.digest);
    assert_eq!(digest(&at("config.toml")), by_file.digest);

    symlink("..v2", at("..new")).expect("linked");
    std::fs::rename(at("..new"), at("..data")).expect("swapped");
    assert_ne!(digest(directory.path()), by_directory.digest);
    assert_ne!(digest(&at("config.toml")), by_file.digest);
    assert!(config::digest(&at("gone")).is_err());
}

#[test]
fn the_path_given_comes_first() {
    let given = Path::new("/somewhere/else.toml");
    assert_eq!(config::locate(Some(given)), given);
}
