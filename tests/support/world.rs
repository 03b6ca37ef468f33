//! What replicas share: PostgreSQL, OpenBao and a sandbox of one's own, keys that are rotated, and what
//! must hold of them whatever happens to whom.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use serde_json::json;
use tokio::net::TcpListener;

use super::openbao::{OpenBao, ROOT};
use super::postgres::{Database, Postgres};
use super::rotator::QUICK;
use super::writes::{self, Blackout, Stored, Write};
use super::{eventually, free_port};

/// The lease of the replicas.
pub const LEASE: Duration = Duration::from_secs(3);

/// How long a key may wait: until the lease of whoever had it is over and it was looked at twice,
/// each second once, and what a machine under load may need beyond that.
pub const SOON: Duration = Duration::from_secs(3 + 2 + 35);

/// When a write that may arrive late is made good, on such a machine.
pub const LATE: Duration = Duration::from_secs(40 + 35);

/// Where replicas find the servers, as `HOST:PORT`.
pub struct Addresses {
    pub flashback: String,
    pub state: String,
    pub store: String,
}

/// The servers, and what was done to the keys.
pub struct World {
    pub sandbox: Sandbox,
    pub postgres: Postgres,
    pub database: Database,
    pub store: OpenBao,
    pub store_port: u16,
    /// The keys there are.
    pub keys: Vec<String>,
    /// The value of each in the store.
    pub newest: BTreeMap<String, String>,
    /// All the values they had.
    pub stored: Vec<Stored>,
    /// Who was in the dark, and when.
    pub blackouts: Vec<Blackout>,
}

impl World {
    /// With servers on this address, which listen on 127.0.0.1 as well, and so many keys.
    pub async fn set(address: IpAddr, keys: usize) -> Self {
        let listener = TcpListener::bind((address, 0)).await;
        let sandbox = Sandbox::start(listener.expect("a free port"), Options::default());
        let sandbox = sandbox.expect("a sandbox");
        // So that a write takes a time in which another could overlap it.
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

    /// The configuration of a replica with these keys that reaches the servers there.
    pub fn configuration(&self, at: &Addresses, keys: &[String]) -> String {
        let Addresses {
            flashback,
            state,
            store,
        } = at;
        let mut text = format!(
            r#"
[flashback]
base_url = "http://{flashback}"
workspace_id = "w"
[flashback.auth]
token = {{ file = "{{dir}}/token" }}
[state]
url = "postgres://rotator@{state}/{database}?sslmode=disable"
lease = "{lease}s"
[http]
listen = "127.0.0.1:0"
[sources.bao]
type = "vault"
address = "http://{store}"
[sources.bao.auth]
method = "token"
token = {{ env = "TEST_BAO_TOKEN" }}
{QUICK}"#,
            database = self.database.name,
            lease = LEASE.as_secs(),
        );
        for key in keys {
            text += &format!(
                "[keys.{key}]\nai_type = \"OTHER\"\nendpoint = \"https://llm.example.com/v1\"\n\
                 source = \"bao\"\npath = \"{key}\"\n"
            );
        }
        text
    }

    /// What the configuration refers to.
    pub fn environment() -> (String, String) {
        ("TEST_BAO_TOKEN".to_owned(), ROOT.to_owned())
    }

    /// Gives a key another value in the store.
    pub async fn rotate(&mut self, key: &str) -> String {
        let value = format!("sk-{key}-{}", self.stored.len());
        self.store
            .put_kv2("secret", key, json!({ "key": value }))
            .await;
        self.stored.push(Stored::new(key, &value));
        self.newest.insert(key.to_owned(), value.clone());
        value
    }

    /// Gives each key another value.
    pub async fn rotate_all(&mut self) {
        for key in self.keys.clone() {
            self.rotate(&key).await;
        }
    }

    /// Who holds which key: the processes' numbers.
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

    /// How many keys are marked for repair, or will be.
    pub async fn marks(&self) -> i64 {
        let sql = "SELECT count(*) FROM rotator_leases
                   WHERE repair_at IS NOT NULL OR late_at IS NOT NULL";
        let admin = self.postgres.admin(&self.database.name).await;
        admin.query_one(sql, &[]).await.expect("a count").get(0)
    }

    /// Waits until what is marked is repaired, and what may arrive late has had its time.
    pub async fn repaired(&self) {
        let deadline = Instant::now() + LATE;
        while self.marks().await > 0 {
            assert!(Instant::now() < deadline, "what is marked is repaired");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until every key is held, by these processes evenly.
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

    /// Waits until others than this process hold all the keys.
    pub async fn taken_over(&self, process: u32) {
        eventually("its keys are taken over", async || {
            let holders = self.holders().await;
            let others = holders.values().all(|other| *other != process);
            (holders.len() == self.keys.len() && others).then_some(())
        })
        .await;
    }

    /// Whether Flashback has this value under this key.
    pub fn has(&self, key: &str, value: &str) -> bool {
        let digest = sha256_hex(value);
        let all = self.sandbox.configurations();
        let mut named = all.iter().filter(|one| one.name == key);
        let has = named.next().is_some_and(|one| one.secret_sha256 == digest);
        assert!(named.next().is_none(), "one configuration for {key}");
        has
    }

    /// The keys whose newest value Flashback does not have.
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

    /// The last writes of some keys, for people.
    fn told(&self, keys: &[&str]) -> String {
        let writes = self.writes();
        let of = writes.iter().filter(|write| keys.contains(&&*write.name));
        let lines: Vec<String> = of.map(|write| format!("{write:?}")).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub fn writes(&self) -> Vec<Write> {
        writes::writes(&self.sandbox)
    }

    /// What must hold of all the writes there were. Gives how often somebody in the dark did what
    /// nobody may otherwise.
    pub fn holds(&self) -> usize {
        let writes = self.writes();
        writes::one_at_a_time(&writes, &self.blackouts)
            + writes::nothing_outdated(&writes, &self.stored, &self.blackouts)
    }

    /// Notes that a process was in the dark until now.
    pub fn dark(&mut self, writer: u32, from: DateTime<Utc>) {
        let to = Utc::now();
        self.blackouts.push(Blackout { writer, from, to });
    }
}
