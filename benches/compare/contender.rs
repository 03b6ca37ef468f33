//! The contenders: each has a Flashback of its own, a role of its own in the common source, and a directory
//! of its own. The reasons for each setup are given where its configuration is written.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::common::process::Leashed;
use crate::common::store::{Role, Store, name};
use crate::common::support::openbao;
use crate::daemon;
use crate::flashback::Flashback;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// flashback-rotator.
    Rotator,
    /// OpenBao's own agent, with a template and a `curl` for each key.
    Agent,
    /// OpenBao's agent as in [`Agent`](Self::Agent), with a `curl` that retries for longer than the outage.
    PatientAgent,
    /// A shell script that compares each key with the value it pushed last.
    Loop,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotator => "flashback-rotator",
            Self::Agent => "bao agent",
            Self::PatientAgent => "bao agent, patient curl",
            Self::Loop => "shell loop",
        }
    }

    /// Returns its role in the source, by which the audit log identifies its calls.
    pub fn role(self) -> &'static str {
        match self {
            Self::Rotator => "rotator",
            Self::Agent => "agent",
            Self::PatientAgent => "patient",
            Self::Loop => "loop",
        }
    }
}

/// The roles of all contenders.
pub struct Roles(Vec<(Kind, Role)>);

impl Roles {
    pub async fn make(store: &Store) -> Self {
        let mut roles = Vec::new();
        for kind in [Kind::Rotator, Kind::Agent, Kind::PatientAgent, Kind::Loop] {
            roles.push((kind, store.role(kind.role()).await));
        }
        Self(roles)
    }

    pub fn of(&self, kind: Kind) -> &Role {
        let mut roles = self.0.iter();
        &roles.find(|(one, _)| *one == kind).expect("a role").1
    }
}

pub struct Contender {
    pub kind: Kind,
    pub flashback: Flashback,
    process: Leashed,
    /// Its files, which are removed after it has ended.
    directory: TempDir,
}

impl Contender {
    /// Sets up a contender for `keys` keys, each checked once in `interval`, and starts it.
    pub async fn start(
        kind: Kind,
        store: &Store,
        roles: &Roles,
        keys: usize,
        interval: Duration,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let flashback = Flashback::with(keys).await;
        let set = Setting {
            directory: directory.path(),
            store,
            role: roles.of(kind),
            flashback: &flashback,
            interval,
        };
        let mut command = match kind {
            Kind::Rotator => daemon::command(
                directory.path(),
                "127.0.0.1:0",
                &daemon::Setting {
                    store,
                    role: roles.of(kind),
                    flashback: &flashback,
                    state: None,
                    check: &set.millis(),
                    keys,
                    more: "",
                },
            ),
            Kind::Agent => set.agent(&Tries::USUAL),
            Kind::PatientAgent => set.agent(&Tries::PATIENT),
            Kind::Loop => set.shell_loop().await,
        };
        // All servers run on this machine.
        command.env("NO_PROXY", "*");
        let process = Leashed::start(&command, &directory.path().join("log"));
        Self {
            kind,
            flashback,
            process,
            directory,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Checks that it still runs.
    ///
    /// # Panics
    /// If it has ended, since the measurements would then mean nothing.
    pub fn must_run(&self) {
        let log = std::fs::read_to_string(self.directory.path().join("log"));
        let name = self.kind.name();
        assert!(!self.process.ended(), "{name} has ended: {log:?}");
    }
}

/// The retries of the agent's commands when Flashback fails.
struct Tries {
    retries: u32,
    /// The seconds between retries; 0 for curl's default of 1, 2, 4 and so on.
    delay: u32,
    /// The time that the agent allows a command.
    timeout: &'static str,
}

impl Tries {
    /// A few retries, within the agent's default time for a command.
    const USUAL: Self = Self {
        retries: 3,
        delay: 0,
        timeout: "30s",
    };

    /// Retries for longer than the outage.
    const PATIENT: Self = Self {
        retries: 90,
        delay: 1,
        timeout: "5m",
    };
}

/// The inputs of a contender's setup.
struct Setting<'a> {
    directory: &'a Path,
    store: &'a Store,
    role: &'a Role,
    flashback: &'a Flashback,
    interval: Duration,
}

impl Setting<'_> {
    fn put(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    fn millis(&self) -> String {
        format!("{}ms", self.interval.as_millis())
    }

    /// Sets up the agent as its documentation describes: one template and one command for each key; AppRole
    /// without a sink, as no other program needs its token; no backups of rendered files; `exec` with an
    /// array, which starts `curl` without a shell. The rendered file is the body of the request, so that no
    /// secret is on a command line. `curl` retries on every error, and a longer fault fails the command. Only
    /// warnings are logged: a line for each rendering would cost the agent time.
    fn agent(&self, tries: &Tries) -> Command {
        let Tries {
            retries,
            delay,
            timeout,
        } = tries;
        let role_id = self.put("role-id", &self.role.role_id);
        let secret_id = self.put("secret-id", &self.role.secret_id);
        let header = self.put("header", "Authorization: Bearer token\n");
        let mut config = format!(
            r#"
vault {{ address = "{}" }}
auto_auth {{
  method "approle" {{
    mount_path = "auth/{}"
    config = {{
      role_id_file_path = "{role_id}"
      secret_id_file_path = "{secret_id}"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
template_config {{ static_secret_render_interval = "{}" }}
"#,
            self.store.address,
            self.role.mount,
            self.millis()
        );
        for (key, id) in self.flashback.ids.iter().enumerate() {
            let body = self.directory.join("rendered").join(name(key));
            let body = body.display();
            let url = format!("{}/ai/llm/{id}", self.flashback.sandbox.url());
            let _ = write!(
                config,
                r#"
template {{
  contents = "{{{{ with secret \"secret/data/llm/{}\" }}}}{{\"secret\":{{{{ .Data.data.api_key | toJSON }}}}}}{{{{ end }}}}"
  destination = "{body}"
  perms = "0600"
  backup = false
  error_on_missing_key = true
  exec {{
    command = ["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", "--request", "PUT", "--header", "@{header}", "--json", "@{body}", "--retry", "{retries}", "--retry-delay", "{delay}", "--retry-all-errors", "--max-time", "10", "{url}"]
    timeout = "{timeout}"
  }}
}}
"#,
                name(key)
            );
        }
        let mut command = Command::new(openbao::program());
        command
            .args(["agent", "-log-level=warn"])
            .arg(format!("-config={}", self.put("agent.hcl", &config)))
            .env("HOME", self.directory);
        command
    }

    /// Sets up the shell loop. It runs one `curl` for each key and round, each with a connection of its own,
    /// and no other program: the shell extracts the value. It remembers the values that Flashback accepted,
    /// so that a failed push is repeated in the next round.
    async fn shell_loop(&self) -> Command {
        let token = self.store.token(self.role.mount.as_str()).await;
        self.put("store-header", &format!("X-Vault-Token: {token}\n"));
        self.put("header", "Authorization: Bearer token\n");
        let ids = self.flashback.ids.iter().enumerate();
        let list: String = ids
            .map(|(key, id)| format!("{} {id}\n", name(key)))
            .collect();
        self.put("keys", &list);
        let script = self.put("loop", include_str!("loop.sh"));
        let mut command = Command::new("bash");
        command
            .arg(script)
            .arg(self.directory)
            .arg(&self.store.address)
            .arg(self.flashback.sandbox.url())
            .arg(format!("{:.3}", self.interval.as_secs_f64()));
        command
    }
}
