//! The directories that are watched, by their paths and by the kernel's numbers for them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::trigger::contract::TriggerError;
use crate::trigger::inotify::{Inotify, Purpose};

/// The directories that are watched. One that is mounted at several paths has one number.
#[derive(Debug)]
pub(super) struct Watched {
    inotify: Inotify,
    numbers: HashMap<PathBuf, i32>,
    paths: HashMap<i32, Vec<PathBuf>>,
}

impl Watched {
    pub(super) fn new(inotify: Inotify) -> Self {
        Self {
            inotify,
            numbers: HashMap::new(),
            paths: HashMap::new(),
        }
    }

    /// Returns the paths of the directory with this number.
    pub(super) fn paths(&self, number: i32) -> &[PathBuf] {
        self.paths.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Watches a directory. Returns `false` if it cannot be watched.
    ///
    /// # Errors
    /// Returns [`TriggerError`] where no more directories can be watched.
    pub(super) fn add(&mut self, dir: &Path, purpose: Purpose) -> Result<bool, TriggerError> {
        let number = self.inotify.watch(dir, purpose)?;
        let before = self.numbers.get(dir).copied();
        if before != number {
            self.remove(dir);
        }
        let Some(number) = number else {
            return Ok(false);
        };
        if before != Some(number) {
            self.numbers.insert(dir.to_owned(), number);
            self.paths.entry(number).or_default().push(dir.to_owned());
        }
        Ok(true)
    }

    /// Watches no other directories than these any longer.
    pub(super) fn keep(&mut self, kept: &HashSet<PathBuf>) {
        let old = self.numbers.keys().filter(|dir| !kept.contains(*dir));
        let old: Vec<PathBuf> = old.cloned().collect();
        for dir in old {
            self.remove(&dir);
        }
    }

    /// Takes that the kernel watches the directory with this number no longer.
    pub(super) fn lost(&mut self, number: i32) {
        for dir in self.paths.remove(&number).unwrap_or_default() {
            self.numbers.remove(&dir);
        }
    }

    fn remove(&mut self, dir: &Path) {
        let Some(number) = self.numbers.remove(dir) else {
            return;
        };
        let Some(paths) = self.paths.get_mut(&number) else {
            return;
        };
        paths.retain(|path| path != dir);
        if paths.is_empty() {
            self.paths.remove(&number);
            self.inotify.forget(number);
        }
    }
}
