//! Providers, the sources and a Flashback, and a daemon that rotates keys between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::flashback::sandbox::{Options, Sandbox};
use serde_json::Value;

use super::account::{Account, Kind, Stored};
pub use super::place::Place;
use super::place::Places;
use super::watch::{Watch, digests};
use crate::support::configuration::Configuration;
use crate::support::openbao::ROOT;
use crate::support::place_file;
use crate::support::postgres::Database;
use crate::support::providers::Fake;
use crate::support::rotator::{Rotator, sandbox};

/// A key that is rotated.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub place: Place,
    pub kind: Kind,
}

impl Key {
    /// Returns the id of its provider.
    pub fn provider(&self) -> String {
        match self.kind.is_shared() {
            true => self.kind.word().to_owned(),
            false => format!("{}-{}", self.kind.word(), self.name),
        }
    }
}

/// Everything that a rotation touches.
pub struct World {
    /// The OpenAI of this world.
    pub provider: Arc<Fake>,
    pub flashback: Arc<Sandbox>,
    pub rotator: Rotator,
    pub keys: Vec<Key>,
    /// Other lines of `[state]` than those of a file.
    state: Option<String>,
    places: Places,
    /// By the ids of the providers.
    accounts: BTreeMap<String, Arc<Account>>,
}

impl World {
    /// Makes a world with these keys of OpenAI, each live at the provider and in its source. `rotate` are the lines of
    /// each `rotate` table beside `provider`, and other tables after it.
    pub async fn new(folder: &str, keys: &[(&str, Place)], rotate: &str) -> Self {
        let key = |(name, place): &(&str, Place)| Key {
            name: (*name).to_owned(),
            place: *place,
            kind: Kind::OpenAi,
        };
        Self::of(folder, keys.iter().map(key).collect(), rotate).await
    }

    /// Makes a world with these keys of any providers.
    pub async fn of(folder: &str, keys: Vec<Key>, rotate: &str) -> Self {
        let openai = Account::open(Kind::OpenAi, "").await;
        let flashback = Arc::new(sandbox(Options::default()).await);
        let needed: Vec<_> = keys.iter().map(|key| key.place).collect();
        let mut world = Self {
            rotator: Rotator::new(&flashback.url(), ""),
            provider: Arc::clone(openai.fake()),
            flashback,
            keys,
            state: None,
            places: Places::new(folder, &needed).await,
            accounts: BTreeMap::from([("openai".to_owned(), Arc::new(openai))]),
        };
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let variable = (name.to_owned(), "test".to_owned());
            world.rotator.environment.push(variable);
        }
        // What is waited for in case a call comes late takes a minute otherwise.
        let short = ("FLASHBACK_ROTATOR_DOUBT_MS".to_owned(), "500".to_owned());
        world.rotator.environment.push(short);
        place_file(world.rotator.path().join("vault-token"), ROOT);
        for (number, key) in world.keys.clone().iter().enumerate() {
            let id = key.provider();
            if !world.accounts.contains_key(&id) {
                let account = Account::open(key.kind, &format!("{folder}-{}", key.name)).await;
                world.accounts.insert(id.clone(), Arc::new(account));
            }
            let value = world.accounts[&id].make(&key.name, number).await;
            world.put(key, &value).await;
        }
        for (id, account) in &world.accounts {
            if let Account::Fake { fake, .. } = &**account {
                place_file(world.admin(id), fake.admin_key());
            }
        }
        world.configure(rotate);
        world
    }

    /// Returns the file of a provider's credential.
    pub fn admin(&self, provider: &str) -> std::path::PathBuf {
        self.rotator.path().join(format!("admin-{provider}"))
    }

    /// Writes the configuration in which each key is rotated by these settings.
    pub fn configure(&mut self, rotate: &str) {
        let mut text = String::from(
            "[schedule]\ncheck = \"1s\"\n[retry]\ninitial = \"50ms\"\nmax = \"200ms\"\n",
        );
        text += &self.places.tables();
        for (id, account) in &self.accounts {
            let admin = self.admin(id).display().to_string();
            text += &format!("[providers.{id}]\n{}", account.settings(&admin));
        }
        for key in &self.keys {
            let place = self.places.of_key(&key.name, key.place, key.kind);
            text += &format!(
                "[keys.{name}]\n{}{place}[keys.{name}.rotate]\nprovider = \"{}\"\n{rotate}\n",
                key.kind.of_key(),
                key.provider(),
                name = key.name
            );
        }
        let mut configuration = Configuration::new(&self.flashback.url()).files();
        if let Some(state) = &self.state {
            configuration = configuration.state(state);
        }
        self.rotator.write_config(&configuration.and(text).text());
    }

    /// Keeps the state in this database, so that there can be replicas, from the next configuration on.
    pub fn share(&mut self, database: &Database, lease: &str) {
        self.state = Some(format!("url = \"{}\"\nlease = \"{lease}\"", database.url()));
    }

    /// Returns a daemon with the same configuration and a directory of its own, which does not run.
    pub fn replica(&self) -> Rotator {
        let mut replica = Rotator::new(&self.flashback.url(), "");
        replica.environment.clone_from(&self.rotator.environment);
        let config = std::fs::read_to_string(self.rotator.config()).expect("a configuration");
        replica.write_config(&config);
        replica
    }

    /// Adds tables to the configuration.
    pub fn add(&self, tables: &str) {
        let config = std::fs::read_to_string(self.rotator.config()).expect("a configuration");
        self.rotator.write_config(&format!("{config}\n{tables}"));
    }

    /// Returns the names of the files of the credentials, below the rotator's directory.
    pub fn admins(&self) -> Vec<String> {
        let ids = self.accounts.keys();
        ids.map(|id| format!("admin-{id}")).collect()
    }

    /// Writes a value into a source, as a person does.
    pub async fn put(&self, key: &Key, value: &Stored) {
        let Key { name, place, .. } = key;
        self.places.put(&self.rotator, name, *place, value).await;
    }

    /// Returns the account in which the keys of this one are made.
    pub fn account(&self, key: &Key) -> &Arc<Account> {
        &self.accounts[&key.provider()]
    }

    /// Has no fake go wrong any more.
    pub fn heal(&self) {
        for account in self.accounts.values() {
            if let Account::Fake { fake, .. } = &**account {
                fake.heal();
            }
        }
    }

    /// Returns the key of this name.
    pub fn key(&self, name: &str) -> &Key {
        let key = self.keys.iter().find(|key| key.name == name);
        key.expect("a key")
    }

    /// Returns the value that a source has, with the id where it is a pair.
    pub async fn pair(&self, name: &str) -> Stored {
        let place = self.key(name).place;
        self.places.stored(&self.rotator, name, place).await
    }

    /// Returns the value that a source has.
    pub async fn stored(&self, name: &str) -> String {
        self.pair(name).await.secret
    }

    /// Returns the digests of the values that Flashback has, by the names of the keys.
    pub fn live(&self) -> BTreeMap<String, String> {
        digests(&self.flashback)
    }

    /// Returns the row of a key in `status`.
    pub async fn row(&self, name: &str) -> Value {
        let status = self.rotator.json(&["status"]).await;
        row(&status, name)
    }

    /// Waits until nothing is under way, each source has a key that works, Flashback has it, too, and the providers have
    /// no others.
    pub async fn settles(&self) {
        let mut last = String::new();
        for _ in 0..300 {
            let Err(why) = self.is_settled().await else {
                return;
            };
            last = why;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("not within a minute: {last}");
    }

    async fn is_settled(&self) -> Result<(), String> {
        let status = self.rotator.json(&["status"]).await;
        let live = self.live();
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in &self.keys {
            let row = row(&status, &key.name);
            let is_idle = row["rotation"]["stage"] == "idle" && row["state"] == "in_sync";
            if !is_idle || !row["verified_by"].is_string() {
                return Err(format!("{} is not at rest: {row:#}", key.name));
            }
            let digest = self.pair(&key.name).await.digest();
            if live.get(&key.name) != Some(&digest) {
                return Err(format!("{} is not delivered", key.name));
            }
            wanted.entry(key.provider()).or_default().insert(digest);
        }
        for (id, account) in &self.accounts {
            let wanted = wanted.remove(id).unwrap_or_default();
            if !account.live().await.is_superset(&wanted) {
                return Err(format!("{id}: not each key works"));
            }
            let kept = account.kept().await;
            let mut left = account.listed().await;
            left.retain(|key| kept.contains(&key.digest) && !wanted.contains(&key.digest));
            if !left.is_empty() {
                return Err(format!("{id}: keys are left: {left:?}"));
            }
        }
        Ok(())
    }

    /// Watches each provider until the watch is ended. `overlap` is how long an old key lives at the least.
    pub fn watch(&self, overlap: Duration) -> Watch {
        let mut accounts: BTreeMap<String, (Arc<Account>, Vec<String>)> = BTreeMap::new();
        for key in &self.keys {
            let entry = accounts.entry(key.provider());
            let entry = entry.or_insert_with(|| (Arc::clone(self.account(key)), Vec::new()));
            entry.1.push(key.name.clone());
        }
        Watch::of(&self.flashback, accounts.into_values().collect(), overlap)
    }
}

fn row(status: &Value, name: &str) -> Value {
    let rows = status["keys"].as_array().cloned().unwrap_or_default();
    rows.into_iter()
        .find(|row| row["key"] == name)
        .unwrap_or_default()
}
