//! All records of the sandbox, and the rules that involve several kinds of them.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::account::Accounts;
use super::configuration::{Configuration, Configurations, Shown};
use super::digests::Digests;
use super::event::{Event, Events};
use super::stored_key::{ShownKey, StoredKey};
use super::table::Table;
use crate::options::Options;
use crate::switches::Switches;

/// The platform behind the API.
pub struct Platform {
    pub accounts: Accounts,
    /// The workspaces that the account may access; `None` for all.
    pub workspaces: Option<BTreeSet<String>>,
    pub configurations: Configurations,
    pub stored_keys: Table<StoredKey>,
    pub events: Events,
    /// The time of each secret's first write.
    written: HashMap<String, Instant>,
}

impl Platform {
    pub fn new(options: Options) -> Self {
        Self {
            accounts: Accounts::new(options.token, options.account),
            workspaces: options.workspaces,
            configurations: Configurations::new(),
            stored_keys: Table::new("5a4db0c5-0000-4000-9000-"),
            events: Events::default(),
            written: HashMap::new(),
        }
    }

    /// Returns the credentials in effect for a configuration: its own or its stored key's.
    pub fn in_effect<'a>(&'a self, it: &'a Configuration) -> &'a Digests {
        let stored = it.api_key_id.as_deref();
        let stored = stored.and_then(|id| self.stored_keys.get(id));
        stored.map_or(&it.own, |key| &key.digests)
    }

    /// Records the first write of a secret, from which the time in [`Switches::slow_secrets`] counts.
    pub fn note_write(&mut self, digests: &Digests) {
        if let Some(secret) = &digests.secret {
            let first = self.written.entry(secret.clone());
            first.or_insert_with(Instant::now);
        }
    }

    /// Returns `true` if the provider accepts the credentials in effect for a configuration.
    pub fn is_valid(&self, id: &str, it: &Configuration, switches: &Switches) -> bool {
        let Some(secret) = &self.in_effect(it).secret else {
            return false;
        };
        let age = self.written.get(secret).map(Instant::elapsed);
        let ready = |after: &u64| age.is_some_and(|age| age >= Duration::from_millis(*after));
        !switches.refused_configurations.contains(id)
            && !switches.refused_secrets.contains(secret)
            && switches.slow_secrets.get(secret).is_none_or(ready)
    }

    /// Deletes a configuration and records the event. Returns whether it existed.
    pub fn remove_configuration(&mut self, id: &str, user_id: &str) -> bool {
        let removed = self.configurations.remove(id);
        if let Some(it) = &removed {
            self.events.write(Event {
                context: "aillm",
                event: "deleted",
                context_id: id.to_owned(),
                workspace_id: it.workspace_id.clone(),
                user_id: user_id.to_owned(),
            });
        }
        removed.is_some()
    }

    pub fn shown(&self) -> Vec<Shown> {
        let all = self.configurations.iter();
        all.map(|(id, it)| Shown::new(id, it, self.in_effect(it)))
            .collect()
    }

    pub fn shown_keys(&self) -> Vec<ShownKey> {
        let all = self.stored_keys.iter();
        all.map(|(id, it)| {
            let users = self.configurations.users_of(&id);
            ShownKey::new(id, it, users)
        })
        .collect()
    }
}
