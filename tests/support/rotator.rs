//! The real binary, with a directory of its own and access to its log.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Operation, Options, Sandbox, sha256_hex};
use serde_json::Value;
use tempfile::TempDir;

use super::configuration::{Configuration, key};
use super::{LONG, eventually, get, place_file};

/// The lines of a daemon's log that a failed test shows.
const SHOWN: usize = 40;

/// Returns a command for the binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashback-rotator"));
    // The environment of the machine must not influence a test.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let ours = ["AWS_", "VAULT_", "FLASHBACK_", "SSL_CERT_"];
        if ours.iter().any(|start| text.starts_with(start)) || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
}

/// Prefixes a command with another one, such as `unshare`, that runs it.
fn within(others: &[String], command: Command) -> Command {
    let [first, rest @ ..] = others else {
        return command;
    };
    let mut all = Command::new(first);
    all.args(rest).arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => all.env(name, value),
            None => all.env_remove(name),
        };
    }
    all
}

/// Starts a sandbox on a free port.
pub async fn sandbox(options: Options) -> Sandbox {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    Sandbox::start(listener, options).expect("a sandbox")
}

/// Counts the requests that would change Flashback, whether they were carried out or not.
pub fn writes(sandbox: &Sandbox) -> usize {
    let write = |operation| matches!(operation, Operation::Create | Operation::Update);
    sandbox
        .journal()
        .iter()
        .filter(|entry| write(entry.operation))
        .count()
}

/// Waits until Flashback has `secret` under `name`.
pub async fn arrives(sandbox: &Sandbox, name: &str, secret: &str) {
    let digest = sha256_hex(secret);
    eventually(&format!("{name} in Flashback"), || async {
        let all = sandbox.configurations();
        all.iter()
            .any(|one| one.name == name && one.secret_sha256 == digest)
            .then_some(())
    })
    .await;
}

/// A rotator with a directory of its own: `config.toml`, `state.db`, `token`, `secrets/`, `log`.
pub struct Rotator {
    pub directory: TempDir,
    pub environment: Vec<(String, String)>,
    /// The words before the command that starts the daemon.
    pub within: Vec<String>,
    child: Option<Child>,
    /// The number of starts in the log before the present one.
    started: usize,
}

impl Rotator {
    /// Returns a rotator for this Flashback. Its configuration has `rest` after the common tables
    /// (`[flashback]`, `[state]`, `[http]` and the source `files`, the directory `secrets`); `{dir}` in it
    /// stands for the directory.
    pub fn new(flashback: &str, rest: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("secrets")).expect("a directory");
        place_file(directory.path().join("token"), "canary-flashback-token");
        let rotator = Self {
            directory,
            environment: Vec::new(),
            within: Vec::new(),
            child: None,
            started: 0,
        };
        rotator.configure(flashback, rest);
        rotator
    }

    /// Writes the configuration in the form described at [`new`](Self::new).
    pub fn configure(&self, flashback: &str, rest: &str) {
        self.configure_signing_in(flashback, r#"token = { file = "{dir}/token" }"#, rest);
    }

    /// Writes the configuration with `auth` in `[flashback.auth]`.
    pub fn configure_signing_in(&self, flashback: &str, auth: &str, rest: &str) {
        let configuration = Configuration::new(flashback).auth(auth).files();
        self.write_config(&configuration.and(rest).text());
    }

    /// Writes the whole configuration; `{dir}` in it stands for the directory.
    pub fn write_config(&self, text: &str) {
        let text = text.replace("{dir}", &self.path().display().to_string());
        let next = self.path().join("config.next");
        place_file(&next, text);
        std::fs::rename(next, self.config()).expect("renamed");
    }

    /// Sets how often Flashback is asked for changes of credentials by others; `off` for never.
    pub fn watch_edits(&self, every: &str) {
        let config = std::fs::read_to_string(self.config()).expect("a configuration");
        let line = format!("[flashback]\nwatch_edits = \"{every}\"");
        self.write_config(&config.replacen("[flashback]", &line, 1));
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// Writes a secret into `secrets/`, by rename.
    pub fn put(&self, name: &str, secret: &str) {
        let next = self.path().join("next");
        place_file(&next, secret);
        std::fs::rename(next, self.path().join("secrets").join(name)).expect("renamed");
    }

    /// Starts the daemon, which appends its log to `log`.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the daemon with additional environment variables.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        self.started = self.count("started");
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.log_path());
        let log = log.expect("a log");
        let mut command = within(&self.within, binary());
        command
            .args(["run", "--config"])
            .arg(self.config())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        self.child = Some(command.spawn().expect("the daemon starts"));
    }

    pub fn log_path(&self) -> PathBuf {
        self.path().join("log")
    }

    /// Returns everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Returns the log lines that carry an event.
    pub fn events(&self) -> Vec<Value> {
        self.events_since(&mut 0)
    }

    /// Returns the whole lines that carry an event in what the log has beyond `read` bytes, and moves `read` to their
    /// end.
    pub fn events_since(&self, read: &mut usize) -> Vec<Value> {
        let log = self.log();
        let lines = &log[*read..];
        let lines = &lines[..lines.rfind('\n').map_or(0, |end| end + 1)];
        *read += lines.len();
        let parsed = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["event"].is_string()).collect()
    }

    /// Counts how often an event was logged.
    pub fn count(&self, event: &str) -> usize {
        self.events()
            .iter()
            .filter(|line| line["event"] == event)
            .count()
    }

    /// Waits for an event that satisfies `condition`.
    pub async fn event(&self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        eventually(
            &format!("the event {name}; the log is\n{}", self.log()),
            || async {
                self.events()
                    .into_iter()
                    .find(|line| line["event"] == name && condition(line))
            },
        )
        .await
    }

    /// Returns the URL of its HTTP server since the last start.
    pub async fn http(&self) -> String {
        eventually("the daemon's address", || async {
            let events = self.events();
            let mut started = events.iter().filter(|line| line["event"] == "started");
            let started = started.nth(self.started)?;
            started["http"]
                .as_str()
                .map(|address| format!("http://{address}"))
        })
        .await
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.http().await);
        eventually("ready", || async {
            let answer = get(&url).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends it a signal by name (`TERM`, `HUP`, `STOP`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Kills it without a chance to clean up, like a power failure.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Returns its exit status; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("its status")?;
        self.child = None;
        Some(status)
    }

    /// Waits until it has ended without being stopped.
    pub async fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(began.elapsed() < LONG, "the daemon did not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it as systemd would.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Runs another command with the same configuration.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let mut command = binary();
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output());
        output.await.expect("it ends").expect("it starts")
    }

    /// Returns the document that another command prints with `--json`.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat()).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{arguments:?}: {error}: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

impl Drop for Rotator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(SHOWN);
            let end: Vec<&str> = log.lines().skip(from).collect();
            eprintln!("the end of a daemon's log:\n{}", end.join("\n"));
        }
        self.kill();
    }
}

/// Returns the configuration of a key in the source `files`.
pub fn file_key(id: &str) -> String {
    format!("{}name = \"{id}\"\n", key(id, "files", id))
}

/// Settings by which keys are checked every second and failures are retried soon.
pub const QUICK: &str = r#"
[schedule]
check = "1s"
[retry]
initial = "100ms"
max = "500ms"
"#;
