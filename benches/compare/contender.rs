//! Those that are compared: each with its own Flashback, its own role in the one store, and a
//! directory of its own. How each is set up, and why so, stands beside its configuration.

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
    /// The same, with a `curl` that goes on trying for longer than the outage.
    PatientAgent,
    /// A shell script that compares each key with what it saw last.
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

    /// Its role in the store, by which the audit log tells its calls.
    pub fn role(self) -> &'static str {
        match self {
            Self::Rotator => "rotator",
            Self::Agent => "agent",
            Self::PatientAgent => "patient",
            Self::Loop => "loop",
        }
    }
}

/// The roles of all contenders, made once.
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
    /// Where it lies; removed after it has ended.
    directory: TempDir,
}

impl Contender {
    /// Sets it up for so many keys, each looked at once in `interval`, and starts it.
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
        // Everything is on this machine.
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

    /// # Panics
    /// Where it has ended: what was measured then is nothing.
    pub fn must_run(&self) {
        let log = std::fs::read_to_string(self.directory.path().join("log"));
        let name = self.kind.name();
        assert!(!self.process.ended(), "{name} has ended: {log:?}");
    }
}

/// How the agent's commands go on when Flashback fails.
struct Tries {
    retries: u32,
    /// Seconds between them; 0 for curl's own way, 1, 2, 4 and so on.
    delay: u32,
    /// What the agent gives the command.
    timeout: &'static str,
}

impl Tries {
    /// Some, in the time that the agent gives a command unless it is told otherwise.
    const USUAL: Self = Self {
        retries: 3,
        delay: 0,
        timeout: "30s",
    };

    /// For longer than the outage.
    const PATIENT: Self = Self {
        retries: 90,
        delay: 1,
        timeout: "5m",
    };
}

/// What a contender is set up from.
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

    /// One template and one command for each key, as its documentation has it; AppRole without a
    /// sink, as nothing else needs its token; no backup of a rendered file; `exec` with an array,
    /// which starts `curl` and no shell. What is rendered is the body of the request, so that no
    /// secret is on a command line. `curl` tries again on every error, and a fault that outlasts it
    /// fails the command. It logs warnings only: a line for each rendering would cost it time.
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

    /// One `curl` for a key and pass, on one connection each, and no other program: the value is cut
    /// out by the shell. It keeps what Flashback took, so that what failed is tried in the next pass.
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
