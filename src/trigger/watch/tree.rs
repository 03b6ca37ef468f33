//! A tree that is watched, and what the kernel's notices say of its files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::ReadFlags;

use super::scan::{Found, Scan, Way, way};
use super::watched::Watched;
use crate::settled::{self, QUIET, Stamp};
use crate::trigger::contract::TriggerError;
use crate::trigger::inotify::{Inotify, MOST, Notice, Purpose};

/// The waits between tries at a directory that is not there: another may be moved into its place.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(15),
    Duration::from_millis(60),
];

/// What is a change of the directory itself, or of a name in it.
const NAMES: ReadFlags = ReadFlags::CREATE
    .union(ReadFlags::DELETE)
    .union(ReadFlags::MOVED_FROM)
    .union(ReadFlags::MOVED_TO);

/// A directory that is watched, with everything below it.
pub(super) struct Tree {
    inotify: Inotify,
    dir: PathBuf,
    scan: Scan,
    way: Way,
    watched: Watched,
    /// The notices that came while others were looked into.
    left: Vec<Notice>,
    /// `true` if the kernel may have more notices than were taken.
    has_more: bool,
    /// The files that were written and not closed, with the time from which on they count as written.
    unclosed: HashMap<PathBuf, Instant>,
}

/// What the notices come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The files that have changed, each by all its names.
    pub(super) files: BTreeSet<Vec<String>>,
    /// `true` if the kernel had more notices than it keeps.
    pub(super) overflowed: bool,
}

/// What a batch of notices asks for.
#[derive(Default)]
struct Asked {
    scan: bool,
    overflowed: bool,
    /// Plain files that were closed by a writer, or moved or linked into place.
    whole: BTreeSet<PathBuf>,
    /// Plain files that have changed otherwise, or are gone.
    changed: BTreeSet<PathBuf>,
}

impl Tree {
    /// Begins to watch `dir`.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if there is no such directory, or if it cannot be watched.
    pub(super) fn new(inotify: Inotify, dir: PathBuf) -> Result<Self, TriggerError> {
        let mut tree = Self {
            watched: Watched::new(inotify.clone()),
            inotify,
            dir,
            scan: Scan::default(),
            way: Way::new(),
            left: Vec::new(),
            has_more: false,
            unclosed: HashMap::new(),
        };
        tree.read()?;
        Ok(tree)
    }

    /// Returns the reason why not every change is told; `None` if each is.
    pub(super) fn deaf(&self) -> Option<&'static str> {
        self.scan.deaf
    }

    /// Returns `true` if notices are left that were not looked into.
    pub(super) fn has_more(&self) -> bool {
        self.has_more || !self.left.is_empty()
    }

    /// Returns the time at which a file that was not closed counts as written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unclosed.values().min().copied()
    }

    /// Looks into all notices that there are.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the directory is gone, or cannot be watched any more.
    pub(super) fn look(&mut self) -> Result<Changes, TriggerError> {
        let mut asked = Asked::default();
        let notices = std::mem::take(&mut self.left);
        for notice in notices.into_iter().chain(self.take()?) {
            self.notice(&notice, &mut asked);
        }
        let now = Instant::now();
        let due = self.unclosed.iter().filter(|(_, due)| **due <= now);
        asked.changed.extend(due.map(|(path, _)| path.clone()));
        self.unclosed.retain(|_, due| *due > now);
        let mut changes = Changes {
            overflowed: asked.overflowed,
            ..Changes::default()
        };
        self.finish(&asked.whole)?;
        let files = asked.whole.union(&asked.changed);
        // A new file may be what a link has led to in vain.
        asked.scan |= self.scan.dangles && asked.whole.iter().any(|path| !self.knows(path));
        for path in files {
            self.changed(path, &mut changes);
        }
        if asked.scan {
            changes.files.extend(self.scan_again()?);
        }
        Ok(changes)
    }

    /// Reads the whole tree again, and returns the names of the files that are not as they were.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the directory is gone, or cannot be watched any more.
    pub(super) fn scan_again(&mut self) -> Result<BTreeSet<Vec<String>>, TriggerError> {
        let before = std::mem::take(&mut self.scan.files);
        self.read()?;
        Ok(differences(&before, &self.scan.files))
    }

    fn take(&mut self) -> Result<Vec<Notice>, TriggerError> {
        let notices = self.inotify.take()?;
        self.has_more = notices.len() >= MOST;
        Ok(notices)
    }

    fn notice(&mut self, notice: &Notice, asked: &mut Asked) {
        let Notice { watch, flags, name } = notice;
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            asked.overflowed = true;
            asked.scan = true;
            return;
        }
        if flags.contains(ReadFlags::IGNORED) {
            self.watched.lost(*watch);
            return;
        }
        let of_itself = ReadFlags::UNMOUNT | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
        asked.scan |= flags.intersects(of_itself);
        for dir in self.watched.paths(*watch).to_vec() {
            let is_way = self.way.get(&dir).is_some_and(|names| names.contains(name));
            asked.scan |= is_way && flags.intersects(NAMES);
            if !self.scan.dirs.contains_key(&dir) || name.is_empty() {
                continue;
            }
            if flags.contains(ReadFlags::ISDIR) {
                asked.scan |= flags.intersects(NAMES | ReadFlags::ATTRIB);
                continue;
            }
            self.of_file(dir.join(name), *flags, asked);
        }
    }

    /// Takes a notice about what is no directory. While a file is being written nothing is said of it: a check would
    /// only wait for its end.
    fn of_file(&mut self, path: PathBuf, flags: ReadFlags, asked: &mut Asked) {
        if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
            self.unclosed.remove(&path);
            asked.whole.remove(&path);
            asked.scan |= self.scan.link_places.contains(&path);
            asked.changed.insert(path);
            return;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            return;
        };
        if metadata.is_symlink() {
            asked.scan |= flags.intersects(NAMES);
            return;
        }
        let is_linked = flags.contains(ReadFlags::CREATE) && metadata.nlink() > 1;
        if is_linked || flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
            self.unclosed.remove(&path);
            asked.scan |= self.scan.link_places.contains(&path);
            asked.whole.insert(path);
        } else if flags.intersects(ReadFlags::CREATE | ReadFlags::MODIFY) {
            asked.whole.remove(&path);
            self.unclosed.insert(path, Instant::now() + QUIET);
        } else if flags.contains(ReadFlags::ATTRIB) && !self.unclosed.contains_key(&path) {
            asked.changed.insert(path);
        }
    }

    /// Passes on that these files are complete as they are, unless something has happened to them meanwhile: a write
    /// before the stamp was taken has left a notice.
    fn finish(&mut self, whole: &BTreeSet<PathBuf>) -> Result<(), TriggerError> {
        let stamps = whole.iter().filter_map(|path| Some((path, stamp(path)?)));
        let stamps: Vec<(&PathBuf, Stamp)> = stamps.collect();
        if stamps.is_empty() {
            return Ok(());
        }
        let new = self.take()?;
        let touched: HashSet<PathBuf> = new.iter().flat_map(|notice| self.paths(notice)).collect();
        self.left.extend(new);
        for (path, stamp) in stamps {
            if !touched.contains(path) {
                settled::was_finished(path.clone(), stamp);
            }
        }
        Ok(())
    }

    /// Returns the paths that a notice is about.
    fn paths(&self, notice: &Notice) -> Vec<PathBuf> {
        let dirs = self.watched.paths(notice.watch).iter();
        dirs.map(|dir| dir.join(&notice.name)).collect()
    }

    /// Takes a plain file that has changed.
    fn changed(&mut self, path: &Path, changes: &mut Changes) {
        let names = self.scan.names(path);
        let found = stamp(path);
        for name in &names {
            match found {
                Some(stamp) => {
                    let found = (path.to_owned(), stamp);
                    self.scan.files.insert(name.clone(), found);
                }
                None => {
                    self.scan.files.remove(name);
                }
            }
        }
        if !names.is_empty() {
            changes.files.insert(names);
        }
    }

    fn knows(&self, path: &Path) -> bool {
        let names = self.scan.names(path);
        let is_known = |name: &String| self.scan.files.contains_key(name);
        names.iter().all(is_known)
    }

    /// Reads the tree, and watches what it is made of.
    fn read(&mut self) -> Result<(), TriggerError> {
        let mut kept: HashSet<PathBuf> = HashSet::new();
        self.way = way(&self.dir);
        let mut pauses = PAUSES.iter();
        self.scan = loop {
            let watched = &mut self.watched;
            let mut watch = |dir: &Path| {
                kept.insert(dir.to_owned());
                watched.add(dir, Purpose::Content)
            };
            match (Scan::of(&self.dir, &mut watch), pauses.next()) {
                (Ok(scan), _) => break scan,
                (Err(_), Some(pause)) if !self.dir.is_dir() => std::thread::sleep(*pause),
                (Err(error), _) => return Err(error),
            }
        };
        // What is both keeps the larger purpose.
        for dir in self.way.keys() {
            if kept.insert(dir.clone()) {
                self.watched.add(dir, Purpose::Names)?;
            }
        }
        self.watched.keep(&kept);
        Ok(())
    }
}

/// Returns the files that are in one tree and not, or otherwise, in the other, each by all its names.
fn differences(
    before: &BTreeMap<String, Found>,
    after: &BTreeMap<String, Found>,
) -> BTreeSet<Vec<String>> {
    let names = before.keys().chain(after.keys());
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let mut by_path: BTreeMap<&Path, BTreeSet<&String>> = BTreeMap::new();
    for name in changed {
        if let Some((path, _)) = after.get(name).or_else(|| before.get(name)) {
            by_path.entry(path).or_default().insert(name);
        }
    }
    let files = by_path.into_values();
    files
        .map(|names| names.into_iter().cloned().collect())
        .collect()
}

/// Returns the stamp of the plain file at `path`; `None` if there is none.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::symlink_metadata(path).ok()?;
    metadata.is_file().then(|| Stamp::of(&metadata))
}
