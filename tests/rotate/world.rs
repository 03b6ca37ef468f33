//! A provider, the sources and a Flashback, and a daemon that rotates keys between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flashback_rotator::flashback::sandbox::{Options, Sandbox, sha256_hex};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::configuration::{token_in, vault};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::providers::openai::OpenAi;
use crate::support::providers::{ADMIN, Fake};
use crate::support::rotator::{Rotator, sandbox};
use crate::support::{eventually, place_file};

/// Where a key's secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File,
    /// OpenBao, KV 2, beside another field.
    Vault,
}

/// Everything that a rotation touches.
pub struct World {
    pub provider: Arc<Fake>,
    pub flashback: Arc<Sandbox>,
    pub rotator: Rotator,
    bao: &'static OpenBao,
    /// The folder of this world in OpenBao.
    folder: String,
    keys: Vec<(String, Place)>,
}

impl World {
    /// Makes a world with these keys, each live at the provider and in its source. `schedule` are other tables of the
    /// configuration, and `rotate` the lines of each `rotate` table beside `provider`.
    pub async fn new(folder: &str, keys: &[(&str, Place)], rotate: &str) -> Self {
        let bao = OpenBao::shared().await;
        let provider = Arc::new(Fake::start(OpenAi::default()).await);
        let flashback = Arc::new(sandbox(Options::default()).await);
        let keys: Vec<_> = keys
            .iter()
            .map(|(name, place)| ((*name).to_owned(), *place))
            .collect();
        let mut world = Self {
            rotator: Rotator::new(&flashback.url(), ""),
            provider,
            flashback,
            bao,
            folder: folder.to_owned(),
            keys,
        };
        place_file(world.rotator.path().join("vault-token"), ROOT);
        place_file(world.rotator.path().join("admin"), ADMIN);
        for (number, (name, place)) in world.keys.clone().into_iter().enumerate() {
            // What the provider shows of a value is its end, which tells these apart.
            let value = format!(
                "sk-svcacct-canary-{:016x}-{number:04}",
                rand::random::<u64>()
            );
            world.provider.make(&name, &value);
            world.put(&name, place, &value).await;
        }
        world.configure(rotate);
        world
    }

    /// Writes the configuration in which each key is rotated by these settings.
    pub fn configure(&mut self, rotate: &str) {
        let mut text = format!(
            "[schedule]\ncheck = \"1s\"\n[retry]\ninitial = \"50ms\"\nmax = \"200ms\"\n{}\
             [providers.openai]\nadmin_key = {{ file = \"{{dir}}/admin\" }}\n{}",
            vault("vault", &self.bao.address, "", &token_in("vault-token")),
            self.provider.settings(),
        );
        for (name, place) in &self.keys {
            let (source, path, fields) = match place {
                Place::File => ("files", name.clone(), ""),
                Place::Vault => (
                    "vault",
                    format!("{}/{name}", self.folder),
                    "fields = { secret = \"api_key\" }\n",
                ),
            };
            text += &format!(
                "[keys.{name}]\nai_type = \"OPENAI\"\nsource = \"{source}\"\npath = \"{path}\"\n{fields}\
                 [keys.{name}.rotate]\nprovider = \"openai\"\n{rotate}\n"
            );
        }
        self.rotator.configure(&self.flashback.url(), &text);
    }

    /// Writes a value into a source, as a person does.
    pub async fn put(&self, name: &str, place: Place, value: &str) {
        match place {
            Place::File => self.rotator.put(name, value),
            Place::Vault => {
                let data = json!({ "api_key": value, "owner": "team-a" });
                let path = format!("{}/{name}", self.folder);
                self.bao.put_kv2("secret", &path, data).await;
            }
        }
    }

    /// Returns the value that a source has.
    pub async fn stored(&self, name: &str) -> String {
        let place = self
            .keys
            .iter()
            .find(|(key, _)| key == name)
            .expect("a key")
            .1;
        match place {
            Place::File => {
                let path = self.rotator.path().join("secrets").join(name);
                std::fs::read_to_string(path).expect("a secret")
            }
            Place::Vault => {
                let path = format!("secret/data/{}/{name}", self.folder);
                let answer = self.bao.ok("GET", &path, Value::Null).await;
                let data = &answer["data"]["data"];
                assert_eq!(data["owner"], "team-a", "another field is as it was");
                data["api_key"].as_str().expect("a value").to_owned()
            }
        }
    }

    /// Returns the digests of the values that Flashback has, by the names of the keys.
    pub fn live(&self) -> BTreeMap<String, String> {
        digests(&self.flashback)
    }

    /// Returns the row of a key in `status`.
    pub async fn row(&self, name: &str) -> Value {
        let status = self.rotator.json(&["status"]).await;
        let rows = status["keys"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["key"] == name)
            .unwrap_or_default()
    }

    /// Waits until nothing is under way, and asserts that the provider has one key for each of ours, that each source
    /// has it, and Flashback too.
    pub async fn settles(&self) {
        for (name, _) in &self.keys {
            eventually(&format!("{name} is at rest"), || async {
                let row = self.row(name).await;
                let is_idle = row["rotation"]["stage"] == "idle" && row["state"] == "in_sync";
                (is_idle && row["verified_by"].is_string()).then_some(())
            })
            .await;
        }
        let keys = self.provider.keys();
        let live = self.live();
        let mut wanted = Vec::new();
        for (name, _) in &self.keys {
            let value = self.stored(name).await;
            assert!(self.provider.is_live(&value), "{name} has a live key");
            assert_eq!(live[name], sha256_hex(&value), "{name} is delivered");
            wanted.push(value);
        }
        let orphans: Vec<_> = keys
            .iter()
            .filter(|key| !wanted.contains(&key.value))
            .map(|key| (&key.id, &key.name))
            .collect();
        assert!(
            orphans.is_empty(),
            "no key is left at the provider: {orphans:?}"
        );
        assert_eq!(keys.len(), self.keys.len());
    }

    /// Watches that what Flashback has is live at the provider at every moment, until the watch is ended.
    pub fn watch(&self) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let (provider, flashback) = (Arc::clone(&self.provider), Arc::clone(&self.flashback));
        let is_over = Arc::clone(&over);
        let watches = tokio::spawn(async move {
            let mut looks = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let before = digests(&flashback);
                let alive: Vec<_> = provider
                    .keys()
                    .into_iter()
                    .filter(|key| key.active)
                    .map(|key| sha256_hex(&key.value))
                    .collect();
                let after = digests(&flashback);
                for (name, digest) in &before {
                    // One that was replaced meanwhile may be dead already.
                    let is_same = after.get(name) == Some(digest);
                    assert!(
                        !is_same || alive.contains(digest),
                        "what Flashback has of {name} is dead"
                    );
                }
                looks += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            looks
        });
        Watch { over, watches }
    }
}

/// A watch that runs.
pub struct Watch {
    over: Arc<AtomicBool>,
    watches: JoinHandle<u64>,
}

impl Watch {
    /// Ends it, and fails if it has seen something dead.
    pub async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let looks = self.watches.await.expect("nothing dead was seen");
        assert!(looks > 0, "it has looked");
    }
}

fn digests(flashback: &Sandbox) -> BTreeMap<String, String> {
    let all = flashback.configurations().into_iter();
    all.map(|one| (one.name, one.secret_sha256)).collect()
}
