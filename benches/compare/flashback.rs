//! A separate Flashback for each contender, and the times at which values arrived there.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flashback_rotator::flashback::sandbox::{Entry, Operation, Options, Sandbox, sha256_hex};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::common::store::{name, secret};
use crate::common::support::rotator::sandbox;

/// The interval at which arrivals are polled. It does not affect the measured times, which come from the
/// sandbox's journal.
const POLL: Duration = Duration::from_millis(50);

pub struct Flashback {
    pub sandbox: Sandbox,
    /// The id of each key's configuration.
    pub ids: Vec<String>,
}

/// The time at which each secret, given by its SHA-256, was first accepted.
pub type Arrivals = HashMap<String, DateTime<Utc>>;

impl Flashback {
    /// Returns a Flashback without configurations.
    pub async fn empty() -> Self {
        Self {
            sandbox: sandbox(Options::default()).await,
            ids: Vec::new(),
        }
    }

    /// Returns a Flashback with a configuration for each of `keys` keys, as if they had been created by hand.
    pub async fn with(keys: usize) -> Self {
        let mut flashback = Self::empty().await;
        let http = reqwest::Client::builder().tls_certs_only(Vec::new());
        let http = http.build().expect("a client");
        for key in 0..keys {
            let body = json!({
                "workspaceId": "w", "name": name(key), "aiType": "OPENAI",
                "endpoint": "https://api.openai.com/v1", "secret": secret(key, "by-hand"),
            });
            let request = http.post(format!("{}/ai/llm", flashback.sandbox.url()));
            let answer = request.bearer_auth("token").json(&body).send().await;
            let made: Value = answer.expect("an answer").json().await.expect("JSON");
            let id = made["aiLlmId"].as_str().expect("an id").to_owned();
            flashback.ids.push(id);
        }
        flashback
    }

    /// Returns every secret that was accepted, with the time at which its write was answered.
    pub fn arrivals(&self) -> Arrivals {
        let mut arrivals = Arrivals::new();
        for entry in self.sandbox.journal() {
            if let (true, Some(digest), Some(at)) =
                (taken(&entry), entry.secret_sha256, entry.answered_at)
            {
                arrivals.entry(digest).or_insert(at);
            }
        }
        arrivals
    }

    /// Counts the requests that would change it, whether they were carried out or not.
    pub fn writes(&self) -> usize {
        self.sandbox
            .journal()
            .iter()
            .filter(|entry| is_write(entry))
            .count()
    }

    /// Counts the configurations that were validated since they were last written.
    pub fn validated(&self) -> usize {
        let shown = self.sandbox.configurations();
        shown.iter().filter(|shown| shown.validated).count()
    }

    /// Returns the keys of which it does not have the newest secret.
    pub fn stale<'a>(&self, newest: impl Iterator<Item = (usize, &'a String)>) -> Vec<usize> {
        let shown = self.sandbox.configurations().into_iter();
        let held: HashMap<String, String> = shown
            .map(|shown| (shown.name, shown.secret_sha256))
            .collect();
        let stale =
            newest.filter(|(key, secret)| held.get(&name(*key)) != Some(&sha256_hex(secret)));
        stale.map(|(key, _)| key).collect()
    }

    /// Waits until each of the first `keys` keys has the secret with this tag, but no longer than `patience`.
    /// Returns the number of keys that do not have it.
    pub async fn filled(&self, keys: usize, tag: &str, patience: Duration) -> usize {
        let newest: Vec<String> = (0..keys).map(|key| secret(key, tag)).collect();
        let deadline = Instant::now() + patience;
        loop {
            let stale = self.stale(newest.iter().enumerate()).len();
            if stale == 0 || Instant::now() >= deadline {
                return stale;
            }
            sleep(POLL.max(POLL * (keys as u32 / 500))).await;
        }
    }
}

fn is_write(entry: &Entry) -> bool {
    matches!(entry.operation, Operation::Create | Operation::Update)
}

fn taken(entry: &Entry) -> bool {
    is_write(entry) && entry.status == Some(200)
}
