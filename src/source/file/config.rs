//! `type = "file"`: its settings and how a source is built from them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::source::FileSource;
use crate::setting::settings;
use crate::setting::value_types::number::SWITCH;
use crate::setting::value_types::place::PATH;
use crate::source::contract::{Source, SourceError};
use crate::source::hint::Hint;
use crate::source::kind::{Context, Example, Kind, SourceKind};

/// A directory of files.
pub const KIND: Kind = Kind {
    name: "file",
    title: "Directory",
    settings: FileTable::ALL,
    reference: include_str!("reference.toml"),
    example: Example {
        name: "file",
        about: "A directory of files",
        text: include_str!("../../../config/examples/mounted-files.toml"),
    },
    acknowledges: None,
    alone: &[],
    read: |table| Some(Arc::new(FileTable::read(table).finish()?)),
};

settings! {
    /// A source of the type `file`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FileConfig, read by FileTable {
        /// The directory. Each file in it is a secret: plain text, or a JSON object of fields.
        dir: PathBuf = PATH, Required;
        /// Have the kernel tell of changes in the directory at once, by inotify.
        watch: bool = SWITCH, Default;
    }
}

impl SourceKind for FileConfig {
    fn cannot_acknowledge(&self) -> Option<&'static str> {
        Some("a directory of files cannot be told which version is live")
    }

    fn check_path(&self, path: &str) -> Option<Hint> {
        (!stays_below(path)).then(|| {
            Hint::certain(
                "the path leaves the source's directory: write it relative to `dir`, without a leading `/` and without `..`",
            )
        })
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    fn build(&self, context: Context<'_>) -> Result<Arc<dyn Source>, SourceError> {
        Ok(Arc::new(FileSource::new(
            context.id,
            self.dir.clone(),
            context.fingerprinter,
            context.upstream,
        )))
    }
}

fn stays_below(path: &str) -> bool {
    Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_directory() {
        assert!(stays_below("a/b.json") && stays_below("./a"));
        assert!(!stays_below("/a") && !stays_below("a/../../b"));
    }
}
