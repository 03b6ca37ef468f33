//! Replicas: processes of the real binary that share a database, a configuration, a directory of secrets and
//! a Flashback.

use std::collections::BTreeMap;

use flashback_rotator::config::PostgresConfig;
use flashback_rotator::flashback::sandbox::{Entry, Operation, Options, Sandbox, sha256_hex};
use flashback_rotator::state::membership::{Membership as _, Replica, Role};
use flashback_rotator::state::postgres::Postgres;
use tempfile::TempDir;

use super::configuration::Configuration;
use super::postgres::Database;
use super::rotator::{Rotator, arrives, file_key, sandbox};
use super::{eventually, get, place_file};

/// A set of replicas.
pub struct Replicas {
    pub sandbox: Sandbox,
    /// The replicas that were added. One that was stopped or killed keeps its position.
    pub all: Vec<Rotator>,
    keys: Vec<String>,
    url: String,
    state: PostgresConfig,
    rest: String,
    /// Lines of `[http]`.
    pub http: String,
    secrets: TempDir,
}

impl Replicas {
    /// Returns a set without replicas, with `keys` keys named `k00`, `k01` and so on. `rest` goes before the
    /// keys' tables in the configuration, and `lease` into `[state]`.
    pub async fn new(database: &Database, lease: &str, keys: usize, rest: &str) -> Self {
        let replicas = Self {
            sandbox: sandbox(Options::default()).await,
            all: Vec::new(),
            keys: (0..keys).map(|number| format!("k{number:02}")).collect(),
            url: format!("url = \"{}\"\nlease = \"{lease}\"", database.url()),
            state: database.config(),
            rest: rest.to_owned(),
            http: String::new(),
            secrets: tempfile::tempdir().expect("a directory"),
        };
        for key in &replicas.keys {
            replicas.put(key, &format!("sk-{key}-0"));
        }
        replicas
    }

    /// Returns the ids of the keys.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns the configuration of a replica with these keys.
    pub fn config(&self, keys: &[String]) -> String {
        let keys: String = keys.iter().map(|key| file_key(key)).collect();
        let secrets = self.secrets.path().display();
        let mut configuration = Configuration::new(&self.sandbox.url());
        configuration.http.clone_from(&self.http);
        configuration
            .state(&self.url)
            .and(format!(
                "[sources.files]\ntype = \"file\"\ndir = \"{secrets}\"\nwatch = false\n"
            ))
            .and(&self.rest)
            .and(keys)
            .text()
    }

    /// Returns a directory with the configuration, without starting a process.
    pub fn place(&self) -> Rotator {
        let rotator = Rotator::new(&self.sandbox.url(), "");
        rotator.write_config(&self.config(&self.keys));
        rotator
    }

    /// Starts another replica.
    pub fn add(&mut self) -> &mut Rotator {
        let mut rotator = self.place();
        rotator.start();
        self.all.push(rotator);
        self.all.last_mut().expect("just added")
    }

    /// Starts `count` replicas and waits until they share the keys evenly.
    pub async fn start(&mut self, count: usize) {
        for _ in 0..count {
            self.add();
        }
        self.evenly(count).await;
        for rotator in &self.all {
            rotator.ready().await;
        }
    }

    /// Writes a secret to the directory that every replica reads, by rename.
    pub fn put(&self, key: &str, secret: &str) {
        let next = self.secrets.path().join(format!(".{key}.next"));
        place_file(&next, secret);
        std::fs::rename(next, self.secrets.path().join(key)).expect("renamed");
    }

    /// Rotates every key to its value of this round.
    pub fn rotate(&self, round: u32) {
        for key in &self.keys {
            self.put(key, &format!("sk-{key}-{round}"));
        }
    }

    /// Waits until Flashback has every key's value of this round.
    pub async fn arrived(&self, round: u32) {
        for key in &self.keys {
            arrives(&self.sandbox, key, &format!("sk-{key}-{round}")).await;
        }
    }

    /// Waits until each key was checked once more after its first push: that check would push what comes meanwhile.
    pub async fn at_rest(&self) {
        let expected = 2 * u32::try_from(self.keys.len()).expect("few");
        eventually("each key is at rest", async || {
            let mut checks = 0.0;
            for rotator in &self.all {
                checks += metric(rotator, "flashback_rotator_checks_total").await;
            }
            (checks >= f64::from(expected)).then_some(())
        })
        .await;
    }

    /// Returns the daemons that have joined and were not evicted.
    pub async fn joined(&self) -> Option<Vec<Replica>> {
        let state = Postgres::open_beside(&self.state).await.ok().flatten()?;
        let mut all = state.replicas().await.ok()?;
        all.retain(|replica| replica.member.role == Role::Daemon);
        Some(all)
    }

    /// Returns how many keys each of the joined daemons has leased.
    pub async fn counts(&self) -> Option<Vec<u32>> {
        let joined = self.joined().await?;
        Some(joined.iter().map(|replica| replica.keys).collect())
    }

    /// Waits until this number of replicas share all keys evenly.
    pub async fn evenly(&self, replicas: usize) {
        eventually(&format!("{replicas} replicas share evenly"), || async {
            let counts = self.counts().await?;
            let (most, least) = (counts.iter().max()?, counts.iter().min()?);
            let all = counts.iter().sum::<u32>() as usize == self.keys.len();
            (counts.len() == replicas && all && most - least <= 1).then_some(())
        })
        .await;
    }

    /// Checks the final condition: one configuration for each key with its value of this round, and no two
    /// overlapping writes to one configuration.
    pub fn sound(&self, round: u32) {
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in self.sandbox.configurations() {
            by_name.entry(one.name).or_default().push(one.secret_sha256);
        }
        for key in &self.keys {
            let wanted = vec![sha256_hex(&format!("sk-{key}-{round}"))];
            assert_eq!(by_name.get(key), Some(&wanted), "{key}");
        }
        one_at_a_time(&self.sandbox);
    }
}

/// Checks that no two processes wrote to one configuration at once.
pub fn one_at_a_time(sandbox: &Sandbox) {
    let mut writes: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in sandbox.journal() {
        if matches!(entry.operation, Operation::Create | Operation::Update)
            && let Some(name) = entry.name.clone()
        {
            writes.entry(name).or_default().push(entry);
        }
    }
    for (name, writes) in writes {
        for pair in writes.windows(2) {
            let over = pair[0].ended_at.is_some_and(|at| at <= pair[1].at);
            let who = [&pair[0], &pair[1]].map(|entry| entry.user_agent.clone());
            assert!(over || who[0] == who[1], "two at once at {name}: {pair:?}");
        }
    }
}

/// Returns the ids of the processes that wrote to Flashback, with the number of writes of each.
pub fn writers(sandbox: &Sandbox) -> BTreeMap<u32, usize> {
    let mut writers = BTreeMap::new();
    for entry in sandbox.journal() {
        if matches!(entry.operation, Operation::Create | Operation::Update) {
            let agent = entry.user_agent.expect("it says who it is");
            let name = agent.split("(replica ").nth(1).expect("a replica");
            let id = name.trim_end_matches(')').rsplit('/').next();
            let id = id.and_then(|id| id.parse().ok()).expect("a process id");
            *writers.entry(id).or_insert(0) += 1;
        }
    }
    writers
}

/// Returns the sum of a metric over its series, as exported by one process; zero if there is none.
pub async fn metric(rotator: &Rotator, name: &str) -> f64 {
    let url = format!("{}/metrics", rotator.http().await);
    let text = get(url).await.expect("metrics").text().await;
    let text = text.expect("text");
    let series = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}
