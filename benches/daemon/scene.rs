//! The setup: an OpenBao with keys, a Flashback, and the daemon between them.

use std::collections::BTreeMap;
use std::time::Duration;

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use tokio::time::sleep;

use crate::common::store::{Role, Store, name};
use crate::common::support::configuration::{Configuration, app_role, key, vault};
use crate::common::support::rotator::{Rotator, sandbox};
use crate::common::support::{free_port, place_file};

/// The interval at which conditions are polled, and so the error of times measured that way.
const POLL: Duration = Duration::from_millis(1);

pub struct Scene {
    pub keys: usize,
    pub sandbox: Sandbox,
    pub rotator: Rotator,
    pub store: Store,
    role: Role,
    port: u16,
    http: reqwest::Client,
}

impl Scene {
    /// Starts the servers and fills OpenBao, without starting the daemon.
    pub async fn set(keys: usize) -> Self {
        let store = Store::start().await;
        let role = store.role("rotator").await;
        let sandbox = sandbox(Options::default()).await;
        let rotator = Rotator::new(&sandbox.url(), "");
        place_file(rotator.path().join("secret-id"), &role.secret_id);
        let http = reqwest::Client::builder()
            .tls_certs_only(Vec::new())
            .build()
            .expect("a client");
        store.fill(keys, "first").await;
        Self {
            keys,
            sandbox,
            rotator,
            store,
            role,
            port: free_port(),
            http,
        }
    }

    /// Writes the daemon's configuration.
    pub fn configure(&self, check: &str, max_rps: u32) {
        let source = vault(
            "vault",
            &self.store.address,
            &format!("max_rps = {max_rps}"),
            &app_role(&self.role.mount, &self.role.role_id),
        );
        let configuration = Configuration {
            listen: format!("127.0.0.1:{}", self.port),
            ..Configuration::new(&self.sandbox.url())
        };
        let mut configuration =
            configuration.and(format!("[schedule]\ncheck = \"{check}\"\n{source}"));
        for id in (0..self.keys).map(name) {
            configuration = configuration.and(key(&id, "vault", &format!("llm/{id}")));
        }
        self.rotator.write_config(&configuration.text());
    }

    /// Waits until Flashback has this secret.
    pub async fn arrives(&self, key: usize, secret: &str) {
        let (name, digest) = (name(key), sha256_hex(secret));
        let is_it = |shown: &flashback_rotator::flashback::sandbox::Shown| {
            shown.name == name && shown.secret_sha256 == digest
        };
        while !self.sandbox.configurations().iter().any(is_it) {
            sleep(POLL).await;
        }
    }

    /// Waits until the daemon answers over HTTP.
    pub async fn answers(&self) {
        while self.page("livez").await.is_none() {
            sleep(POLL).await;
        }
    }

    /// Waits until every key has been checked.
    pub async fn ready(&self) {
        while self.page("readyz").await.is_none() {
            sleep(POLL).await;
        }
    }

    /// Stops the daemon.
    pub async fn stop(&mut self) {
        let status = self.rotator.stop().await;
        assert!(status.success(), "{status}: {}", self.rotator.log());
    }

    /// Returns the daemon's counts so far.
    pub async fn counts(&self) -> Counts {
        Counts::read(&self.page("metrics").await.expect("the metrics"))
    }

    async fn page(&self, page: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/{page}", self.port);
        let answer = self.http.get(url).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.text().await.ok()
    }
}

/// Counts from `/metrics`.
pub struct Counts {
    pub looks: f64,
    /// The number of calls, by service and operation.
    calls: BTreeMap<(String, String), f64>,
}

impl Counts {
    fn read(text: &str) -> Self {
        let mut counts = Self {
            looks: 0.0,
            calls: BTreeMap::new(),
        };
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let label = |name: &str| {
                let (_, rest) = series.split_once(&format!("{name}=\""))?;
                Some(rest.split_once('"')?.0.to_owned())
            };
            let value = || value.parse::<f64>().expect("a count");
            if series.starts_with("flashback_rotator_checks_total{") {
                counts.looks += value();
            } else if series.starts_with("flashback_rotator_api_requests_total{") {
                let labels = label("service").zip(label("operation"));
                *counts.calls.entry(labels.expect("its labels")).or_default() += value();
            }
        }
        counts
    }

    /// Returns the number of calls of one operation.
    pub fn calls(&self, service: &str, operation: &str) -> f64 {
        let labels = (service.to_owned(), operation.to_owned());
        self.calls.get(&labels).copied().unwrap_or_default()
    }

    /// Returns the calls made since `before`, by operation, without operations that were not called.
    pub fn calls_since(&self, before: &Self) -> Vec<(String, f64)> {
        let all = self.calls.iter().map(|((service, operation), count)| {
            let new = count - before.calls(service, operation);
            (format!("{service} {operation}"), new)
        });
        all.filter(|(_, new)| *new > 0.0).collect()
    }
}
