//! Replicas: processes of the real binary on one database, with one configuration, one directory of
//! secrets and one Flashback.

use std::collections::BTreeMap;

use flashback_rotator::config::PostgresConfig;
use flashback_rotator::flashback::sandbox::{Entry, Operation, Options, Sandbox, sha256_hex};
use flashback_rotator::state::membership::{Membership as _, Replica, Role};
use flashback_rotator::state::postgres::Postgres;
use tempfile::TempDir;

use super::postgres::Database;
use super::rotator::{Rotator, arrives, file_key, sandbox};
use super::{eventually, place_file};

/// A fleet of replicas.
pub struct Replicas {
    pub sandbox: Sandbox,
    /// Those that were added; one that was stopped or killed stays in its place.
    pub all: Vec<Rotator>,
    keys: Vec<String>,
    url: String,
    state: PostgresConfig,
    rest: String,
    secrets: TempDir,
}

impl Replicas {
    /// None yet, with so many keys: `k00`, `k01` … `rest` goes before the keys' tables, and `lease`
    /// into `[state]`.
    pub async fn new(database: &Database, lease: &str, keys: usize, rest: &str) -> Self {
        let replicas = Self {
            sandbox: sandbox(Options::default()).await,
            all: Vec::new(),
            keys: (0..keys).map(|number| format!("k{number:02}")).collect(),
            url: format!("url = \"{}\"\nlease = \"{lease}\"", database.url()),
            state: database.config(),
            rest: rest.to_owned(),
            secrets: tempfile::tempdir().expect("a directory"),
        };
        for key in &replicas.keys {
            replicas.put(key, &format!("sk-{key}-0"));
        }
        replicas
    }

    /// The keys.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The configuration of a replica, with these keys.
    pub fn config(&self, keys: &[String]) -> String {
        let keys: String = keys.iter().map(|key| file_key(key)).collect();
        format!(
            r#"
[flashback]
base_url = "{}"
workspace_id = "w"
[flashback.auth]
token = {{ file = "{{dir}}/token" }}
[state]
{}
[http]
listen = "127.0.0.1:0"
[sources.files]
type = "file"
dir = "{}"
{}{keys}"#,
            self.sandbox.url(),
            self.url,
            self.secrets.path().display(),
            self.rest,
        )
    }

    /// A directory with the configuration, where nothing runs.
    pub fn place(&self) -> Rotator {
        let rotator = Rotator::new(&self.sandbox.url(), "");
        rotator.write_config(&self.config(&self.keys));
        rotator
    }

    /// Starts another one.
    pub fn add(&mut self) -> &mut Rotator {
        let mut rotator = self.place();
        rotator.start();
        self.all.push(rotator);
        self.all.last_mut().expect("just added")
    }

    /// Starts so many, and waits until they share evenly.
    pub async fn start(&mut self, count: usize) {
        for _ in 0..count {
            self.add();
        }
        self.evenly(count).await;
        for rotator in &self.all {
            rotator.ready().await;
        }
    }

    /// Puts a secret where every replica reads it, by rename.
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

    /// The daemons that have joined and were not struck out.
    pub async fn joined(&self) -> Option<Vec<Replica>> {
        let state = Postgres::open_beside(&self.state).await.ok().flatten()?;
        let mut all = state.replicas().await.ok()?;
        all.retain(|replica| replica.member.role == Role::Daemon);
        Some(all)
    }

    /// How many keys each of the joined daemons holds.
    pub async fn counts(&self) -> Option<Vec<u32>> {
        let joined = self.joined().await?;
        Some(joined.iter().map(|replica| replica.keys).collect())
    }

    /// Waits until so many share all keys evenly.
    pub async fn evenly(&self, replicas: usize) {
        eventually(&format!("{replicas} replicas share evenly"), || async {
            let counts = self.counts().await?;
            let (most, least) = (counts.iter().max()?, counts.iter().min()?);
            let all = counts.iter().sum::<u32>() as usize == self.keys.len();
            (counts.len() == replicas && all && most - least <= 1).then_some(())
        })
        .await;
    }

    /// Fails where anything is not as it should be once all is quiet: one configuration for each key
    /// with its value of this round, and no two writes to one configuration at once.
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

/// Fails where two processes were at work on one configuration at once.
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

/// The processes that wrote to Flashback, by their ids, with how often each did.
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

/// The sum of a metric over its series, as one process tells it; zero where there is none.
pub async fn metric(rotator: &Rotator, name: &str) -> f64 {
    let url = format!("{}/metrics", rotator.http().await);
    let text = reqwest::get(url).await.expect("metrics").text().await;
    let text = text.expect("text");
    let series = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}
