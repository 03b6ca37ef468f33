//! HashiCorp Vault and OpenBao, against a real OpenBao.

mod acknowledge;
mod deletion;
mod faults;
mod kv;
mod life;
mod list;
mod look;
mod methods;
mod older;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::credential::SecretRef;
use flashback_rotator::credential::{Plain, SharedCredential};
use flashback_rotator::model::{Observation, SourceId, Version};
use flashback_rotator::retry::Limits;
use flashback_rotator::secret::{Fingerprinter, Secret};
use flashback_rotator::source::vault::{
    KvVersion, VaultAuth, VaultConfig, VaultCredentials, VaultLook, VaultSource,
};
use flashback_rotator::source::{Reading, Source, SourceError};
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::upstream::{Outages, Terms, Upstream};
use parking_lot::Mutex;

use crate::support::openbao::{OpenBao, ROOT};

/// A source under test, and what its upstream saw.
struct Bench {
    source: VaultSource,
    metrics: Arc<Metrics>,
    outages: Arc<Seen>,
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Outages for Seen {
    fn unavailable(&self, _: &str, error: &str, _: Duration) {
        self.0.lock().push(error.to_owned());
    }
    fn recovered(&self, _: &str, _: Duration) {
        self.0.lock().push("recovered".to_owned());
    }
}

impl Bench {
    fn new(config: VaultConfig, credentials: VaultCredentials) -> Self {
        Self::with_timeout(config, credentials, Duration::from_secs(30))
    }

    fn with_timeout(config: VaultConfig, credentials: VaultCredentials, timeout: Duration) -> Self {
        let metrics = Arc::new(Metrics::new());
        let outages = Arc::new(Seen::default());
        let terms = Terms {
            permits: 16,
            max_rps: None,
            timeout,
            retry: Limits {
                initial: Duration::from_millis(100),
                max: Duration::from_millis(200),
                give_up_after: Duration::from_secs(60),
            },
        };
        let upstream = Upstream::new("vault", terms, Arc::clone(&metrics), outages.clone());
        let fingerprinter = Fingerprinter::new([7; 32]);
        let source = VaultSource::new(
            SourceId::new("vault"),
            config,
            credentials,
            fingerprinter,
            upstream,
        )
        .expect("a usable configuration");
        Self {
            source,
            metrics,
            outages,
        }
    }

    /// With the root token, on a mount.
    fn root(bao: &OpenBao, mount: &str) -> Self {
        Self::new(config(&bao.address, mount), token(ROOT))
    }

    async fn observe(&self, path: &str) -> Observation {
        self.source.observe(path).await.expect("a look")
    }

    async fn version(&self, path: &str) -> Version {
        match self.observe(path).await {
            Observation::Present { version, .. } => version,
            missing => panic!("{missing:?}"),
        }
    }

    /// Reads the field `key` of what the latest look found.
    async fn value(&self, path: &str) -> String {
        let version = self.version(path).await;
        match self.source.read(path, &version).await.expect("a read") {
            Reading::Present {
                document,
                version: read,
                ..
            } => {
                assert_eq!(read, version);
                document.field("key").expect("a key").expose().to_owned()
            }
            missing => panic!("{missing:?}"),
        }
    }

    /// How many calls of an operation the upstream counted, whatever their outcome.
    fn calls(&self, operation: &str) -> u64 {
        let label = format!("operation=\"{operation}\"");
        let text = self.metrics.render();
        text.lines()
            .filter(|line| {
                line.starts_with("flashback_rotator_api_requests_total{") && line.contains(&label)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

/// KV 2 at `mount`, without namespace or TLS. What `auth` says is not read: the credentials are.
fn config(address: &str, mount: &str) -> VaultConfig {
    VaultConfig {
        address: address.to_owned(),
        namespace: None,
        mount: mount.to_owned(),
        kv_version: KvVersion::V2,
        look: VaultLook::Auto,
        ca_file: None,
        auth: VaultAuth::Token {
            token: SecretRef::Env("UNUSED".to_owned()),
        },
    }
}

fn text(value: &str) -> SharedCredential {
    Arc::new(Plain(value.to_owned()))
}

fn token(value: &str) -> VaultCredentials {
    VaultCredentials::Token { token: text(value) }
}

fn app_role(mount: &str, (role_id, secret_id): &(String, String)) -> VaultCredentials {
    VaultCredentials::AppRole {
        mount: mount.to_owned(),
        role_id: text(role_id),
        secret_id: Some(text(secret_id)),
    }
}

/// A credential that the test changes, as a rotated file does.
#[derive(Default)]
struct Changing(Mutex<String>);

impl Changing {
    fn new(value: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(value.to_owned())))
    }

    fn set(&self, value: &str) {
        *self.0.lock() = value.to_owned();
    }
}

#[async_trait::async_trait]
impl flashback_rotator::credential::Credential for Changing {
    async fn fetch(&self) -> Result<Secret, flashback_rotator::credential::CredentialError> {
        Ok(Secret::new(self.0.lock().clone()))
    }
}

/// Looks until it works: a source that was refused is held back for a moment.
async fn eventually_value(bench: &Bench, path: &str) -> String {
    crate::support::eventually("the source works", || async {
        match bench.source.observe(path).await {
            Ok(_) => Some(()),
            Err(_) => None,
        }
    })
    .await;
    bench.value(path).await
}

/// The error's texts, which must not hold what the server said.
fn shown(error: &SourceError) -> String {
    format!("{error} {error:?} {error:#?}")
}
