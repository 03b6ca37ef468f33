//! The results of `check --connect`, as a table and as JSON. Each failure is listed once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::table::{self, Table};
use crate::config::KeyConfig;
use crate::engine::report::KeyReport;
use crate::model::{KeyId, ProviderId, RuleId, SourceId, TargetKind, Version, WorkspaceId};

/// The result of one call.
pub enum Outcome {
    /// It succeeded.
    Works {
        /// A description for people.
        detail: String,
        /// The version found, if the call asked for one.
        version: Option<Version>,
    },
    /// It failed, for this reason.
    Failed(String),
    /// It was not made, because the key's source had failed.
    NotChecked,
}

/// A key and the result for it.
pub struct Checked {
    pub key: KeyId,
    pub config: Arc<KeyConfig>,
    pub outcome: Outcome,
}

/// A workspace's list of one kind, and the result for it.
pub struct Workspace {
    pub id: WorkspaceId,
    pub kind: TargetKind,
    pub outcome: Outcome,
}

/// The results of all calls.
pub struct Report {
    pub sources: BTreeMap<SourceId, Outcome>,
    /// The rules whose sources were listed.
    pub rules: Vec<(RuleId, Outcome)>,
    /// Of the sources that work and have an `events` table.
    pub events: BTreeMap<SourceId, Outcome>,
    /// The providers that make and revoke keys.
    pub providers: BTreeMap<ProviderId, Outcome>,
    pub base_url: String,
    pub flashback: Outcome,
    /// Empty if Flashback failed.
    pub workspaces: Vec<Workspace>,
    pub keys: Vec<Checked>,
}

impl Outcome {
    /// Converts the result of a call that does not ask for a version.
    pub fn of<E: Display>(result: Result<String, E>) -> Self {
        match result {
            Ok(detail) => Self::Works {
                detail,
                version: None,
            },
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Works { .. } | Self::NotChecked => None,
        }
    }

    fn document(&self) -> Value {
        let detail = match self {
            Self::Works { detail, .. } => Some(detail),
            Self::Failed(_) | Self::NotChecked => None,
        };
        json!({ "ok": self.error().is_none(), "detail": detail, "error": self.error() })
    }
}

impl Report {
    /// Returns a line for each failure, which begins with what has failed. Keys of one source with the same
    /// error share a line.
    pub fn failures(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |what: String, outcome: &Outcome| {
            lines.extend(outcome.error().map(|error| format!("{what}: {error}")));
        };
        for (id, outcome) in &self.sources {
            add(format!("source {id}"), outcome);
        }
        for (id, outcome) in &self.rules {
            add(format!("rule {id}"), outcome);
        }
        for (id, outcome) in &self.events {
            add(format!("events of {id}"), outcome);
        }
        for (id, outcome) in &self.providers {
            add(format!("provider {id}"), outcome);
        }
        add("Flashback".to_owned(), &self.flashback);
        for workspace in &self.workspaces {
            add(format!("workspace {}", workspace.id), &workspace.outcome);
        }
        let mut groups: Vec<(&SourceId, &str, Vec<&str>)> = Vec::new();
        for Checked {
            key,
            config,
            outcome,
        } in &self.keys
        {
            let Some(error) = outcome.error() else {
                continue;
            };
            let source = &config.origin.source;
            match groups
                .iter_mut()
                .find(|(of, said, _)| *of == source && *said == error)
            {
                Some((_, _, keys)) => keys.push(key.as_str()),
                None => groups.push((source, error, vec![key.as_str()])),
            }
        }
        for (_, error, keys) in groups {
            let noun = if keys.len() == 1 { "key" } else { "keys" };
            lines.push(format!("{noun} {}: {error}", keys.join(", ")));
        }
        lines
    }

    /// Returns a table of what works; [`failures`](Self::failures) says why the rest does not.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["WHAT", "RESULT", "DETAIL"]);
        let mut row = |what: String, outcome: &Outcome| match outcome {
            Outcome::Works { detail, .. } => {
                table.row([what, table::green("ok"), table::plain(detail)]);
            }
            Outcome::Failed(_) => table.row([what, table::red("failed"), String::new()]),
            Outcome::NotChecked => {}
        };
        for (id, outcome) in &self.sources {
            row(format!("source {id}"), outcome);
            if let Some(outcome) = self.events.get(id) {
                row(format!("events of {id}"), outcome);
            }
        }
        for (id, outcome) in &self.rules {
            row(format!("rule {id}"), outcome);
        }
        for (id, outcome) in &self.providers {
            row(format!("provider {id}"), outcome);
        }
        row("Flashback".to_owned(), &self.flashback);
        for workspace in &self.workspaces {
            row(format!("workspace {}", workspace.id), &workspace.outcome);
        }
        for checked in &self.keys {
            row(format!("key {}", checked.key), &checked.outcome);
        }
        let mut left_out: BTreeMap<&SourceId, usize> = BTreeMap::new();
        for checked in &self.keys {
            if matches!(checked.outcome, Outcome::NotChecked) {
                *left_out.entry(&checked.config.origin.source).or_default() += 1;
            }
        }
        for (source, keys) in left_out {
            let what = format!("{} of {source}", count(keys, "key"));
            table.row([what, table::dim("not checked"), String::new()]);
        }
        table
    }

    /// Returns what `--json` prints.
    pub fn document(&self) -> Value {
        let with = |name: &str, value: Value, outcome: &Outcome| {
            let mut document = outcome.document();
            document[name] = value;
            document
        };
        let sources = self.sources.iter().map(|(id, outcome)| {
            let mut document = with("source", json!(id), outcome);
            if let Some(outcome) = self.events.get(id) {
                document["events"] = outcome.document();
            }
            document
        });
        let workspaces = self.workspaces.iter().map(|workspace| {
            let mut document = with("workspace_id", json!(workspace.id), &workspace.outcome);
            document["lists"] = json!(format!("{}s", workspace.kind.noun()));
            document
        });
        let mut flashback = with("base_url", json!(self.base_url), &self.flashback);
        flashback["workspaces"] = workspaces.collect();
        let keys = self.keys.iter().map(|checked| {
            let source = &checked.config.origin.source;
            let (version, error) = match &checked.outcome {
                Outcome::Works { version, .. } => (version.as_ref(), None),
                Outcome::Failed(error) => (None, Some(error.clone())),
                Outcome::NotChecked => {
                    let error = format!("not checked: the source `{source}` has failed");
                    (None, Some(error))
                }
            };
            KeyReport::of_check(&checked.key, &checked.config, version, error)
        });
        let mut document = json!({
            "sources": sources.collect::<Vec<_>>(),
            "flashback": flashback,
            "keys": keys.collect::<Vec<_>>(),
        });
        if !self.providers.is_empty() {
            let providers = self.providers.iter();
            let providers = providers.map(|(id, outcome)| with("provider", json!(id), outcome));
            document["providers"] = providers.collect();
        }
        if !self.rules.is_empty() {
            let rules = self.rules.iter();
            let rules = rules.map(|(id, outcome)| with("rule", json!(id), outcome));
            document["discovery"] = rules.collect();
        }
        document
    }
}

/// Returns a number with its noun: "1 key", "2 keys".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
