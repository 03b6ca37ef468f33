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

use notify::event::{Event, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::trigger::contract::TriggerError;

/// How many files have come to the path since the watch began.
pub(super) type Arrivals = Arc<AtomicU64>;

/// A watch of one path.
pub(super) struct Watch {
    /// The watch ends with it.
    _watcher: RecommendedWatcher,
    arrivals: Arrivals,
    woken: Arc<Notify>,
}

impl Watch {
    /// Watches the directory of `path`, and that of the file that it links to.
    pub fn of(path: &Path) -> Result<Self, TriggerError> {
        let (arrivals, woken) = (Arrivals::default(), Arc::new(Notify::new()));
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let names = [path, &real].into_iter().filter_map(Path::file_name);
        let names: BTreeSet<OsString> = names.map(ToOwned::to_owned).collect();
        let watcher = notify::recommended_watcher({
            let (arrivals, woken) = (Arc::clone(&arrivals), Arc::clone(&woken));
            move |event: notify::Result<Event>| {
                let (wakes, came) = event.as_ref().map_or((true, 0), |it| meaning(it, &names));
                arrivals.fetch_add(came, Ordering::SeqCst);
                if wakes {
                    woken.notify_one();
                }
            }
        });
        let mut watcher = watcher.map_err(|error| failed(&error))?;
        let directories: BTreeSet<PathBuf> = [directory(path), directory(&real)].into();
        for directory in directories {
            watcher
                .watch(&directory, RecursiveMode::NonRecursive)
                .map_err(|error| failed(&error))?;
        }
        Ok(Self {
            _watcher: watcher,
            arrivals,
            woken,
        })
    }

    /// Waits until something has happened to the file since the last time.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    pub fn arrivals(&self) -> Arrivals {
        Arc::clone(&self.arrivals)
    }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Returns whether the file may have changed, and how many files have come to its path at least.
fn meaning(event: &Event, names: &BTreeSet<OsString>) -> (bool, u64) {
    if event.need_rescan() {
        // The kernel had more to say than it keeps.
        return (true, 2);
    }
    let is_here = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
    let is_here = event.paths.iter().any(is_here);
    match event.kind {
        EventKind::Access(_) => (false, 0),
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
            (is_here, is_here.into())
        }
        _ => (is_here, 0),
    }
}

fn failed(error: &notify::Error) -> TriggerError {
    TriggerError(match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the kernel watches no more files for this user: raise `fs.inotify.max_user_watches`"
                .to_owned()
        }
        ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            "the kernel watches nothing more for this user: raise `fs.inotify.max_user_instances`"
                .to_owned()
        }
        ErrorKind::PathNotFound => "the directory of the audit log does not exist yet".to_owned(),
        ErrorKind::Io(error) => format!(
            "the directory of the audit log cannot be watched: {}",
            error.kind()
        ),
        _ => "the directory of the audit log cannot be watched".to_owned(),
    })
}

/// The error of `inotify_init` where the user has too many instances
/// (<https://man7.org/linux/man-pages/man2/inotify_init.2.html>).
const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
