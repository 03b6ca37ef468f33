//! Hears from the kernel that a file was written, or that another one has come to its path.
//!
//! The directory is watched, not the file: a watch of the file would stay with it when it is renamed. The watch only
//! wakes; what has changed is found by looking.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::inotify::ReadFlags;
use tokio::io::unix::AsyncFd;

use crate::trigger::contract::TriggerError;
use crate::trigger::inotify::{Inotify, Notice, Purpose};

/// How many files have come to the path since the watch began.
pub(super) type Arrivals = Arc<AtomicU64>;

/// A watch of one path.
pub(super) struct Watch {
    notices: AsyncFd<Inotify>,
    names: BTreeSet<OsString>,
    arrivals: Arrivals,
}

impl Watch {
    /// Watches the directory of `path`, and that of the file that it links to.
    pub fn of(path: &Path) -> Result<Self, TriggerError> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let names = [path, &real].into_iter().filter_map(Path::file_name);
        let names = names.map(ToOwned::to_owned).collect();
        let inotify = Inotify::open()?;
        let directories: BTreeSet<PathBuf> = [directory(path), directory(&real)].into();
        for directory in directories {
            if inotify.watch(&directory, Purpose::Content)?.is_none() {
                return Err(TriggerError(
                    "the directory of the audit log does not exist yet, or may not be read"
                        .to_owned(),
                ));
            }
        }
        Ok(Self {
            notices: inotify.ready()?,
            names,
            arrivals: Arrivals::default(),
        })
    }

    /// Waits until something has happened to the file since the last time.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the kernel's notices cannot be read.
    pub async fn woken(&self) -> Result<(), TriggerError> {
        loop {
            if let Ok(mut ready) = self.notices.readable().await {
                // Cleared before the notices are taken: those that come later make it ready again.
                ready.clear_ready();
            }
            if self.take()? {
                return Ok(());
            }
        }
    }

    /// Counts the files that have come to the path by now. Returns `true` if the file may have changed.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the kernel's notices cannot be read.
    pub fn take(&self) -> Result<bool, TriggerError> {
        let mut wakes = false;
        loop {
            let notices = self.notices.get_ref().take()?;
            if notices.is_empty() {
                return Ok(wakes);
            }
            for notice in notices {
                let (changed, came) = self.meaning(&notice);
                wakes |= changed;
                self.arrivals.fetch_add(came, Ordering::SeqCst);
            }
        }
    }

    pub fn arrivals(&self) -> Arrivals {
        Arc::clone(&self.arrivals)
    }

    /// Returns whether the file may have changed, and how many files have come to its path at least.
    fn meaning(&self, notice: &Notice) -> (bool, u64) {
        if notice.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            // The kernel had more to say than it keeps.
            return (true, 2);
        }
        let is_here = self.names.contains(&notice.name);
        let comes = ReadFlags::CREATE | ReadFlags::MOVED_TO;
        (is_here, (is_here && notice.flags.intersects(comes)).into())
    }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
