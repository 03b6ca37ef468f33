//! AI LLM configurations.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::digests::Digests;
use super::table::Table;
use super::{MASK, ORGANISATION};
use flashback_rotator_core::model::AiType;

/// A configuration.
#[derive(Clone)]
pub struct Configuration {
    pub workspace_id: String,
    /// The user who created it.
    pub user_id: String,
    pub name: String,
    pub ai_type: AiType,
    pub endpoint: Option<String>,
    /// Its own credentials; empty if it uses a stored key.
    pub own: Digests,
    pub api_key_id: Option<String>,
    pub writes: u64,
    pub validated: bool,
    pub repositories: Vec<String>,
    pub created_at: DateTime<Utc>,
}

impl Configuration {
    /// Returns the configuration as the API lists it: without the secret, and with the key masked.
    pub fn listed(&self, id: &str) -> Value {
        let created = self.created_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let repos = self.repositories.iter().enumerate().map(|(index, name)| {
            json!({"id": format!("{id}-{index}"), "name": name, "createdAt": created})
        });
        json!({
            "id": id,
            "apiKeyId": self.api_key_id,
            "orgId": ORGANISATION,
            "workspaceId": self.workspace_id,
            "userId": self.user_id,
            "name": self.name,
            "aiType": self.ai_type,
            "endpoint": self.endpoint,
            "key": self.own.key.as_ref().map(|_| MASK),
            "createdAt": created,
            "repos": repos.collect::<Vec<_>>(),
        })
    }
}

/// A configuration, as the sandbox shows it to tests and on its control paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its id.
    pub ai_llm_id: String,
    /// Its workspace.
    pub workspace_id: String,
    /// Its name.
    pub name: String,
    /// The provider.
    pub ai_type: AiType,
    /// The provider's base URL; empty if it has none.
    pub endpoint: String,
    /// The stored key from which it takes its credentials; `None` if it has its own.
    pub api_key_id: Option<String>,
    /// The SHA-256 of the `key` in effect, if there is one: its own or the stored key's.
    pub key_sha256: Option<String>,
    /// The SHA-256 of the `secret` in effect: its own or the stored key's.
    pub secret_sha256: String,
    /// The number of writes it has received, its creation included.
    pub writes: u64,
    /// `true` if its credentials were validated since they were written.
    pub validated: bool,
    /// The repositories that use it.
    pub repositories: Vec<String>,
    /// The time at which it was created.
    pub created_at: DateTime<Utc>,
}

impl Shown {
    pub(super) fn new(ai_llm_id: String, it: &Configuration, in_effect: &Digests) -> Self {
        Self {
            ai_llm_id,
            workspace_id: it.workspace_id.clone(),
            name: it.name.clone(),
            ai_type: it.ai_type,
            endpoint: it.endpoint.clone().unwrap_or_default(),
            api_key_id: it.api_key_id.clone(),
            key_sha256: in_effect.key.clone(),
            secret_sha256: in_effect.secret.clone().unwrap_or_default(),
            writes: it.writes,
            validated: it.validated,
            repositories: it.repositories.clone(),
            created_at: it.created_at,
        }
    }
}

/// Every configuration. A name is unique in its workspace.
pub struct Configurations {
    table: Table<Configuration>,
    /// The names in use, by workspace.
    names: HashMap<String, HashSet<String>>,
}

impl Configurations {
    pub fn new() -> Self {
        Self {
            table: Table::new("5a4db0c5-0000-4000-8000-"),
            names: HashMap::new(),
        }
    }

    pub fn get(&self, id: &str) -> Option<&Configuration> {
        self.table.get(id)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (String, &Configuration)> {
        self.table.iter()
    }

    pub fn has_name(&self, workspace: &str, name: &str) -> bool {
        let names = self.names.get(workspace);
        names.is_some_and(|names| names.contains(name))
    }

    pub fn add(&mut self, it: Configuration) -> String {
        self.take_name(&it);
        self.table.add(it)
    }

    /// Replaces the configuration with that id, which must exist.
    pub fn replace(&mut self, id: &str, it: Configuration) {
        self.remove_name(id);
        self.take_name(&it);
        if let Some(row) = self.table.get_mut(id) {
            *row = it;
        }
    }

    pub fn remove(&mut self, id: &str) -> Option<Configuration> {
        self.remove_name(id);
        self.table.remove(id)
    }

    /// Records the result of a validation. Returns whether the configuration exists.
    pub fn set_validated(&mut self, id: &str, valid: bool) -> bool {
        let row = self.table.get_mut(id);
        row.map(|row| row.validated = valid).is_some()
    }

    /// Marks the configurations that use a stored key as not validated.
    pub fn stored_key_changed(&mut self, api_key_id: &str) {
        for row in self.table.rows_mut() {
            if row.api_key_id.as_deref() == Some(api_key_id) {
                row.validated = false;
            }
        }
    }

    /// Attaches a configuration to a repository. Returns whether the configuration exists.
    pub fn attach(&mut self, id: &str, repository: &str) -> bool {
        let row = self.table.get_mut(id);
        row.map(|row| row.repositories.push(repository.to_owned()))
            .is_some()
    }

    /// Returns the ids of the configurations that use a stored key.
    pub fn users_of(&self, api_key_id: &str) -> Vec<String> {
        let users = self.iter();
        users
            .filter(|(_, it)| it.api_key_id.as_deref() == Some(api_key_id))
            .map(|(id, _)| id)
            .collect()
    }

    fn take_name(&mut self, it: &Configuration) {
        let names = self.names.entry(it.workspace_id.clone()).or_default();
        names.insert(it.name.clone());
    }

    fn remove_name(&mut self, id: &str) {
        if let Some(it) = self.table.get(id)
            && let Some(names) = self.names.get_mut(&it.workspace_id)
        {
            names.remove(&it.name);
        }
    }
}
