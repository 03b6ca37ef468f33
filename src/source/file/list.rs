//! Lists the files below a directory.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::reading::{Fault, failed, patiently, real_root, refused};
use crate::source::contract::SourceError;
use crate::source::entries::Entries;
use crate::source::listing::{Listed, Scope};

/// The most directories one within the other that are walked through.
const DEEPEST: usize = 32;

/// Lists the regular files below `dir`. Hidden ones are left out, as `..data` and what it leads to in a mount of
/// Kubernetes. A symbolic link counts as what it leads to, if that is inside.
pub(super) fn list(dir: &Path, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
    let listed = patiently(|| walk(dir, scope, true)).or_else(|fault| match fault {
        // No swap takes that long: it is a link that leads nowhere.
        Fault::Torn => walk(dir, scope, false),
        fault => Err(fault),
    });
    listed.map_err(|fault| failed(fault, dir))
}

/// Lists once. If it is `strict`, a link that leads nowhere is taken for a sign that the mount is being swapped.
fn walk(dir: &Path, scope: &Scope, strict: bool) -> Result<Vec<Listed>, Fault> {
    let root = real_root(dir)?;
    let mut walk = Walk {
        entries: Entries::new(scope),
        scope,
        strict,
        root: &root,
        above: Vec::new(),
    };
    walk.enter(&root, "")?;
    Ok(walk.entries.finish())
}

struct Walk<'a> {
    scope: &'a Scope,
    strict: bool,
    root: &'a Path,
    entries: Entries<'a>,
    /// The directories that the walk is in, with every link followed.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Walks through a directory, whose path below the root ends in a slash.
    fn enter(&mut self, place: &Path, path: &str) -> Result<(), Fault> {
        let fault = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => Fault::NoDirectory,
            _ => Fault::Failed(refused(Path::new(path), error)),
        };
        self.above.push(place.to_owned());
        for entry in fs::read_dir(place).map_err(|error| fault(&error))? {
            let entry = entry.map_err(|error| fault(&error))?;
            self.entries.count(1).map_err(Fault::Failed)?;
            // A name that is no UTF-8 cannot be a key's path.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{path}{name}");
            let Some((place, metadata)) = self.resolve(&entry.path(), &path)? else {
                continue;
            };
            if metadata.is_file() {
                self.take(path)?;
            } else if metadata.is_dir() {
                let path = format!("{path}/");
                let again = self.above.contains(&place) || self.above.len() >= DEEPEST;
                if !again && self.scope.reaches(&path) {
                    self.enter(&place, &path)?;
                }
            }
        }
        self.above.pop();
        Ok(())
    }

    /// Follows every link; `None` for one that leads nowhere, out of the directory or in a circle.
    fn resolve(&self, place: &Path, path: &str) -> Result<Option<(PathBuf, Metadata)>, Fault> {
        let found = fs::canonicalize(place).and_then(|place| {
            let metadata = fs::symlink_metadata(&place)?;
            Ok((place, metadata))
        });
        match found {
            Ok((place, metadata)) => Ok(place.starts_with(self.root).then_some((place, metadata))),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => match self.strict {
                    true => Err(Fault::Torn),
                    false => Ok(None),
                },
                _ if is_circle(&error) => Ok(None),
                _ => Err(Fault::Failed(refused(Path::new(path), &error))),
            },
        }
    }

    fn take(&mut self, path: String) -> Result<(), Fault> {
        let listed = Listed {
            path,
            observed: None,
            metadata: Some(BTreeMap::new()),
        };
        self.entries.take(listed).map_err(Fault::Failed)
    }
}

fn is_circle(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(dir: &Path, prefix: &str, deep: bool) -> Vec<String> {
        let scope = Scope {
            prefix: prefix.to_owned(),
            deep,
            ..Scope::default()
        };
        let listed = list(dir, &scope).expect("a list");
        listed.into_iter().map(|listed| listed.path).collect()
    }

    #[test]
    fn lists_what_a_mount_of_kubernetes_shows_and_follows_links_inside_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path();
        let data = dir.join("..2026_01_01");
        fs::create_dir_all(data.join("sub/deeper")).expect("made");
        for file in ["a", "b", "sub/c", "sub/deeper/d", ".hidden"] {
            fs::write(data.join(file), "key").expect("written");
        }
        symlink("..2026_01_01", dir.join("..data")).expect("linked");
        for name in ["a", "b", "sub"] {
            symlink(format!("..data/{name}"), dir.join(name)).expect("linked");
        }
        symlink("/etc/passwd", dir.join("outside")).expect("linked");
        symlink("nowhere", dir.join("broken")).expect("linked");
        symlink("circle", dir.join("circle")).expect("linked");
        symlink(".", data.join("sub/again")).expect("linked");
        assert_eq!(paths(dir, "", false), ["a", "b"]);
        assert_eq!(paths(dir, "", true), ["a", "b", "sub/c", "sub/deeper/d"]);
        assert_eq!(paths(dir, "sub/", false), ["sub/c"]);
        assert_eq!(paths(dir, "sub/d", true), ["sub/deeper/d"]);
        let gone = list(&dir.join("gone"), &Scope::default());
        assert!(matches!(gone, Err(SourceError::Unavailable { .. })));
    }
}
