//! A rule: which secrets of a source are keys, and what each of them is in Flashback.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pattern::Pattern;
use super::template::Template;
use crate::document::FieldMap;
use crate::model::{AiType, RuleId, SourceId};
use crate::source::{Listed, Scope};

/// A `[discover.…]` table, without what decides when its keys are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name of its table.
    pub id: RuleId,
    /// The source that is listed.
    pub source: SourceId,
    /// The paths of the secrets.
    pub pattern: Pattern,
    /// The tags that the secrets have, each with its value.
    pub tags: BTreeMap<String, String>,
    /// The time between two listings.
    pub every: Duration,
    /// The name of each key in Flashback.
    pub name: Template,
    /// The provider of each key.
    pub ai_type: Template,
    /// The provider's base URL, where it is not the provider's own.
    pub endpoint: Option<Template>,
    /// The workspace of each key.
    pub workspace_id: Template,
    /// The workspace of a key whose own is an empty text.
    pub general_workspace: Option<String>,
    /// The stored fields that are the credentials.
    pub fields: FieldMap,
    /// The most secrets that may fit. With more, nothing changes.
    pub limit: usize,
    /// What becomes of a configuration in Flashback once its secret is gone.
    pub on_removed: OnRemoved,
    /// The base URLs of the providers that have one.
    pub endpoints: Vec<(AiType, String)>,
}

/// What becomes of a configuration in Flashback once its secret is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemoved {
    /// It stays as it is.
    Keep,
    /// It is deleted after a day if this program has created it.
    Delete,
}

impl Rule {
    /// Returns what is listed.
    pub fn scope(&self) -> Scope {
        Scope {
            prefix: self.pattern.prefix().to_owned(),
            tags: self.tags.clone(),
            deep: self.pattern.is_deep(),
        }
    }

    /// Returns `true` if a secret that was listed is one of the rule's. The source may have listed more than was asked
    /// for.
    pub fn fits(&self, listed: &Listed) -> bool {
        let metadata = listed.metadata.as_ref();
        let has = |(name, value)| metadata.and_then(|all| all.get(name)) == Some(value);
        self.pattern.fits(&listed.path) && self.tags.iter().all(has)
    }
}
