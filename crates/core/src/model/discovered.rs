//! The secrets that a rule has discovered, which the state keeps over restarts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RuleId, Settings, SourceId};
use crate::document::FieldMap;

/// The secrets that a `[discover.…]` rule has found. It holds no value of any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// The source that was listed. What was found in one source says nothing about another.
    pub source: SourceId,
    /// The secrets, by path.
    pub secrets: BTreeMap<String, DiscoveredSecret>,
}

/// A secret that a rule has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredSecret {
    /// The settings that its configuration has in Flashback.
    pub settings: Settings,
    /// The fields that hold the credentials.
    #[serde(default)]
    pub fields: FieldMap,
    /// The time at which it was found first. Of two secrets with one name, the one that was found first has it.
    pub since: DateTime<Utc>,
    /// The time of the first full listing without it, if the last one was without it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<DateTime<Utc>>,
    /// `true` if it is gone and no key any more, and what the rule has created for it in Flashback is yet to be
    /// deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Discovered {
    /// Returns a rule's discovery before its first listing of this source.
    pub fn nothing(source: SourceId) -> Self {
        Self {
            source,
            secrets: BTreeMap::new(),
        }
    }

    /// Returns the secrets that are keys.
    pub fn present(&self) -> impl Iterator<Item = (&String, &DiscoveredSecret)> {
        self.secrets.iter().filter(|(_, secret)| !secret.removed)
    }
}

/// What a rule has come to, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule.
    pub rule: RuleId,
    /// The source that it lists.
    pub source: SourceId,
    /// The number of keys that it has made.
    pub keys: usize,
    /// The time of the last full listing.
    pub listed_at: Option<DateTime<Utc>>,
    /// The reason why the source was not listed the last time, or why nothing was made of the list.
    pub error: Option<String>,
    /// What keeps secrets from being the keys that they should be, a sentence each. The first few are kept.
    pub problems: Vec<String>,
}
