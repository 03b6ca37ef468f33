//! Reading files that others write: a file counts once it has been written whole.
//!
//! Nothing in a file says that its writer is done with it. A copy over the network, a slow pipe or an
//! editor writes in steps, and what lies between them is half a secret. Two things show that no step
//! is left. A file that was moved or linked into its place was finished before, and so was one whose
//! directory was swapped for another. And a file that nobody has touched for a while ([`QUIET`]) has
//! no writer any more. A file that holds what it held before needs no proof.
//!
//! Time is measured by the file's own times where this machine's clock sets them. Elsewhere two looks
//! must find the same, or the times must be old enough for clocks that differ.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use crate::secret::{Fingerprint, Fingerprinter};

/// How long a file must have been left alone. Writers pause for less within a file.
pub const QUIET: Duration = Duration::from_millis(1500);

/// How long a file that keeps changing is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How far the clock of a file server may be from this machine's.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// What is added to the age of a file whose times have no fraction: they may be rounded to so much.
const GRAIN: Duration = Duration::from_secs(2);

/// The largest file that is read: bundles of certificates stay far below it.
const LARGEST: u64 = 16 << 20;

/// How often a read is tried again at once where the file changed under it.
const TRIES: usize = 5;

/// What tells one state of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Takes the stamp out of what the system says of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns how long the file had been left alone at `now`, by both of its times: tools that copy
    /// set the one, and only the kernel the other. Zero where either lies ahead.
    pub fn age(&self, now: SystemTime) -> Duration {
        let last = system_time(self.modified).max(system_time(self.changed));
        let age = last.and_then(|last| now.duration_since(last).ok());
        let grain = match (self.modified.1, self.changed.1) {
            (0, 0) => GRAIN,
            _ => Duration::ZERO,
        };
        age.unwrap_or_default().saturating_sub(grain)
    }

    /// Returns the time of modification; `None` where it is before 1970.
    pub fn modified(&self) -> Option<SystemTime> {
        system_time(self.modified)
    }

    /// Whether something other than a write was done to the file last. A write sets both times to the
    /// same; a rename, a link or a tool that sets the time of modification at the end does not.
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

/// One state of a file, as it was read. `C` stands for its content: a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<C> {
    /// Where it was found, with every link followed.
    pub place: PathBuf,
    /// Which file it was.
    pub stamp: Stamp,
    /// What it held.
    pub content: C,
}

/// What is known of a file, kept from one look to the next.
#[derive(Clone, Debug)]
pub struct Sighting<C> {
    state: State<C>,
    /// When this state was first seen.
    since: Instant,
    /// The content that counts: that of the last state that was whole.
    whole: Option<C>,
}

/// When a look was taken.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By a clock that only goes forward.
    pub instant: Instant,
    /// By the clock that files' times are compared with.
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
    /// Takes in a look, and says how long to wait for the next one; `None` where the file is whole.
    /// `is_local` says whether this machine's kernel sets the file's times.
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

    /// Returns the state that was seen.
    pub fn state(&self) -> &State<C> {
        &self.state
    }

    /// Whether the state that was seen is the one that counts.
    pub fn is_whole(&self) -> bool {
        self.whole.as_ref() == Some(&self.state.content)
    }
}

impl<C> State<C> {
    /// Whether the file came into its place whole: its directory was swapped for another, or it was
    /// moved. Nobody moves an empty file there on purpose. The times that a file server gives say less:
    /// some change them while a file is open.
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

/// Whether this machine's kernel sets the times of what is at `path`. Where that cannot be told, it
/// is taken not to.
pub fn is_local(path: &Path) -> bool {
    // linux/magic.h: NFS, SMB (1, CIFS, 2), FUSE, 9P, AFS (Open, kernel), Ceph, Coda, NetWare.
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

/// The files that this process has read as wholes.
static SEEN: LazyLock<Files> = LazyLock::new(|| Files {
    fingerprinter: Fingerprinter::ephemeral(),
    seen: Mutex::default(),
});

struct Files {
    fingerprinter: Fingerprinter,
    /// As many as the configuration names.
    seen: Mutex<HashMap<PathBuf, Sighting<Fingerprint>>>,
}

/// What a look at a file gave.
enum Look {
    Whole(Zeroizing<Vec<u8>>),
    /// Somebody may be writing it: worth another look after this.
    Unfinished(Duration),
}

/// Reads a file once it has been written whole; waits for that.
///
/// # Errors
/// The operating system's; or the file is too large, or has changed for too long.
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

/// Does what [`read`] does where there is no runtime, or a thread of its own.
///
/// # Errors
/// Those of [`read`].
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
                // A pipe or a device ends where its writer says so.
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
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let (sighting, wait) = Sighting::next(seen.get(path), state, now, is_local);
            seen.insert(path.to_owned(), sighting);
            return Ok(wait.map_or(Look::Whole(bytes), Look::Unfinished));
        }
        Ok(Look::Unfinished(QUIET))
    }
}

/// Reads all of a file into a buffer that need not grow: growing leaves copies behind.
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
