//! Reads files that other programs write: a file counts once it has been written completely.
//!
//! Nothing in a file shows that its writer has finished. A copy over the network, a slow pipe or an editor
//! writes in steps, and between them the file contains half a secret. Two things show that no step is left. A
//! file that was moved or linked into its place was finished before, and so was one whose directory was
//! replaced by another. And a file that has not been touched for a while ([`QUIET`]) has no writer any more.
//! A file whose content is the one that counted before needs no proof.
//!
//! Age is measured by the file's own timestamps if this machine's clock sets them. Otherwise two observations
//! must agree, or the timestamps must be so old that a difference between the clocks does not matter.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::secret::{Fingerprint, Fingerprinter};

/// The time for which a file must not have been touched. Writers pause for less within a file.
pub const QUIET: Duration = Duration::from_millis(1500);

/// The longest time to wait for a file that keeps changing.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The largest expected difference between the clocks of a file server and of this machine.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The time subtracted from the age of a file whose timestamps have no fraction: they may be rounded by as
/// much.
const GRAIN: Duration = Duration::from_secs(2);

/// The size of the largest file that is read, in bytes. Bundles of certificates are far smaller.
const LARGEST: u64 = 16 << 20;

/// The number of attempts in a row to read a file that changes while it is read.
const TRIES: usize = 5;

/// The most files of which it is kept how they were when their writers had finished.
const MOST_FINISHED: usize = 10_000;

/// The metadata that distinguish one state of a file from the next, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Extracts the stamp from a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns how long the file had not been touched at `now`, by both of its timestamps: tools that copy
    /// set the modification time, and only the kernel sets the change time. Returns zero if either lies in
    /// the future.
    pub fn age(&self, now: SystemTime) -> Duration {
        let last = system_time(self.modified).max(system_time(self.changed));
        let age = last.and_then(|last| now.duration_since(last).ok());
        let grain = match (self.modified.1, self.changed.1) {
            (0, 0) => GRAIN,
            _ => Duration::ZERO,
        };
        age.unwrap_or_default().saturating_sub(grain)
    }

    /// Returns the time of modification, or `None` if it is before 1970.
    pub fn modified(&self) -> Option<SystemTime> {
        system_time(self.modified)
    }

    /// Returns `true` if the last operation on the file was something other than a write. A write sets both
    /// timestamps to the same time; a rename, a link or a tool that sets the modification time at the end
    /// does not.
    fn was_finished(&self) -> bool {
        self.changed > self.modified
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

fn system_time((seconds, nanoseconds): (i64, i64)) -> Option<SystemTime> {
    let since = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// One state of a file, as it was read. `C` represents its content, usually as a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<C> {
    /// The path of the file, with all links resolved.
    pub place: PathBuf,
    /// The stamp of the file.
    pub stamp: Stamp,
    /// The content of the file.
    pub content: C,
}

/// The knowledge about a file that is kept from one observation to the next.
#[derive(Clone, Debug)]
pub struct Sighting<C> {
    state: State<C>,
    /// The time when this state was first seen.
    since: Instant,
    /// The content that counts: that of the last complete state.
    whole: Option<C>,
}

/// The time of an observation.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time by a monotonic clock.
    pub instant: Instant,
    /// The time by the clock with which the timestamps of files are compared.
    pub time: SystemTime,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            time: SystemTime::now(),
        }
    }
}

impl<C: Clone + PartialEq> Sighting<C> {
    /// Adds an observation. Returns how long to wait for the next one, or `None` if the file is complete.
    /// `is_local` says whether this machine's kernel sets the file's timestamps.
    pub fn next(
        before: Option<&Self>,
        state: State<C>,
        now: Now,
        is_local: bool,
    ) -> (Self, Option<Duration>) {
        let since = before
            .filter(|before| before.state == state)
            .map_or(now.instant, |before| before.since);
        let slack = if is_local {
            Duration::ZERO
        } else {
            CLOCKS_DIFFER
        };
        let alone = (now.instant - since).max(state.stamp.age(now.time).saturating_sub(slack));
        let counted = before.and_then(|before| before.whole.as_ref());
        let is_whole = counted == Some(&state.content)
            || state.was_put_whole(before.map(|before| &before.state), is_local)
            || alone >= QUIET;
        let sighting = Self {
            since,
            whole: match is_whole {
                true => Some(state.content.clone()),
                false => counted.cloned(),
            },
            state,
        };
        (sighting, (!is_whole).then(|| QUIET - alone))
    }

    /// Makes the last observed state the one that counts, because the kernel has told that it is complete.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.whole = Some(self.state.content.clone());
        self
    }

    /// Returns the last observed state.
    pub fn state(&self) -> &State<C> {
        &self.state
    }

    /// Returns `true` if the last observed state is complete.
    pub fn is_whole(&self) -> bool {
        self.whole.as_ref() == Some(&self.state.content)
    }
}

impl<C> State<C> {
    /// Returns `true` if the file was complete when it came to its place: its directory was replaced by
    /// another, or it was moved there. An empty file does not count, because it is not moved there on
    /// purpose. The timestamps of a file server prove less, because some servers change them while a file is
    /// open.
    fn was_put_whole(&self, before: Option<&Self>, is_local: bool) -> bool {
        let swapped = before.is_some_and(|before| {
            self.place.parent() != before.place.parent()
                && self.place.file_name() == before.place.file_name()
        });
        let in_place = before.is_some_and(|before| before.stamp.is_same_file(&self.stamp));
        let moved = is_local && !in_place && self.stamp.was_finished();
        self.stamp.size > 0 && (swapped || moved)
    }
}

/// How files were when the kernel told that their writers had finished, by their paths with all links resolved.
static FINISHED: LazyLock<Mutex<HashMap<PathBuf, Stamp>>> = LazyLock::new(Mutex::default);

/// Takes that the file at `place` was complete in this state: its last writer has closed it since its last write, or it
/// was moved into its place.
pub fn was_finished(place: PathBuf, stamp: Stamp) {
    let mut finished = FINISHED.lock();
    if finished.len() >= MOST_FINISHED {
        finished.clear();
    }
    finished.insert(place, stamp);
}

/// Returns `true` if the kernel has told that the file at `place` is complete in this state. An empty file is not,
/// because many writers begin by emptying a file and closing it.
pub fn is_finished(place: &Path, stamp: &Stamp) -> bool {
    stamp.size > 0 && FINISHED.lock().get(place) == Some(stamp)
}

/// Returns `true` if this machine's kernel sets the timestamps of files at `path`. Returns `false` if that
/// cannot be determined.
pub fn is_local(path: &Path) -> bool {
    // From linux/magic.h: NFS, SMB (1, CIFS, 2), FUSE, 9P, AFS (Open, kernel), Ceph, Coda, NetWare.
    const REMOTE: [u32; 11] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x5346_414f,
        0x6b41_4653,
        0x00c3_6400,
        0x7375_7245,
        0x564c,
    ];
    let kind = rustix::fs::statfs(path).map(|about| about.f_type as u32);
    kind.is_ok_and(|kind| !REMOTE.contains(&kind))
}

/// The observations of all files that this process has read.
static SEEN: LazyLock<Files> = LazyLock::new(|| Files {
    fingerprinter: Fingerprinter::ephemeral(),
    seen: Mutex::default(),
});

struct Files {
    fingerprinter: Fingerprinter,
    /// The last observation of each file. There are no more of them than files that the configuration names.
    seen: Mutex<HashMap<PathBuf, Sighting<Fingerprint>>>,
}

/// The result of reading a file once.
enum Look {
    Whole(Zeroizing<Vec<u8>>),
    /// The file may still be being written: it should be read again after this time.
    Unfinished(Duration),
}

/// Reads a file, and waits until it has been written completely.
///
/// # Errors
/// Returns the operating system's error, or an error if the file is too large or has kept changing for too
/// long.
pub async fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let owned = path.to_owned();
        let looked = tokio::task::spawn_blocking(move || SEEN.look(&owned)).await;
        match looked.map_err(io::Error::other)?? {
            Look::Whole(bytes) => return Ok(bytes),
            Look::Unfinished(wait) => tokio::time::sleep(before(deadline, wait)?).await,
        }
    }
}

/// Does the same as [`read`], for code outside of an async runtime or on a thread of its own.
///
/// # Errors
/// Returns the errors of [`read`].
pub fn read_blocking(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match SEEN.look(path)? {
            Look::Whole(bytes) => return Ok(bytes),
            Look::Unfinished(wait) => std::thread::sleep(before(deadline, wait)?),
        }
    }
}

fn before(deadline: Instant, wait: Duration) -> io::Result<Duration> {
    match Instant::now() < deadline {
        true => Ok(wait),
        false => Err(io::Error::other("it is still being written")),
    }
}

impl Files {
    fn look(&self, path: &Path) -> io::Result<Look> {
        for _ in 0..TRIES {
            let mut file = File::open(path)?;
            let metadata = file.metadata()?;
            let bytes = bytes(&mut file, metadata.len())?;
            if !metadata.is_file() {
                // A pipe or a device has an end of its own.
                return Ok(Look::Whole(bytes));
            }
            let (stamp, place) = (Stamp::of(&metadata), fs::canonicalize(path)?);
            let is_there = fs::metadata(&place).is_ok_and(|there| Stamp::of(&there) == stamp);
            if !is_there || stamp != Stamp::of(&file.metadata()?) {
                continue;
            }
            let (now, is_local) = (Now::read(), is_local(&place));
            let state = State {
                place,
                stamp,
                content: self.fingerprinter.bytes(&bytes),
            };
            let mut seen = self.seen.lock();
            let (sighting, wait) = Sighting::next(seen.get(path), state, now, is_local);
            seen.insert(path.to_owned(), sighting);
            return Ok(wait.map_or(Look::Whole(bytes), Look::Unfinished));
        }
        Ok(Look::Unfinished(QUIET))
    }
}

/// Reads all of a file into a buffer that need not grow: growing would leave copies behind.
fn bytes(file: &mut File, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let room = usize::try_from(size.min(LARGEST)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("it is larger than 16 MiB")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
