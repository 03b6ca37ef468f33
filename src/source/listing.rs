//! What a list of the secrets of a source is asked for, and what it says.

use std::collections::BTreeMap;

use crate::model::{Observation, Version};

/// The part of a source that is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The text that each path begins with: `llm/` for what is in that folder, `llm/prod-` for a part of it, empty for
    /// all of the source.
    pub prefix: String,
    /// The tags, or entries of the custom metadata, that each secret has. A secret whose metadata the list does not say
    /// is listed whatever it has.
    pub tags: BTreeMap<String, String>,
    /// `true` for the secrets in folders below the prefix, too.
    pub deep: bool,
}

/// A secret in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The path, as a key's `path` spells it.
    pub path: String,
    /// The result of an observation made at the time of the list; `None` where the list does not say it.
    pub observed: Option<Observation>,
    /// The custom metadata or the tags; `None` where the list does not say them, so that they have to be asked for
    /// ([`Source::entry`](super::Source::entry)). Values that are longer than [`LONGEST_NAME`](crate::words::LONGEST_NAME) are left out.
    pub metadata: Option<BTreeMap<String, String>>,
}

impl Scope {
    /// Returns the folder that holds all of it, without a slash at its end; empty for the topmost folder.
    pub fn folder(&self) -> &str {
        self.prefix
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
    }

    /// Returns `true` if a secret at `path` belongs to it, whatever its tags are.
    pub fn has(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.prefix);
        rest.is_some_and(|rest| self.deep || !rest.contains('/'))
    }

    /// Returns `true` if a folder, written with a slash at its end, may hold something that belongs to it.
    pub fn reaches(&self, folder: &str) -> bool {
        self.prefix.starts_with(folder) || (self.deep && folder.starts_with(&*self.prefix))
    }

    /// Returns `true` if a secret has each of its tags.
    pub(super) fn is_tagged(&self, metadata: &BTreeMap<String, String>) -> bool {
        let mut tags = self.tags.iter();
        tags.all(|(name, value)| metadata.get(name) == Some(value))
    }
}

impl Listed {
    /// Returns the version, if the list says it and there is one.
    pub fn version(&self) -> Option<&Version> {
        match &self.observed {
            Some(Observation::Present { version, .. }) => Some(version),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(prefix: &str, deep: bool) -> Scope {
        Scope {
            prefix: prefix.to_owned(),
            deep,
            ..Scope::default()
        }
    }

    #[test]
    fn a_scope_is_a_folder_or_the_beginning_of_names_in_one() {
        assert_eq!(scope("llm/prod-", false).folder(), "llm");
        assert_eq!(scope("llm/eu/", false).folder(), "llm/eu");
        assert_eq!(scope("llm", false).folder(), "");
        let prod = scope("llm/prod-", false);
        assert!(prod.has("llm/prod-a") && !prod.has("llm/test-a") && !prod.has("llm/prod-a/b"));
        assert!(prod.reaches("llm/") && !prod.reaches("llm/prod-a/"));
        let all = scope("llm/", true);
        assert!(all.has("llm/a/b") && all.reaches("llm/a/") && !all.reaches("other/"));
        assert!(scope("", true).has("a/b") && !scope("", false).has("a/b"));
    }
}
