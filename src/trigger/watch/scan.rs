//! Reads the tree below a directory: its files by every name they have, and the directories that make it up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Access;

use super::trust::is_trusted;
use crate::settled::Stamp;
use crate::trigger::contract::TriggerError;

/// The most files and directories of a tree, counted by their names.
const MOST: usize = 20_000;

/// The most links on the way to a directory, as in the kernel.
const MOST_LINKS: usize = 40;

/// A file as it is found: its path with every link resolved, and its stamp.
pub(super) type Found = (PathBuf, Stamp);

/// A tree as it was read. A *name* is the path of a file as a key spells it: relative to the directory, and through
/// whichever links lead there.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The directories, by their paths with every link resolved, and the names that lead to each.
    pub(super) dirs: HashMap<PathBuf, Vec<String>>,
    /// Every file by its name.
    pub(super) files: BTreeMap<String, Found>,
    /// The names of files that links lead to, by the files' paths.
    pub(super) links: HashMap<PathBuf, Vec<String>>,
    /// The paths of the links themselves, with every link before the last part resolved.
    pub(super) link_places: HashSet<PathBuf>,
    /// `true` if a link leads nowhere: a new file may be what it leads to.
    pub(super) dangles: bool,
    /// The reason why not every change in the tree is told.
    pub(super) deaf: Option<&'static str>,
}

/// The directories on the way to the tree, with the names in them whose replacement replaces the tree.
pub(super) type Way = HashMap<PathBuf, HashSet<OsString>>;

/// A scan under way.
struct Walk<'a> {
    root: &'a Path,
    scan: Scan,
    left: usize,
    watch: &'a mut dyn FnMut(&Path) -> Result<bool, TriggerError>,
}

impl Scan {
    /// Reads the tree below `dir`. Calls `watch` with each directory before it is read; `false` says that it cannot be
    /// watched.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if there is no such directory, if the tree is too large, or from `watch`.
    pub(super) fn of(
        dir: &Path,
        watch: &mut dyn FnMut(&Path) -> Result<bool, TriggerError>,
    ) -> Result<Self, TriggerError> {
        let root = fs::canonicalize(dir).map_err(|error| no_directory(dir, &error))?;
        let mut walk = Walk {
            root: &root,
            scan: Self::default(),
            left: MOST,
            watch,
        };
        walk.directory(&root, "", &mut Vec::new())?;
        if !walk.scan.dirs.contains_key(&root) {
            return Err(no_directory(dir, &io::ErrorKind::PermissionDenied.into()));
        }
        Ok(walk.scan)
    }

    /// Returns the names of the file at `path`, a path with every link resolved.
    pub(super) fn names(&self, path: &Path) -> Vec<String> {
        let (parent, name) = (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        );
        let prefixes = parent.and_then(|parent| self.dirs.get(parent));
        let direct = prefixes.into_iter().flatten();
        let direct = direct.filter_map(|prefix| Some(join(prefix, name?)));
        let linked = self.links.get(path).into_iter().flatten().cloned();
        let mut names: Vec<String> = direct.chain(linked).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Walk<'_> {
    /// Reads the directory `real`, which is called `name`. `above` are the directories that led here, so that links in
    /// a circle are not followed.
    fn directory(
        &mut self,
        real: &Path,
        name: &str,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), TriggerError> {
        if above.iter().any(|dir| dir == real) {
            return Ok(());
        }
        self.count()?;
        if !self.scan.dirs.contains_key(real) {
            let is_watched = (self.watch)(real)?;
            if !is_watched && is_open(real) {
                self.scan.deaf = Some("a directory in it may not be read by the rotator's user");
            }
            if !is_trusted(real) {
                self.scan.deaf = Some(
                    "inotify does not tell of every change on its file system (NFS, SMB, FUSE and the like)",
                );
            }
        }
        let Ok(entries) = fs::read_dir(real) else {
            return Ok(());
        };
        let names = self.scan.dirs.entry(real.to_owned()).or_default();
        names.push(name.to_owned());
        above.push(real.to_owned());
        for entry in entries.flatten() {
            if let Some(last) = entry.file_name().to_str() {
                self.entry(&entry.path(), join(name, last), above)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        path: &Path,
        name: String,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), TriggerError> {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return Ok(());
        };
        if metadata.is_dir() {
            return self.directory(path, &name, above);
        }
        if !metadata.is_symlink() {
            return self.file(path.to_owned(), &metadata, name);
        }
        self.scan.link_places.insert(path.to_owned());
        let Ok((real, metadata)) = follow(path) else {
            self.scan.dangles = true;
            return Ok(());
        };
        if !real.starts_with(self.root) {
            return Ok(());
        }
        if metadata.is_dir() {
            return self.directory(&real, &name, above);
        }
        let links = self.scan.links.entry(real.clone()).or_default();
        links.push(name.clone());
        self.file(real, &metadata, name)
    }

    fn file(
        &mut self,
        real: PathBuf,
        metadata: &Metadata,
        name: String,
    ) -> Result<(), TriggerError> {
        if metadata.is_file() {
            self.count()?;
            self.scan.files.insert(name, (real, Stamp::of(metadata)));
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), TriggerError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            TriggerError(format!(
                "there are more than {MOST} files below the directory: name the directory of the secrets in `dir`, or write `watch = false`"
            ))
        })?;
        Ok(())
    }
}

/// Returns the way to `dir`: each directory that was passed, also behind links, with the name that was followed in it.
pub(super) fn way(dir: &Path) -> Way {
    let mut way = Way::new();
    let Ok(dir) = std::path::absolute(dir) else {
        return way;
    };
    let mut left: Vec<OsString> = parts(&dir);
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = left.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        way.entry(here.clone()).or_default().insert(part);
        match fs::read_link(&next) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                left.extend(parts(&target));
            }
            _ => here = next,
        }
    }
    way
}

/// Returns the parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

fn follow(link: &Path) -> io::Result<(PathBuf, Metadata)> {
    let real = fs::canonicalize(link)?;
    let metadata = fs::symlink_metadata(&real)?;
    Ok((real, metadata))
}

/// Returns `true` if files in a directory may be opened by their names.
fn is_open(dir: &Path) -> bool {
    rustix::fs::access(dir, Access::EXEC_OK).is_ok()
}

fn join(prefix: &str, name: &str) -> String {
    match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}/{name}"),
    }
}

fn no_directory(dir: &Path, error: &io::Error) -> TriggerError {
    let dir = dir.display();
    TriggerError(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            format!("there is no directory {dir}: is it mounted, and is `dir` its path?")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "the rotator's user may not list {dir}: let it read the directory, or write `watch = false`"
            )
        }
        kind => format!("cannot read {dir}: {kind}"),
    })
}
