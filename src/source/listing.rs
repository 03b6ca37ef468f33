//! Lists of the secrets that a source has.

use std::collections::BTreeMap;

use super::contract::SourceError;
use crate::model::{Observation, Version};
use crate::words;

/// The largest number of secrets and folders that one list may have.
pub const MOST_ENTRIES: usize = 20_000;

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
    /// ([`Source::entry`](super::Source::entry)). Values that are longer than [`words::LONGEST_NAME`] are left out.
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
    fn is_tagged(&self, metadata: &BTreeMap<String, String>) -> bool {
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

/// The entries of a list that is being read.
pub(super) struct Entries<'a> {
    scope: &'a Scope,
    seen: usize,
    found: BTreeMap<String, Listed>,
}

impl<'a> Entries<'a> {
    /// Begins a list.
    pub fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            seen: 0,
            found: BTreeMap::new(),
        }
    }

    /// Counts what the source has named, whether it belongs to the list or not.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] if it is more than [`MOST_ENTRIES`].
    pub fn count(&mut self, entries: usize) -> Result<(), SourceError> {
        self.seen += entries;
        match self.seen > MOST_ENTRIES {
            true => Err(SourceError::Invalid {
                what: format!(
                    "there are more than {MOST_ENTRIES} secrets and folders to list: narrow the path"
                ),
            }),
            false => Ok(()),
        }
    }

    /// Takes a secret, if it belongs to the list.
    ///
    /// # Errors
    /// Returns [`SourceError::Protocol`] if the source has named it twice, as one does that does not keep its pages
    /// apart.
    pub fn take(&mut self, listed: Listed) -> Result<(), SourceError> {
        let is_tagged = |metadata| self.scope.is_tagged(metadata);
        let belongs = self.scope.has(&listed.path)
            && words::too_long(&listed.path).is_none()
            && listed.metadata.as_ref().is_none_or(is_tagged);
        if belongs && self.found.insert(listed.path.clone(), listed).is_some() {
            return Err(SourceError::Protocol {
                what: "the list names a secret twice".to_owned(),
                status: "malformed".to_owned(),
            });
        }
        Ok(())
    }

    /// Returns what was found, sorted by path.
    pub fn finish(self) -> Vec<Listed> {
        self.found.into_values().collect()
    }
}

/// Returns the entries of a secret's metadata that are short enough to be kept.
pub(super) fn short(
    entries: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let is_short = |text: &str| words::too_long(text).is_none();
    entries
        .into_iter()
        .filter(|(name, value)| is_short(name) && is_short(value))
        .collect()
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

    fn listed(path: &str) -> Listed {
        Listed {
            path: path.to_owned(),
            observed: None,
            metadata: Some(BTreeMap::from([("team".to_owned(), "ai".to_owned())])),
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

    #[test]
    fn a_list_is_bounded_and_names_each_secret_once() {
        let mut scope = scope("llm/", true);
        scope.tags.insert("team".to_owned(), "ai".to_owned());
        let mut entries = Entries::new(&scope);
        entries.take(listed("llm/b")).expect("taken");
        entries.take(listed("other/b")).expect("passed over");
        entries.take(listed("llm/a")).expect("taken");
        let mut others = listed("llm/c");
        others.metadata = Some(BTreeMap::new());
        entries.take(others).expect("passed over");
        assert!(entries.take(listed("llm/a")).is_err());
        entries.count(MOST_ENTRIES).expect("not too many");
        assert!(entries.count(1).is_err());
        let found = entries.finish();
        let paths: Vec<_> = found.iter().map(|listed| &*listed.path).collect();
        assert_eq!(paths, ["llm/a", "llm/b"]);
    }
}
