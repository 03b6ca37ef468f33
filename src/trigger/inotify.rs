//! The kernel's interface for changes in directories (<https://man7.org/linux/man-pages/man7/inotify.7.html>).

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::trigger::contract::TriggerError;

/// The room for notices that are read at once, in bytes.
const ROOM: usize = 16 << 10;

/// The number of notices after which no more are taken before these are looked into.
pub(super) const MOST: usize = 4096;

/// A queue of notices from the kernel.
#[derive(Clone, Debug)]
pub(super) struct Inotify(Arc<OwnedFd>);

/// A notice: something has happened in a watched directory, or to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The number of the directory, as [`Inotify::watch`] returned it.
    pub(super) watch: i32,
    /// What has happened.
    pub(super) flags: ReadFlags,
    /// The name in the directory; empty if it happened to the directory itself.
    pub(super) name: OsString,
}

/// What is watched a directory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Every change in it.
    Content,
    /// The names in it alone.
    Names,
}

impl Inotify {
    /// Opens a queue.
    ///
    /// # Errors
    /// Returns [`TriggerError`] where there are too many queues already.
    pub(super) fn open() -> Result<Self, TriggerError> {
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(descriptor) => Ok(Self(Arc::new(descriptor))),
            Err(Errno::MFILE) => Err(TriggerError(
                "this user has as many inotify instances as it may: raise `sysctl fs.inotify.max_user_instances`".to_owned(),
            )),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Returns the queue with what tells when there are notices in it.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the runtime cannot wait for it.
    pub(super) fn ready(&self) -> Result<AsyncFd<Self>, TriggerError> {
        // Deprecated for types that close their descriptor early, which this one does not.
        #[allow(deprecated)]
        let ready = AsyncFd::with_interest(self.clone(), Interest::READABLE);
        ready.map_err(|_| TriggerError("inotify cannot be used".to_owned()))
    }

    /// Watches a directory, and returns the number that its notices have: the same one for a directory that is watched
    /// already. `None` if it is gone, or may not be read.
    ///
    /// # Errors
    /// Returns [`TriggerError`] where the limit of watched directories is reached.
    pub(super) fn watch(&self, dir: &Path, purpose: Purpose) -> Result<Option<i32>, TriggerError> {
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        let flags = match purpose {
            Purpose::Names => names,
            Purpose::Content => {
                names
                    | WatchFlags::CLOSE_WRITE
                    | WatchFlags::MODIFY
                    | WatchFlags::ATTRIB
                    | WatchFlags::DELETE_SELF
                    | WatchFlags::MOVE_SELF
            }
        };
        match inotify::add_watch(&self.0, dir, flags | WatchFlags::ONLYDIR) {
            Ok(number) => Ok(Some(number)),
            Err(Errno::NOSPC) => Err(TriggerError(
                "no more directories can be watched: raise `sysctl fs.inotify.max_user_watches`"
                    .to_owned(),
            )),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Watches the directory with this number no longer.
    pub(super) fn forget(&self, watch: i32) {
        // It fails for a directory that is gone, which the kernel has forgotten by itself.
        let _ = inotify::remove_watch(&self.0, watch);
    }

    /// Takes the notices that there are, without waiting. Where it returns [`MOST`] or more, there may be others.
    ///
    /// # Errors
    /// Returns [`TriggerError`] if the queue cannot be read.
    pub(super) fn take(&self) -> Result<Vec<Notice>, TriggerError> {
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut reader = Reader::new(self.0.as_fd(), &mut room);
        let mut notices = Vec::new();
        while notices.len() < MOST || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name();
                    let name = name.map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    let notice = Notice {
                        watch: event.wd(),
                        flags: event.events(),
                        name: name.unwrap_or_default(),
                    };
                    // A writer has many notices of its writes.
                    if notices.last() != Some(&notice) {
                        notices.push(notice);
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(notices)
    }
}

impl AsRawFd for Inotify {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn failed(errno: Errno) -> TriggerError {
    let kind = std::io::Error::from(errno).kind();
    TriggerError(format!("inotify cannot be used: {kind}"))
}
