//! Mistakes with the files themselves: where the configuration is, and who can read a secret.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flashback_rotator::config;
use flashback_rotator::config::KINDS;

use super::{GOOD, with};
use crate::support::place_file;
use crate::support::rotator::binary;

/// What a command with these arguments says, and its exit code.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let output = binary().args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_configuration_that_is_not_there_is_named_with_what_prints_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().display().to_string();
    let missing = format!("{path}/config.toml");
    place_file(directory.path().join("config.yaml"), "flashback: {}");
    for (config, words) in [
        (&missing, "there is no such file or directory"),
        (&path, "the directory has no `*.toml` in it"),
    ] {
        let (code, said) = said(&["check", "--config", config]);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(config.as_str()) && said.contains(words),
            "{said}"
        );
        assert!(said.contains("`flashback-rotator init` prints"), "{said}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).expect("its mode is set");
}

/// Files with secrets in a directory below `at`: what `check` says of them with these modes of the
/// directory and of the files.
fn check_with_modes(at: &str, directory_mode: u32, mode: u32) -> String {
    let directory = tempfile::tempdir_in(at).expect("a directory");
    let path = directory.path();
    for name in ["token", "openai", "other"] {
        place_file(path.join(name), "sk-x");
        set_mode(&path.join(name), mode);
    }
    let config = path.join("config.toml");
    let path = path.display();
    let text = with(
        "token = { env = \"FLASHBACK_TOKEN\" }",
        &format!("token = {{ file = \"{path}/token\" }}"),
    );
    let more = format!(
        "[sources.files]\ntype = \"file\"\ndir = \"{path}\"\n[keys.a]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"openai\"\n[keys.b]\nai_type = \"OPENAI\"\nsource = \"files\"\npath = \"other\"\n"
    );
    place_file(&config, text + &more);
    set_mode(directory.path(), directory_mode);
    let (code, said) = said(&["check", "--config", &config.display().to_string()]);
    assert_eq!(code, Some(0), "{said}");
    said.replace(&path.to_string(), "DIR")
}

#[test]
fn a_secret_that_other_users_can_read_is_warned_of_once() {
    let said = check_with_modes("/var/tmp", 0o755, 0o644);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: other users of this machine can read the secret in DIR/token: take the right away with `chmod o-r DIR/token`",
            "warning: source `files`: other users of this machine can read the secrets of 2 keys in DIR: take the right away with `chmod o-rx DIR`",
        ]
    );
}

#[test]
fn a_secret_that_others_cannot_reach_or_that_was_mounted_is_not_warned_of() {
    for (at, directory, file, why) in [
        ("/var/tmp", 0o755, 0o640, "a group is a choice"),
        ("/var/tmp", 0o755, 0o600, "its owner alone"),
        ("/var/tmp", 0o750, 0o644, "its directory keeps others out"),
        ("/dev/shm", 0o755, 0o644, "in memory, as in a pod"),
    ] {
        let said = check_with_modes(at, directory, file);
        assert_eq!(said, "", "{why}");
    }
}

#[test]
fn init_prints_a_configuration_that_check_accepts() {
    for source in ["file", "vault", "aws"] {
        let output = binary()
            .args(["init", "--source", source])
            .output()
            .expect("it runs");
        assert!(output.status.success() && output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.starts_with("# Keys in "), "{text}");
        assert!(text.lines().count() < 50, "{source} is not small");
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("config.toml");
        place_file(&config, &text);
        let (code, said) = said(&["check", "--config", &config.display().to_string()]);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{source}");
    }
    let plain = binary().arg("init").output().expect("it runs");
    let file = binary().args(["init", "--source", "file"]).output();
    assert_eq!(plain.stdout, file.expect("it runs").stdout);
}

#[test]
fn config_reference_prints_the_whole_reference() {
    let output = binary()
        .args(["config", "reference"])
        .output()
        .expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty());
    let printed = String::from_utf8(output.stdout).expect("text");
    let reference = config::reference(KINDS);
    let (schema, rest) = reference.split_once('\n').expect("lines");
    assert!(schema.starts_with("#:schema"));
    assert_eq!(printed.trim_end(), rest.trim_end());
}

/// Fifty keys of one prefix, and a line for each.
#[test]
fn fifty_keys_of_one_prefix_take_few_lines() {
    let general = GOOD.split("[keys").next().expect("a beginning");
    let mut text = format!(
        "{general}[defaults]\nsource = \"vault\"\nai_type = \"OPENAI\"\nfields = {{ secret = \"api_key\" }}\n[keys]\n"
    );
    for team in 1..=50 {
        text += &format!("team-{team} = {{ path = \"llm/team-{team}\" }}\n");
    }
    assert!(text.lines().count() < 110);
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("config.toml");
    place_file(&config, &text);
    let loaded = config::load(Some(&config), KINDS).expect("right");
    assert_eq!(loaded.config.keys.len(), 50);
    for (id, key) in &loaded.config.keys {
        assert_eq!(key.origin.source.as_str(), "vault");
        assert_eq!(key.origin.path, format!("llm/{id}"));
        assert_eq!(key.origin.fields.secret.as_deref(), Some("api_key"));
        assert_eq!(key.settings.name, id.as_str());
    }
}
