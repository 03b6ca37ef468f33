//! A daemon that hears of writes in OpenBao by both audit devices, and what may happen to those on the way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::json;

use super::configuration::{Configuration, TOKEN_IN_VARIABLE, key, vault};
use super::durable::Durable;
use super::openbao::ROOT;
use super::proxy::{Proxy, Way};
use super::rotator::{Rotator, sandbox};
use super::{client, eventually, free_port, get};

/// The sources of the daemon: one server, heard in two ways.
const SOURCES: [&str; 2] = ["by-file", "by-socket"];

/// The number of writers, each of secrets of its own.
const WRITERS: usize = 4;

/// Something that happens while secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The audit file is renamed, and the server told to open another.
    Renamed,
    /// The audit file is truncated in place, as `copytruncate` does.
    Truncated,
    /// The connection to the audit socket is cut.
    Cut,
    /// The daemon is killed, and started again.
    DaemonKilled,
    /// The server is killed, and started again.
    ServerKilled,
}

/// All faults, each of which follows upon another one.
pub const FAULTS: [Fault; 5] = [
    Fault::Renamed,
    Fault::Cut,
    Fault::DaemonKilled,
    Fault::Truncated,
    Fault::ServerKilled,
];

/// A daemon, its servers and its secrets.
pub struct Shaken {
    pub sandbox: Sandbox,
    secrets: Secrets,
    machines: Machines,
}

impl Shaken {
    /// Starts everything with `secrets` secrets, each of which is a key of both sources. Keys are checked at
    /// the interval `check` while events are down, and never without a reason while they are up.
    pub async fn start(secrets: usize, check: &str) -> Self {
        let port = free_port();
        let proxy = Proxy::to(port).await;
        let bao = Durable::start(|directory| audit_devices(directory, proxy.port)).await;
        let sandbox = sandbox(Options::default()).await;
        let secrets = Secrets {
            url: format!("{}/v1/secret/data", bao.address),
            count: secrets,
            newest: Mutex::default(),
            made: AtomicUsize::new(0),
        };
        for secret in 0..secrets.count {
            secrets.write(secret, "first").await;
        }
        let mut machines = Machines {
            rotator: Rotator::new(&sandbox.url(), ""),
            bao,
            proxy,
        };
        let environment = ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned());
        machines.rotator.environment = vec![environment];
        let configuration = machines.configuration(&sandbox.url(), port, check, secrets.count);
        machines.rotator.write_config(&configuration.text());
        machines.rotator.start();
        machines.rotator.ready().await;
        eventually("both sources hear", || machines.hear()).await;
        let shaken = Self {
            sandbox,
            secrets,
            machines,
        };
        shaken.settle().await;
        shaken
    }

    /// Makes `writes` writes, which go on while the faults happen one after the other, evenly spread.
    pub async fn shake(&mut self, writes: usize, faults: &[Fault]) {
        let Self {
            secrets, machines, ..
        } = self;
        let stretch = writes / (faults.len() + 1);
        for (round, fault) in faults.iter().enumerate() {
            let tag = format!("{round}");
            let half = secrets.made.load(Ordering::Relaxed) + stretch / 2;
            tokio::join!(
                secrets.write_many(&tag, stretch),
                machines.meet(*fault, secrets, half)
            );
        }
        let rest = writes - stretch * faults.len();
        secrets.write_many("rest", rest).await;
    }

    /// Writes the records of the audit file into it once more.
    pub fn double_records(&self) {
        let log = self.machines.log();
        let records = std::fs::read(&log).expect("an audit log");
        let file = File::options().append(true).open(log);
        let written = file.and_then(|mut file| file.write_all(&records));
        written.expect("written");
    }

    /// Rotates one secret, and waits until both of its keys have the new value.
    pub async fn rotate_one(&self) {
        self.secrets.write(0, "last").await;
        self.settle().await;
    }

    /// Returns the keys of which Flashback does not have the newest value.
    pub fn behind(&self) -> Vec<String> {
        let all = self.sandbox.configurations().into_iter();
        let held: BTreeMap<String, String> = all.map(|one| (one.name, one.secret_sha256)).collect();
        let newest = self.secrets.newest.lock();
        let keys = newest.iter().flat_map(|(secret, value)| {
            let digest = sha256_hex(value);
            SOURCES.map(|source| (format!("{source}-{secret}"), digest.clone()))
        });
        keys.filter(|(key, digest)| held.get(key) != Some(digest))
            .map(|(key, _)| key)
            .collect()
    }

    /// Waits until Flashback has every newest value, and returns how long that took.
    pub async fn settle(&self) -> Duration {
        let begun = Instant::now();
        eventually("every newest value in Flashback", || async {
            self.behind().is_empty().then_some(())
        })
        .await;
        begun.elapsed()
    }
}

/// The secrets in the server.
struct Secrets {
    url: String,
    count: usize,
    newest: Mutex<BTreeMap<usize, String>>,
    /// The number of writes so far.
    made: AtomicUsize,
}

impl Secrets {
    /// Writes a new value until the server has taken it, and notes it as the newest.
    async fn write(&self, secret: usize, tag: &str) {
        let value = format!("sk-{secret}-{tag}");
        let url = format!("{}/{}", self.url, path(secret));
        let body = json!({"data": {"key": value}});
        eventually("OpenBao takes a write", || async {
            let request = client().post(&url).header("X-Vault-Token", ROOT);
            let answer = request.json(&body).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        self.newest.lock().insert(secret, value);
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes `writes` writes, a few at a time, and none at once of one secret.
    async fn write_many(&self, tag: &str, writes: usize) {
        let writers = (0..WRITERS).map(|writer| async move {
            let own: Vec<usize> = (writer..self.count).step_by(WRITERS).collect();
            for number in (writer..writes).step_by(WRITERS) {
                let secret = own[rand::random_range(0..own.len())];
                self.write(secret, &format!("{tag}-{number}")).await;
            }
        });
        join_all(writers).await;
    }

    /// Waits until so many writes have been made.
    async fn reach(&self, made: usize) {
        eventually("writes go on", || async {
            (self.made.load(Ordering::Relaxed) >= made).then_some(())
        })
        .await;
    }
}

/// What may fail.
struct Machines {
    rotator: Rotator,
    bao: Durable,
    proxy: Proxy,
}

impl Machines {
    fn configuration(
        &self,
        flashback: &str,
        port: u16,
        check: &str,
        secrets: usize,
    ) -> Configuration {
        let mut configuration = Configuration::new(flashback).and(format!(
            "[schedule]\ncheck = \"{check}\"\ncheck_with_events = \"24h\"\n\
             [retry]\ninitial = \"100ms\"\nmax = \"500ms\"\n\
             [sources.by-file.events]\ntype = \"audit-file\"\npath = \"{}\"\n\
             [sources.by-socket.events]\ntype = \"audit-socket\"\nlisten = \"127.0.0.1:{port}\"\n",
            self.log().display()
        ));
        let address = &self.bao.address;
        for source in SOURCES {
            let table = vault(source, address, "max_rps = 100000", TOKEN_IN_VARIABLE);
            configuration = configuration.and(table);
            for secret in 0..secrets {
                let id = format!("{source}-{secret}");
                configuration = configuration.and(key(&id, source, &path(secret)));
            }
        }
        configuration
    }

    fn log(&self) -> PathBuf {
        self.bao.directory.path().join("audit.log")
    }

    /// Returns whether both sources are heard.
    async fn hear(&self) -> Option<()> {
        let url = format!("{}/metrics", self.rotator.http().await);
        let metrics = get(url).await.ok()?.text().await.ok()?;
        let up = |source: &&str| {
            let name = "flashback_rotator_source_events_up";
            metrics.contains(&format!("{name}{{source=\"{source}\"}} 1"))
        };
        SOURCES.iter().all(up).then_some(())
    }

    /// Has a fault happen once `made` writes have been made.
    async fn meet(&mut self, fault: Fault, secrets: &Secrets, made: usize) {
        secrets.reach(made).await;
        match fault {
            Fault::Renamed => {
                let aside = self.log().with_extension(format!("{made}"));
                std::fs::rename(self.log(), aside).expect("renamed");
                self.bao.signal("HUP");
            }
            Fault::Truncated => {
                let file = File::options().write(true).open(self.log());
                let emptied = file.and_then(|file| file.set_len(0));
                emptied.expect("truncated");
            }
            Fault::Cut => {
                self.proxy.set(Way::Cut);
                secrets.reach(made + WRITERS).await;
                self.proxy.set(Way::Open);
            }
            Fault::DaemonKilled => {
                self.rotator.kill();
                self.rotator.start();
            }
            Fault::ServerKilled => {
                self.bao.kill();
                self.bao.start_again().await;
            }
        }
    }
}

fn audit_devices(directory: &Path, socket: u16) -> String {
    format!(
        "audit \"file\" \"log\" {{\n  options = {{ file_path = \"{}\" }}\n}}\n\
         audit \"socket\" \"rotator\" {{\n  options = {{ socket_type = \"tcp\", \
         address = \"127.0.0.1:{socket}\", write_timeout = \"100ms\" }}\n}}\n",
        directory.join("audit.log").display(),
    )
}

fn path(secret: usize) -> String {
    format!("llm/key-{secret:05}")
}
