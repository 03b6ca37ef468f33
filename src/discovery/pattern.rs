//! Which paths a rule is about.

use globset::{GlobBuilder, GlobMatcher};

/// A glob for paths, and globs for those that are left out. `*` stands for any part of a name and `**` for any folders.
#[derive(Clone, Debug)]
pub struct Pattern {
    path: GlobMatcher,
    exclude: Vec<GlobMatcher>,
}

/// The characters with which a glob begins to be more than a path.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

impl Pattern {
    /// Takes the globs.
    ///
    /// # Errors
    /// Returns the one that is no glob.
    pub fn new<'a>(path: &'a str, exclude: &'a [String]) -> Result<Self, &'a str> {
        let exclude = exclude.iter().map(|glob| parse(glob));
        Ok(Self {
            path: parse(path)?,
            exclude: exclude.collect::<Result<_, _>>()?,
        })
    }

    /// Returns `true` if a path is one of those that the rule is about.
    pub fn fits(&self, path: &str) -> bool {
        self.path.is_match(path) && !self.exclude.iter().any(|glob| glob.is_match(path))
    }

    /// Returns the text with which each of the paths begins.
    pub fn prefix(&self) -> &str {
        let glob = self.path.glob().glob();
        glob.find(SPECIAL).map_or(glob, |end| &glob[..end])
    }

    /// Returns `true` if paths may lie in folders below that of the [`prefix`](Self::prefix).
    pub fn is_deep(&self) -> bool {
        let rest = &self.path.glob().glob()[self.prefix().len()..];
        rest.contains('/') || rest.contains("**")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        let globs = |pattern: &Self| -> Vec<String> {
            let all = std::iter::once(&pattern.path).chain(&pattern.exclude);
            all.map(|glob| glob.glob().glob().to_owned()).collect()
        };
        globs(self) == globs(other)
    }
}

fn parse(glob: &str) -> Result<GlobMatcher, &str> {
    let built = GlobBuilder::new(glob).literal_separator(true).build();
    Ok(built.map_err(|_| glob)?.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_prefix_and_what_fits() {
        for (glob, prefix, deep) in [
            ("**", "", true),
            ("*", "", false),
            ("llm/**", "llm/", true),
            ("llm/*", "llm/", false),
            ("llm/team-*/openai", "llm/team-", true),
            ("llm/a/openai-?", "llm/a/openai-", false),
            ("llm/openai", "llm/openai", false),
        ] {
            let pattern = Pattern::new(glob, &[]).expect("a glob");
            assert_eq!(
                (pattern.prefix(), pattern.is_deep()),
                (prefix, deep),
                "{glob}"
            );
        }
        let exclude = ["llm/tmp/*".to_owned()];
        let pattern = Pattern::new("llm/**", &exclude).expect("globs");
        assert!(pattern.fits("llm/a") && pattern.fits("llm/a/b") && pattern.fits("llm/tmp/a/b"));
        assert!(!pattern.fits("llm/tmp/a") && !pattern.fits("a"));
        assert!(!Pattern::new("llm/*", &[]).expect("a glob").fits("llm/a/b"));
        assert_eq!(Pattern::new("[", &[]), Err("["));
    }
}
