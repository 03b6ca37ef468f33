//! Puts a list of secrets together, entry by entry: bounded, and whole or not at all.

use std::collections::BTreeMap;

use super::contract::SourceError;
use super::listing::{Listed, Scope};
use crate::words;

/// The largest number of secrets and folders that one list may have.
pub const MOST_ENTRIES: usize = 20_000;

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

    fn listed(path: &str) -> Listed {
        Listed {
            path: path.to_owned(),
            observed: None,
            metadata: Some(BTreeMap::from([("team".to_owned(), "ai".to_owned())])),
        }
    }

    #[test]
    fn a_list_is_bounded_and_names_each_secret_once() {
        let scope = Scope {
            prefix: "llm/".to_owned(),
            deep: true,
            tags: BTreeMap::from([("team".to_owned(), "ai".to_owned())]),
        };
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
