//! A kind of provider that is not the program's own: a folder (`toy`), and a line in a list.

mod toy;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use flashback_rotator::config::{self, Kinds};
use flashback_rotator::flashback::sandbox::Options;
use flashback_rotator::source::file;
use tempfile::TempDir;

use crate::support::rotator::{arrives, sandbox};
use crate::support::{eventually, place_file};

const KINDS: Kinds = Kinds {
    sources: &[file::KIND],
    providers: &[toy::KIND],
    triggers: &[],
};

/// Has the arguments of the rotator that this test is to be, a line each.
const ARGUMENTS: &str = "PROVIDER_KIND_TEST_ARGUMENTS";

/// This binary runs itself again as a rotator that knows the toy.
#[test]
fn runs_the_rotator_when_given_its_arguments() -> ExitCode {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return ExitCode::SUCCESS;
    };
    let arguments = arguments.lines().map(OsString::from);
    flashback_rotator::cli::main(arguments, KINDS)
}

fn rotator(config: &Path, command: &str) -> Command {
    let mut rotator = Command::new(std::env::current_exe().expect("its path"));
    let config = config.display();
    rotator
        .args(["--exact", "--nocapture"])
        .arg("provider_kind::runs_the_rotator_when_given_its_arguments")
        .env(ARGUMENTS, format!("rotator\n{command}\n--config\n{config}"))
        .env("RUST_MIN_STACK", "8388608")
        .stdin(Stdio::null());
    rotator
}

fn configuration(directory: &Path, flashback: &str) -> String {
    let directory = directory.display();
    format!(
        r#"[schedule]
check = "1s"
[flashback]
base_url = "{flashback}"
workspace_id = "w"
auth = {{ token = {{ file = "{directory}/token" }} }}
[state]
url = "sqlite://{directory}/state.db"
[http]
listen = "127.0.0.1:0"
[sources.files]
type = "file"
dir = "{directory}/secrets"
watch = false
[providers.own]
type = "toy"
dir = "{directory}/provider"
[keys.one]
ai_type = "OPENAI"
source = "files"
path = "one"
[keys.one.rotate]
provider = "own"
every = "2s"
overlap = "0s"
adopt = "by-hand"
"#
    )
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The names and values of the provider's keys.
fn keys(directory: &TempDir) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(directory.path().join("provider")).expect("a directory");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    entries
        .filter_map(Result::ok)
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, read(&entry.path()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_of_ones_own_rotates_a_key() {
    let flashback = sandbox(Options::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["secrets", "provider"] {
        std::fs::create_dir(directory.path().join(name)).expect("a directory");
    }
    place_file(directory.path().join("token"), "canary-flashback-token");
    place_file(directory.path().join("secrets/one"), "sk-toy-by-hand");
    place_file(directory.path().join("provider/by-hand"), "sk-toy-by-hand");
    let config = directory.path().join("config.toml");
    place_file(&config, configuration(directory.path(), &flashback.url()));

    for (command, expected) in [
        ("check", "is valid: 1 key"),
        ("config\nreference", "[providers.toy]"),
    ] {
        let mut command = rotator(&config, command);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("it ends").expect("it starts");
        let streams = [&output.stdout, &output.stderr];
        let said = streams.map(|bytes| String::from_utf8_lossy(bytes)).concat();
        assert!(said.contains(expected), "{said}");
    }

    let mut daemon = rotator(&config, "run");
    let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Daemon(daemon.spawn().expect("the daemon starts"));
    let (_, value) = eventually("the first key is revoked", || async {
        let keys = keys(&directory);
        let is_revoked = keys.iter().all(|(name, _)| name != "by-hand");
        keys.into_iter().next().filter(|_| is_revoked)
    })
    .await;
    assert!(value.starts_with("sk-toy-"), "it was made");
    let before = flashback.configurations();
    assert_eq!(before.len(), 1);
    // Every later one is delivered, too.
    eventually("another rotation", || async {
        let keys = keys(&directory);
        let is_next = keys.len() == 1 && keys[0].1 != value;
        is_next.then_some(())
    })
    .await;
    let stored = directory.path().join("secrets/one");
    let stored = std::fs::read_to_string(stored).expect("a secret");
    arrives(&flashback, "one", &stored).await;
}

#[test]
fn mistakes_and_schema_know_the_kind() {
    let directory = tempfile::tempdir().expect("a directory");
    let right = configuration(directory.path(), "https://flashback.example.com");
    let path = directory.path().join("config.toml");
    for (line, wrong, expected) in [
        (
            "type = \"toy\"",
            "type = \"toi\"",
            "did you mean `toy`? It is one of `toy`",
        ),
        (
            "type = \"toy\"\ndir",
            "type = \"toy\"\ndri",
            "unknown setting `dri` in `[providers.own]`",
        ),
        (
            "provider = \"own\"",
            "provider = \"won\"",
            "there is no such provider",
        ),
        (
            "ai_type = \"OPENAI\"",
            "ai_type = \"ANTHROPIC\"",
            "Toy makes no keys of the type ANTHROPIC",
        ),
    ] {
        let text = right.replacen(line, wrong, 1);
        assert_ne!(text, right, "{line}");
        place_file(&path, &text);
        let report = config::load(Some(&path), KINDS).expect_err(expected);
        let report = report.to_string();
        assert!(report.contains(expected), "{expected}: {report}");
    }
    let schema = config::schema(KINDS);
    let toy = &schema["properties"]["providers"]["additionalProperties"];
    assert!(toy.to_string().contains("\"toy\""), "{toy}");
}
