//! A single daemon with a directory of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use crate::common::process::Leashed;
use crate::common::store::{Role, Store, name};
use crate::common::support::configuration::{Configuration, app_role, key, vault};
use crate::common::support::rotator::binary;
use crate::common::support::{free_port, place_file};
use crate::flashback::Flashback;

/// The interval at which a page is polled, and so the error of times measured that way.
const POLL: Duration = Duration::from_millis(5);

/// The settings that differ between runs.
pub struct Setting<'a> {
    pub store: &'a Store,
    pub role: &'a Role,
    pub flashback: &'a Flashback,
    /// The URL of the state; `None` for SQLite in the daemon's directory.
    pub state: Option<&'a str>,
    pub check: &'a str,
    pub keys: usize,
    /// Additional tables of the configuration.
    pub more: &'a str,
}

/// Writes the configuration and the secrets it refers to into a directory. The settings are the defaults
/// except for the interval and a `max_rps` that is never reached.
pub fn command(directory: &Path, http: &str, of: &Setting<'_>) -> Command {
    place_file(directory.join("secret-id"), &of.role.secret_id);
    let here = directory.display();
    let own = format!("sqlite://{here}/state.db");
    let auth = app_role(&of.role.mount, &of.role.role_id);
    let source = vault("vault", &of.store.address, "max_rps = 100000", &auth);
    let configuration = Configuration {
        listen: http.to_owned(),
        ..Configuration::new(&of.flashback.sandbox.url())
    };
    let mut configuration = configuration
        .state(&format!("url = \"{}\"", of.state.unwrap_or(&own)))
        .and(format!(
            "[schedule]\ncheck = \"{}\"\n{source}{}\n",
            of.check, of.more
        ));
    for id in (0..of.keys).map(name) {
        configuration = configuration.and(key(&id, "vault", &format!("llm/{id}")));
    }
    run(directory, &configuration)
}

/// Writes a configuration into a directory, beside the token of Flashback. `{dir}` in it is the directory.
pub fn run(directory: &Path, configuration: &Configuration) -> Command {
    let text = configuration.text();
    let text = text.replace("{dir}", &directory.display().to_string());
    let path = directory.join("config.toml");
    place_file(directory.join("token"), "token");
    place_file(&path, text);
    let mut command = binary();
    command.args(["run", "--config"]).arg(path);
    command
}

pub struct Daemon {
    process: Leashed,
    command: Command,
    directory: TempDir,
    port: u16,
    http: reqwest::Client,
}

impl Daemon {
    pub fn start(setting: &Setting<'_>) -> Self {
        Self::start_as(|directory, http| command(directory, http, setting))
    }

    /// Starts the command that `command` makes of a directory and the address for its HTTP server.
    pub fn start_as(command: impl FnOnce(&Path, &str) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let command = command(directory.path(), &format!("127.0.0.1:{port}"));
        let http = reqwest::Client::builder().tls_certs_only(Vec::new());
        Self {
            process: Leashed::start(&command, &directory.path().join("log")),
            command,
            directory,
            port,
            http: http.build().expect("a client"),
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the URL of its HTTP server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends it a signal by name (`STOP`).
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Returns everything it has logged.
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Asks it to stop, and waits until it has ended.
    pub async fn stop(&self) {
        self.process.terminate();
        while !self.process.ended() {
            sleep(POLL).await;
        }
    }

    /// Starts it again after it has ended.
    pub fn start_again(&mut self) {
        let log = self.directory.path().join("log");
        self.process = Leashed::start(&self.command, &log);
    }

    /// Waits for a future while the daemon runs.
    ///
    /// # Panics
    /// If the daemon ends first.
    pub async fn until<T>(&self, come_about: impl Future<Output = T>) -> T {
        let ended = async {
            while !self.process.ended() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = ended => panic!("the daemon has ended: {}", self.log()),
            value = come_about => value,
        }
    }

    /// Waits until every key has been checked.
    pub async fn ready(&self) {
        let url = format!("{}/readyz", self.url());
        let ready = || async {
            let answer = self.http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        };
        let all = async {
            while ready().await.is_none() {
                sleep(POLL).await;
            }
        };
        self.until(all).await;
    }

    /// Waits until its one source's changes are heard of as they happen.
    pub async fn hears(&self) {
        let url = format!("{}/metrics", self.url());
        let heard = || async {
            let answer = self.http.get(&url).send().await.ok()?;
            let metrics = answer.text().await.ok()?;
            let mut lines = metrics.lines();
            let up = lines.find(|line| line.starts_with("flashback_rotator_source_events_up{"))?;
            up.ends_with(" 1").then_some(())
        };
        let up = async {
            while heard().await.is_none() {
                sleep(POLL).await;
            }
        };
        self.until(up).await;
    }
}
