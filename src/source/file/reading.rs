//! Reads one file below a directory: never a file outside it, never a device, and never half of a file.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroize;

use crate::credential::trim_one_newline;
use crate::settled::Stamp;
use crate::source::contract::SourceError;

/// The largest file that is read: what a Kubernetes Secret can hold at most.
const LARGEST: u64 = 1024 * 1024;

/// The waits between tries at a file that was not found, or changed under the reader. Following
/// links is not one step: while a mount is swapped, the old target may go away on the way to it.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
];

/// The location of a secret.
pub(super) struct Place {
    dir: Arc<PathBuf>,
    path: PathBuf,
}

/// The contents of a file.
pub(super) struct Content {
    /// The text without one trailing newline; `None` if it is not UTF-8.
    pub(super) text: Option<String>,
    /// The newline that the text does not have any more, or nothing.
    pub(super) ending: &'static str,
    /// The path of the file, with every link followed.
    pub(super) place: PathBuf,
    /// The identity, size and times of the file.
    pub(super) stamp: Stamp,
}

/// The reason why a try has failed.
pub(super) enum Fault {
    /// The directory does not exist.
    NoDirectory,
    /// The file does not exist.
    NoFile,
    /// It changed while it was read.
    Torn,
    /// Another failure, for which trying again is useless.
    Failed(SourceError),
}

/// Returns the path of the directory, with every link followed.
pub(super) fn root(dir: &Path) -> Result<PathBuf, SourceError> {
    patiently(|| real_root(dir)).map_err(|fault| failed(fault, dir))
}

impl Place {
    /// Returns the place at `path` below `dir`. The path is one or more plain names.
    ///
    /// # Errors
    /// Returns [`SourceError::Invalid`] for a path that could lead elsewhere.
    pub(super) fn new(dir: Arc<PathBuf>, path: &str) -> Result<Self, SourceError> {
        let relative = Path::new(path);
        let mut parts = relative.components();
        let plain = parts.clone().next().is_some()
            && parts.all(|part| matches!(part, Component::Normal(_)))
            && !path.contains('\0');
        if !plain {
            return Err(invalid(
                path,
                "is not a path below the source's directory: write it without `..` and without a leading `/`",
            ));
        }
        Ok(Self {
            dir,
            path: relative.to_owned(),
        })
    }

    /// Reads the whole file; `None` if there is none.
    pub(super) fn read(&self) -> Result<Option<Content>, SourceError> {
        self.found(patiently(|| self.read_once()))
    }

    /// Returns the identity, size and times of the file without opening it; `None` if there is none.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, SourceError> {
        self.found(patiently(|| Ok(self.resolve()?.1)))
    }

    /// Returns the path that the file would have if there were one: in a directory that there is, with every link followed,
    /// and under a name that there is not.
    pub(super) fn vacant(&self) -> Result<PathBuf, SourceError> {
        let vacant = || {
            let root = real_root(&self.dir)?;
            let full = root.join(&self.path);
            let (Some(above), Some(name)) = (full.parent(), full.file_name()) else {
                return Err(self.invalid("is no file's name"));
            };
            let above = fs::canonicalize(above).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    self.invalid("is in a directory that does not exist: make it first")
                }
                _ => self.fault(&error),
            })?;
            if !above.starts_with(&root) {
                return Err(self.invalid("leads out of the source's directory by a symbolic link"));
            }
            let place = above.join(name);
            match fs::symlink_metadata(&place) {
                Ok(found) if found.is_symlink() => {
                    Err(self.invalid("is a symbolic link that leads nowhere"))
                }
                _ => Ok(place),
            }
        };
        vacant().map_err(|fault| failed(fault, &self.dir))
    }

    /// Returns the path relative to the source's directory, for people.
    pub(super) fn shown(&self) -> String {
        self.path.to_string_lossy().escape_debug().to_string()
    }

    fn found<T>(&self, result: Result<T, Fault>) -> Result<Option<T>, SourceError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Fault::NoFile) => Ok(None),
            Err(fault) => Err(failed(fault, &self.dir)),
        }
    }

    /// Follows every link, stays inside, and lets only a regular file through: opening a device
    /// can have effects of its own.
    fn resolve(&self) -> Result<(PathBuf, Stamp), Fault> {
        // From the real directory on: a directory that is itself swapped stays one and the same.
        let root = real_root(&self.dir)?;
        let full = fs::canonicalize(root.join(&self.path)).map_err(|error| self.fault(&error))?;
        if !full.starts_with(&root) {
            return Err(self.invalid("leads out of the source's directory by a symbolic link"));
        }
        let metadata = fs::symlink_metadata(&full).map_err(|error| self.fault(&error))?;
        self.check(&metadata)?;
        Ok((full, Stamp::of(&metadata)))
    }

    fn read_once(&self) -> Result<Content, Fault> {
        let (place, _) = self.resolve()?;
        // NOFOLLOW: the path has no links left, unless another process has just put one there.
        // NONBLOCK: opening a FIFO, which may just have been put there, would wait for a writer.
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut file = match rustix::fs::open(&place, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::LOOP) => return Err(Fault::Torn),
            Err(errno) => return Err(self.fault(&errno.into())),
        };
        let before = file.metadata().map_err(|error| self.fault(&error))?;
        self.check(&before)?;
        let mut bytes = self.bytes(&mut file, before.len())?;
        let after = file.metadata().map_err(|error| self.fault(&error))?;
        let stamp = Stamp::of(&before);
        if stamp != Stamp::of(&after) || bytes.len() as u64 != before.len() {
            bytes.zeroize();
            return Err(Fault::Torn);
        }
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        };
        let ending = match text.as_deref() {
            Some(text) if text.ends_with("\r\n") => "\r\n",
            Some(text) if text.ends_with('\n') => "\n",
            _ => "",
        };
        text.iter_mut().for_each(trim_one_newline);
        Ok(Content {
            text,
            ending,
            place,
            stamp,
        })
    }

    /// Reads all of it, into a buffer that need not grow: growing leaves copies behind.
    fn bytes(&self, file: &mut File, size: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        match file.take(LARGEST + 1).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => {
                bytes.zeroize();
                Err(self.fault(&error))
            }
        }
    }

    fn check(&self, metadata: &Metadata) -> Result<(), Fault> {
        if metadata.is_dir() {
            Err(self.invalid("is a directory: a secret is a file"))
        } else if !metadata.is_file() {
            Err(self.invalid("is not a regular file"))
        } else if metadata.len() > LARGEST {
            Err(self.invalid("is larger than 1 MiB: that is no key"))
        } else {
            Ok(())
        }
    }

    fn fault(&self, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::NoFile,
            _ => Fault::Failed(refused(&self.path, error)),
        }
    }

    fn invalid(&self, what: &str) -> Fault {
        Fault::Failed(invalid(&self.path.to_string_lossy(), what))
    }
}

/// Tries again where a swap under way could explain the failure.
pub(super) fn patiently<T>(attempt: impl Fn() -> Result<T, Fault>) -> Result<T, Fault> {
    for pause in PAUSES {
        match attempt() {
            Err(Fault::NoDirectory | Fault::NoFile | Fault::Torn) => std::thread::sleep(pause),
            settled => return settled,
        }
    }
    attempt()
}

pub(super) fn real_root(dir: &Path) -> Result<PathBuf, Fault> {
    let real = fs::canonicalize(dir).and_then(|root| Ok((fs::metadata(&root)?.is_dir(), root)));
    match real {
        Ok((true, root)) => Ok(root),
        Ok((false, _)) => Err(Fault::NoDirectory),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::NoDirectory,
            _ => Fault::Failed(refused(dir, &error)),
        }),
    }
}

pub(super) fn failed(fault: Fault, dir: &Path) -> SourceError {
    match fault {
        Fault::Failed(error) => error,
        Fault::NoDirectory | Fault::NoFile => SourceError::Unavailable {
            what: format!("there is no directory {}", dir.display()),
            status: "no_directory".to_owned(),
            retry_after: None,
        },
        Fault::Torn => SourceError::Protocol {
            what: "the file changed each time it was read".to_owned(),
            status: "torn".to_owned(),
        },
    }
}

pub(super) fn refused(path: &Path, error: &io::Error) -> SourceError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Denied {
            what: format!("the rotator's user may not read `{path}`"),
            status: "denied".to_owned(),
        },
        _ if Errno::from_io_error(error) == Some(Errno::LOOP) => SourceError::Invalid {
            what: format!("`{path}` is a circle of symbolic links"),
        },
        _ if Errno::from_io_error(error) == Some(Errno::NAMETOOLONG) => SourceError::Invalid {
            what: format!("`{path}` is longer than a path can be"),
        },
        kind => SourceError::Unavailable {
            what: format!("cannot read `{path}`: {kind}"),
            status: "io".to_owned(),
            retry_after: None,
        },
    }
}

fn invalid(path: &str, what: &str) -> SourceError {
    SourceError::Invalid {
        what: format!("`{}` {what}", path.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_errors_map_to_denied_invalid_or_unavailable() {
        let of = |errno: Errno| refused(Path::new("team/key"), &errno.into());
        assert!(matches!(of(Errno::ACCESS), SourceError::Denied { .. }));
        assert!(matches!(of(Errno::LOOP), SourceError::Invalid { .. }));
        assert!(matches!(
            of(Errno::NAMETOOLONG),
            SourceError::Invalid { .. }
        ));
        assert!(matches!(of(Errno::IO), SourceError::Unavailable { .. }));
        assert!(matches!(of(Errno::MFILE), SourceError::Unavailable { .. }));
        for errno in [Errno::ACCESS, Errno::LOOP, Errno::IO] {
            assert!(of(errno).to_string().contains("team/key"));
        }
    }
}
