//! A simulated deployment for replicas: PostgreSQL, OpenBao and a sandbox, keys that are rotated, and the
//! invariants that hold whatever happens to which replica.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use serde_json::json;
use tokio::net::TcpListener;

use super::configuration::{Configuration, TOKEN_IN_VARIABLE, vault};
use super::openbao::{OpenBao, ROOT};
use super::postgres::{Database, Postgres};
use super::rotator::QUICK;
use super::writes::{self, Blackout, Stored, Write};
use super::{eventually, free_port};

/// The lease of the replicas.
pub const LEASE: Duration = Duration::from_secs(3);

/// The time within which a rotation must arrive: the lease of its former replica ends, two checks at
/// one-second intervals follow, and a machine under load may need the rest.
pub const SOON: Duration = Duration::from_secs(3 + 2 + 35);

/// The time within which a possible late write must be repaired on such a machine.
pub const LATE: Duration = Duration::from_secs(40 + 35);

/// The addresses at which replicas reach the servers, as `HOST:PORT`.
pub struct Addresses {
    pub flashback: String,
    pub state: String,
    pub store: String,
}

/// The servers, and the history of the keys.
pub struct TestBed {
    pub sandbox: Sandbox,
    pub postgres: Postgres,
    pub database: Database,
    pub store: OpenBao,
    pub store_port: u16,
    /// The ids of the keys.
    pub keys: Vec<String>,
    /// The newest value of each key in the source.
    pub newest: BTreeMap<String, String>,
    /// All values that the keys had.
    pub stored: Vec<Stored>,
    /// The times in which a process was stopped or cut off.
    pub blackouts: Vec<Blackout>,
}

impl TestBed {
    /// Starts the servers on this address, and on 127.0.0.1 as well, with `keys` keys.
    pub async fn set(address: IpAddr, keys: usize) -> Self {
        let listener = TcpListener::bind((address, 0)).await;
        let sandbox = Sandbox::start(listener.expect("a free port"), Options::default());
        let sandbox = sandbox.expect("a sandbox");
        // Slow writes give others time to overlap with them.
        sandbox.change(|switches| switches.latency_ms = 30);
        let settings = format!("listen_addresses = '127.0.0.1, {address}'\n");
        let rules = format!("host all all 127.0.0.1/32 trust\nhost all all {address}/24 trust\n");
        let postgres = Postgres::start(&settings, &rules).await;
        let database = postgres.database().await;
        let store_port = free_port();
        let store = OpenBao::start_with(|_| {
            format!("listener \"tcp\" {{\n address = \"{address}:{store_port}\"\n tls_disable = true\n}}\n")
        })
        .await;
        let mut world = Self {
            sandbox,
            postgres,
            database,
            store,
            store_port,
            keys: (0..keys).map(|number| format!("k{number}")).collect(),
            newest: BTreeMap::new(),
            stored: Vec::new(),
            blackouts: Vec::new(),
        };
        world.rotate_all().await;
        world
    }

    /// Returns the configuration of a replica with these keys that reaches the servers at these addresses.
    pub fn configuration(&self, at: &Addresses, keys: &[String]) -> String {
        let Addresses {
            flashback,
            state,
            store,
        } = at;
        let (database, lease) = (&self.database.name, LEASE.as_secs());
        let url = format!("postgres://rotator@{state}/{database}?sslmode=disable");
        let store = format!("http://{store}");
        let mut text = Configuration::new(&format!("http://{flashback}"))
            .state(&format!("url = \"{url}\"\nlease = \"{lease}s\""))
            .and(vault("bao", &store, "", TOKEN_IN_VARIABLE))
            .and(QUICK)
            .text();
        for key in keys {
            text += &format!(
                "[keys.{key}]\nai_type = \"OTHER\"\nendpoint = \"https://llm.example.com/v1\"\n\
                 source = \"bao\"\npath = \"{key}\"\n"
            );
        }
        text
    }

    /// Returns the environment variable to which the configuration refers.
    pub fn environment() -> (String, String) {
        ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned())
    }

    /// Writes a new value of a key to the source, and returns it.
    pub async fn rotate(&mut self, key: &str) -> String {
        let value = format!("sk-{key}-{}", self.stored.len());
        self.store
            .put_kv2("secret", key, json!({ "key": value }))
            .await;
        self.stored.push(Stored::new(key, &value));
        self.newest.insert(key.to_owned(), value.clone());
        value
    }

    /// Writes a new value of every key to the source.
    pub async fn rotate_all(&mut self) {
        for key in self.keys.clone() {
            self.rotate(&key).await;
        }
    }

    /// Returns the process that has the lease on each key.
    pub async fn holders(&self) -> BTreeMap<String, u32> {
        let sql = "SELECT l.key, r.name FROM rotator_leases l
                   JOIN rotator_replicas r ON r.id = l.holder";
        let admin = self.postgres.admin(&self.database.name).await;
        let rows = admin.query(sql, &[]).await.unwrap_or_default();
        let held = rows.iter().filter_map(|row| {
            let name: String = row.get(1);
            let process = name.rsplit('/').next()?.parse().ok()?;
            Some((row.get(0), process))
        });
        held.collect()
    }

    /// Returns the number of keys that are marked for repair, at once or later.
    pub async fn marks(&self) -> i64 {
        let sql = "SELECT count(*) FROM rotator_leases
                   WHERE repair_at IS NOT NULL OR late_at IS NOT NULL";
        let admin = self.postgres.admin(&self.database.name).await;
        admin.query_one(sql, &[]).await.expect("a count").get(0)
    }

    /// Waits until all marked keys are repaired and no late write can arrive any more.
    pub async fn repaired(&self) {
        let deadline = Instant::now() + LATE;
        while self.marks().await > 0 {
            assert!(Instant::now() < deadline, "what is marked is repaired");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until every key is leased, evenly by these processes.
    pub async fn even(&self, processes: &[u32]) {
        eventually("an even share", async || {
            let holders = self.holders().await;
            let held = |process: &u32| holders.values().filter(|other| *other == process).count();
            let shares: Vec<usize> = processes.iter().map(held).collect();
            let least = self.keys.len() / processes.len();
            let all: usize = shares.iter().sum();
            (all == self.keys.len() && shares.iter().all(|share| *share >= least)).then_some(())
        })
        .await;
    }

    /// Waits until processes other than this one have leased all keys.
    pub async fn taken_over(&self, process: u32) {
        eventually("its keys are taken over", async || {
            let holders = self.holders().await;
            let others = holders.values().all(|other| *other != process);
            (holders.len() == self.keys.len() && others).then_some(())
        })
        .await;
    }

    /// Returns whether Flashback has this value for this key.
    pub fn has(&self, key: &str, value: &str) -> bool {
        let digest = sha256_hex(value);
        let all = self.sandbox.configurations();
        let mut named = all.iter().filter(|one| one.name == key);
        let has = named.next().is_some_and(|one| one.secret_sha256 == digest);
        assert!(named.next().is_none(), "one configuration for {key}");
        has
    }

    /// Returns the keys whose newest value Flashback does not have.
    pub fn behind(&self) -> Vec<&str> {
        let behind = |(key, value): &(&String, &String)| !self.has(key, value);
        let behind = self.newest.iter().filter(behind);
        behind.map(|(key, _)| key.as_str()).collect()
    }

    /// Waits until Flashback has the newest value of every key.
    pub async fn settles(&self, what: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let behind = self.behind();
            if behind.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {limit:?}: {behind:?}\nheld: {:?}\n{}",
                self.holders().await,
                self.told(&behind)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Describes the last writes of some keys, for a failure message.
    fn told(&self, keys: &[&str]) -> String {
        let writes = self.writes();
        let of = writes.iter().filter(|write| keys.contains(&&*write.name));
        let lines: Vec<String> = of.map(|write| format!("{write:?}")).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub fn writes(&self) -> Vec<Write> {
        writes::writes(&self.sandbox)
    }

    /// Checks the invariants over all writes. Returns how often a process broke one during its blackout,
    /// which is allowed.
    pub fn holds(&self) -> usize {
        let writes = self.writes();
        writes::one_at_a_time(&writes, &self.blackouts)
            + writes::nothing_outdated(&writes, &self.stored, &self.blackouts)
    }

    /// Records a blackout of a process that ends now.
    pub fn dark(&mut self, writer: u32, from: DateTime<Utc>) {
        let to = Utc::now();
        self.blackouts.push(Blackout { writer, from, to });
    }
}
