//! Connections to every outside service: backends that hang, certificates that are renewed, names that
//! move, proxies, and answers that are hostile.

mod alone;
mod hang;
mod hostile;
mod moves;
mod proxies;
mod quiet;
mod renewed;

use std::time::{Duration, Instant};

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use serde_json::json;

use crate::support::aws::{Aws, Emulator, REGION};
use crate::support::configuration::{aws, key, token_in, vault};
use crate::support::front::Front;
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::pki::{Authority, Issued};
use crate::support::rotator::{QUICK, Rotator, arrives, sandbox};

/// How soon a rotation is delivered once the service is back.
const SOON: Duration = Duration::from_secs(15);

/// The service that a test has its hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Vault,
    Flashback,
    Aws,
}

/// One key of one source, and a front before one of the services.
struct Scene {
    service: Service,
    name: String,
    sandbox: Sandbox,
    front: Front,
    rotator: Rotator,
    is_created: bool,
}

/// A certificate for every address of a front.
fn certificate(authority: &Authority) -> Issued {
    authority.issue("front", &["127.0.0.1", "service.test"])
}

impl Scene {
    /// A front with a certificate of `authority`, which the rotator trusts. `name` is that of the key, of
    /// its path and of its configuration.
    async fn set(service: Service, name: &str, authority: &Authority) -> Self {
        let sandbox = sandbox(Options::default()).await;
        let upstream = Self::upstream(service, &sandbox).await;
        let front = Front::start(&upstream, certificate(authority).server()).await;
        let url = front.url();
        Self::reached_at(&url, service, name, authority, sandbox, front)
    }

    /// The service itself.
    async fn upstream(service: Service, sandbox: &Sandbox) -> String {
        match service {
            Service::Vault => OpenBao::shared().await.address.clone(),
            Service::Flashback => sandbox.url(),
            Service::Aws => Aws::shared(Emulator::Moto).await.url().to_owned(),
        }
    }

    /// A rotator that finds the service at `url`.
    fn reached_at(
        url: &str,
        service: Service,
        name: &str,
        authority: &Authority,
        sandbox: Sandbox,
        front: Front,
    ) -> Self {
        let (flashback, source) = match service {
            Service::Vault => (
                sandbox.url(),
                vault("store", url, TRUSTED, &token_in("root")),
            ),
            Service::Aws => (sandbox.url(), aws("store", url)),
            Service::Flashback => (
                url.to_owned(),
                "[sources.store]\ntype = \"file\"\ndir = \"{dir}/secrets\"\n".to_owned(),
            ),
        };
        let key = key(name, "store", name);
        let mut rotator = Rotator::new(&flashback, &format!("{QUICK}{source}{key}"));
        std::fs::write(rotator.path().join("root"), ROOT).expect("written");
        rotator.environment.extend(aws_credentials());
        if service != Service::Vault {
            let bundle = rotator.path().join("ca.pem").display().to_string();
            let bundle = ("SSL_CERT_FILE".to_owned(), bundle);
            rotator.environment.push(bundle);
        }
        let scene = Self {
            service,
            name: name.to_owned(),
            sandbox,
            front,
            rotator,
            is_created: false,
        };
        scene.trust(authority);
        scene
    }

    /// From now on the rotator's file of authorities has this one alone.
    fn trust(&self, authority: &Authority) {
        let next = self.rotator.path().join("ca.next");
        std::fs::write(&next, authority.pem()).expect("written");
        std::fs::rename(next, self.rotator.path().join("ca.pem")).expect("renamed");
    }

    /// Gives the key another value in its source, past the front.
    async fn rotate(&mut self, value: &str) {
        let name = &self.name;
        match self.service {
            Service::Vault => {
                let bao = OpenBao::shared().await;
                bao.put_kv2("secret", name, json!({ "key": value })).await;
            }
            Service::Flashback => self.rotator.put(name, value),
            Service::Aws => {
                let aws = Aws::shared(Emulator::Moto).await;
                match self.is_created {
                    true => aws.put(name, value).await,
                    false => aws.create(name, value).await,
                };
            }
        }
        self.is_created = true;
    }

    /// Starts the daemon and waits for the first value.
    async fn start(&mut self) {
        self.rotate("sk-first").await;
        self.rotator.start();
        arrives(&self.sandbox, &self.name, "sk-first").await;
    }

    /// Rotates, and requires that it is delivered soon.
    async fn delivers(&mut self, value: &str) {
        self.rotate(value).await;
        self.arrives_soon(value).await;
    }

    /// Requires that the value is delivered soon.
    async fn arrives_soon(&self, value: &str) {
        let began = Instant::now();
        let digest = sha256_hex(value);
        while !has(&self.sandbox, &self.name, &digest) {
            assert!(
                began.elapsed() < SOON,
                "{:?}: {value} is not delivered within {SOON:?}:\n{}",
                self.service,
                self.rotator.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the rotator says that the service is away.
    async fn is_missed(&self) {
        let away = |line: &serde_json::Value| line["source"] != "files";
        self.rotator.event("source_unavailable", away).await;
    }
}

fn has(sandbox: &Sandbox, name: &str, digest: &str) -> bool {
    let all = sandbox.configurations();
    all.iter()
        .any(|one| one.name == name && one.secret_sha256 == digest)
}

/// The authorities that a Vault is trusted by.
const TRUSTED: &str = "ca_file = \"{dir}/ca.pem\"";

/// Static credentials that emulators take.
fn aws_credentials() -> [(String, String); 2] {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name.to_owned(), "test".to_owned()))
}
