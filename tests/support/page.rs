//! A page of the documentation, as the tests read it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A Markdown file of this repository.
pub struct Page {
    path: PathBuf,
    pub text: String,
}

impl Page {
    /// Reads the page at `path`, relative to the repository's root.
    pub fn read(path: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{}: {error}", path.display());
        });
        Self { path, text }
    }

    /// Returns the headings at `level` (such as `##`), each with the text up to the next heading of that
    /// level or above. Lines in fenced blocks are no headings.
    pub fn sections(&self, level: &str) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        let (mut fenced, mut within) = (false, false);
        for line in self.text.lines() {
            fenced ^= line.starts_with("```");
            let marks = line.split(' ').next().unwrap_or_default();
            let heading = !fenced && !marks.is_empty() && marks.chars().all(|c| c == '#');
            if heading && marks.len() <= level.len() {
                within = marks == level;
                if within {
                    found.push((line[level.len()..].trim().to_owned(), String::new()));
                }
            } else if within && let Some((_, text)) = found.last_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }
        found
    }

    /// Returns the anchors of its headings, as GitHub generates them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let levels = ["#", "##", "###", "####"];
        let headings = levels.iter().flat_map(|level| self.sections(level));
        headings
            .map(|(heading, _)| {
                let kept = heading.to_lowercase();
                let kept = kept.replace(' ', "-");
                kept.chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
                    .collect()
            })
            .collect()
    }

    /// Checks that every link has a target.
    pub fn check_links(&self) {
        let directory = self.path.parent().expect("a directory");
        for after in self.text.split("](").skip(1) {
            let target = after.split(')').next().unwrap_or_default();
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => self.path.clone(),
                file => directory.join(file),
            };
            let from = self.path.display();
            assert!(path.exists(), "{from}: {target}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&path).expect("a page");
                let page = Self { path, text };
                assert!(page.anchors().contains(anchor), "{from}: {target}");
            }
        }
    }
}

/// Returns the fenced blocks of `text` in a language.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let opened = text.split(&fence).skip(1);
    opened
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}
