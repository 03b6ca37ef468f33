//! Kinds of source and of trigger that are not the program's own: each a folder (`toy`, `bell`), and a line in a list.

mod bell;
mod toy;

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use flashback_rotator::config::{self, Kinds, Loaded, Report};
use flashback_rotator::flashback::sandbox::Options;
use flashback_rotator::source::{aws, file, vault};
use tempfile::TempDir;

use crate::support::rotator::{QUICK, arrives, sandbox};
use crate::support::{eventually, place_file};

const KINDS: Kinds = Kinds {
    sources: &[vault::KIND, aws::KIND, file::KIND, toy::KIND],
    providers: flashback_rotator::provider::KINDS,
    triggers: &[bell::KIND],
};

/// Has the arguments of the rotator that this test is to be, a line each.
const ARGUMENTS: &str = "SOURCE_KIND_TEST_ARGUMENTS";

/// This binary runs itself again as a rotator that knows the toy, too.
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
        .arg("source_kind::runs_the_rotator_when_given_its_arguments")
        .env(ARGUMENTS, format!("rotator\n{command}\n--config\n{config}"))
        .env("RUST_MIN_STACK", "8388608")
        .stdin(Stdio::null());
    rotator
}

/// Two sources of the kind; the second takes its password from the first.
fn configuration(directory: &Path, flashback: &str) -> String {
    let directory = directory.display();
    format!(
        r#"{QUICK}
[flashback]
base_url = "{flashback}"
workspace_id = "w"
auth = {{ token = {{ file = "{directory}/token" }} }}
[state]
url = "sqlite://{directory}/state.db"
[http]
listen = "127.0.0.1:0"
[sources.first]
type = "toy"
file = "{directory}/first"
[sources.a-second]
type = "toy"
file = "{directory}/second"
separator = ": "
password = {{ source = "first", path = "password" }}
[keys.one]
ai_type = "OPENAI"
source = "a-second"
path = "one"
"#
    )
}

fn put(directory: &TempDir, name: &str, text: &str) {
    place_file(directory.path().join(name), text);
}

fn load(directory: &TempDir, text: &str) -> Result<Loaded, Report> {
    put(directory, "config.toml", text);
    config::load(Some(&directory.path().join("config.toml")), KINDS)
}

fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams.map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_plan_and_the_daemon_work_with_a_kind_of_ones_own() {
    let flashback = sandbox(Options::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    put(&directory, "token", "canary-flashback-token");
    put(&directory, "first", "password=canary\n");
    put(&directory, "second", "one: sk-first\n");
    let text = configuration(directory.path(), &flashback.url());
    let loaded = load(&directory, &text).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);

    let config = directory.path().join("config.toml");
    for (command, expected) in [
        ("check", "is valid: 1 key and 2 sources"),
        ("check\n--connect", "opened with a password"),
        ("plan", "create"),
        ("config\nreference", "[sources.toy]"),
        ("init\n--source\ntoy", "type = \"toy\""),
    ] {
        let mut command = rotator(&config, command);
        let output = tokio::task::spawn_blocking(move || command.output());
        let said = said(&output.await.expect("it ends").expect("it starts"));
        assert!(said.contains(expected), "{said}");
    }

    let mut daemon = rotator(&config, "run");
    let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Daemon(daemon.spawn().expect("the daemon starts"));
    arrives(&flashback, "one", "sk-first").await;
    put(&directory, "second", "one: sk-second\n");
    arrives(&flashback, "one", "sk-second").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_of_ones_own_has_a_key_checked_that_would_not_be_before_tomorrow() {
    let flashback = sandbox(Options::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    put(&directory, "token", "canary-flashback-token");
    put(&directory, "first", "password=canary\n");
    put(&directory, "second", "one: sk-first\n");
    let bell = directory.path().join("bell.sock");
    let text = configuration(directory.path(), &flashback.url())
        .replace(QUICK, "[schedule]\ncheck = \"24h\"\n")
        .replace(
            "[keys.one]",
            &format!(
                "[sources.a-second.events]\ntype = \"bell\"\nsocket = \"{}\"\n[keys.one]",
                bell.display()
            ),
        );
    put(&directory, "config.toml", &text);
    let mut daemon = rotator(&directory.path().join("config.toml"), "run");
    let daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Daemon(daemon.spawn().expect("the daemon starts"));
    arrives(&flashback, "one", "sk-first").await;
    put(&directory, "second", "one: sk-second\n");
    let ringer = UnixDatagram::unbound().expect("a socket");
    eventually("it listens", || async {
        ringer.send_to(b"one", &bell).ok()
    })
    .await;
    arrives(&flashback, "one", "sk-second").await;
}

#[test]
fn mistakes_schema_and_reference_know_the_kind() {
    let directory = tempfile::tempdir().expect("a directory");
    let right = configuration(directory.path(), "https://flashback.example.com");
    for (line, wrong, expected) in [
        ("path = \"one\"", "path = \"o: ne\"", "this is no name"),
        (
            "type = \"toy\"\nfile",
            "type = \"toy\"\nflie",
            "unknown setting `flie` in `[sources.first]`",
        ),
        (
            "type = \"toy\"",
            "type = \"toi\"",
            "did you mean `toy`? It is one of `vault`, `aws-secrets-manager`, `file` or `toy`",
        ),
        (
            "separator = \": \"",
            "separator = \": \"\nacknowledge = true",
            "a source of this kind cannot be told which version is live",
        ),
        (
            "path = \"password\" }",
            "path = \"pass=word\" }",
            "this is no name",
        ),
        (
            "[sources.a-second]",
            "password = { source = \"a-second\", path = \"x\" }\n[sources.a-second]",
            "this source needs itself to sign in, by way of another source",
        ),
        (
            "[keys.one]",
            "[sources.first.events]\ntype = \"bel\"\n[keys.one]",
            "did you mean `bell`? It is one of `bell`",
        ),
        (
            "[keys.one]",
            "[sources.files]\ntype = \"file\"\ndir = \"/x\"\nevents.type = \"bell\"\n[keys.one]",
            "unknown table `events` in `[sources.files]`",
        ),
        (
            "[keys.one]",
            "[sources.files]\ntype = \"file\"\ndir = \"/x\"\nseparator = \":\"\n[keys.one]",
            "`separator` is for `toy` alone",
        ),
    ] {
        let text = right.replacen(line, wrong, 1);
        assert_ne!(text, right, "{line}");
        let report = load(&directory, &text).expect_err(expected).to_string();
        assert!(report.contains(expected), "{expected}: {report}");
    }
    let schema = config::schema(KINDS);
    let toy = &schema["properties"]["sources"]["additionalProperties"]["anyOf"][3];
    assert_eq!(toy["properties"]["separator"]["default"], "=");
    let bell = &toy["properties"]["events"]["anyOf"][0];
    assert_eq!(bell["required"], serde_json::json!(["type", "socket"]));
    let printed = config::reference(KINDS);
    put(&directory, "reference.toml", &printed);
    let reference = config::load(Some(&directory.path().join("reference.toml")), KINDS);
    assert!(reference.is_ok(), "{reference:?}");
}
