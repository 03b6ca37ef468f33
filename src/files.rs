//! Access to files that belong to this program alone, and the replacement of files of others.
//!
//! The program may run as root in a directory where other users may write, so a name there may lead to
//! another user's file. Links are therefore not followed, nothing is truncated before the file has been
//! checked, and the permissions of other users are removed.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The permission bits of the group and of all other users.
const OTHERS: u32 = 0o077;
/// The permission bits of users outside the group.
const EVERYBODY: u32 = 0o007;

/// Opens a file for reading and writing, and creates it if it does not exist. Its contents are kept.
///
/// # Errors
/// Returns a text that says why the file cannot be used.
pub fn open(path: &Path) -> Result<File, String> {
    opened(OpenOptions::new().write(true).create(true), path)
}

/// Removes the permissions of other users from an existing file.
///
/// # Errors
/// Returns a text that says why the permissions cannot be removed, or why the file must not be used.
pub fn close_to_others(path: &Path) -> Result<(), String> {
    opened(&mut OpenOptions::new(), path).map(drop)
}

/// Checks that a name leads to a regular file without further hard links. The file may be replaced before it
/// is opened, so this serves to report what is wrong where nothing may be opened yet.
///
/// # Errors
/// Returns a text that says what is wrong with the file.
pub fn check(found: &Metadata) -> Result<(), String> {
    if found.is_symlink() {
        return Err(LINK.to_owned());
    }
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    match found.nlink() {
        0 | 1 => Ok(()),
        names => Err(format!(
            "it has {names} names (hard links), and under each of them another process could use it: remove the others, or put a copy in its place"
        )),
    }
}

const LINK: &str =
    "it is a symbolic link, which is not followed: name the file it leads to, or remove the link";

fn opened(options: &mut OpenOptions, path: &Path) -> Result<File, String> {
    // If it is a pipe, opening it must not wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options
        .read(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::MLINK) => LINK.to_owned(),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                format!("{error}: give this user write permission on it, or on its directory")
            }
            _ => error.to_string(),
        })?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    check(&found)?;
    let mode = found.permissions().mode();
    // Permissions of the group are accepted if they cannot be removed: the file's owner may have granted them
    // on purpose.
    if mode & OTHERS != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(0o600))
        && mode & EVERYBODY != 0
    {
        return Err(format!(
            "it is open to every user of this machine (mode {:03o}), and that cannot be changed ({error}): its owner, user {}, is to run `chmod 600` on it",
            mode & 0o777,
            found.uid()
        ));
    }
    Ok(file)
}

/// New contents of a file, in a file beside it that takes its place at once or not at all. It is removed on drop, unless
/// it has taken its place.
pub struct Draft {
    temporary: PathBuf,
    target: PathBuf,
    is_new: bool,
}

impl Draft {
    /// Writes the contents to the disk, under a hidden name of `token` in the directory of `target`. They get the mode and
    /// the owner of the file that is `like` them; without one, only this user may read them, and they take no other
    /// file's place. What an earlier try with this token has left is removed.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn write(
        target: &Path,
        token: &str,
        contents: &[u8],
        like: Option<&Metadata>,
    ) -> io::Result<Self> {
        let temporary = target.with_file_name(format!(".{token}.flashback-rotator"));
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let draft = Self {
            temporary,
            target: target.to_owned(),
            is_new: like.is_none(),
        };
        file.write_all(contents)?;
        if let Some(like) = like {
            let own = file.metadata()?;
            let other = |own: u32, like: u32| (own != like).then_some(like);
            let (uid, gid) = (other(own.uid(), like.uid()), other(own.gid(), like.gid()));
            if uid.is_some() || gid.is_some() {
                fchown(&file, uid, gid)?;
            }
            file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
        }
        file.sync_all()?;
        Ok(draft)
    }

    /// Puts the contents in place, and waits until the disk has them there.
    ///
    /// # Errors
    /// Returns the error of the system: [`io::ErrorKind::AlreadyExists`] if a new file would take the place of another.
    pub fn put(self) -> io::Result<()> {
        match self.is_new {
            // Unlike a rename, a link replaces nothing.
            true => std::fs::hard_link(&self.temporary, &self.target)?,
            false => std::fs::rename(&self.temporary, &self.target)?,
        }
        let directory = self.target.parent().unwrap_or(Path::new("/")).to_owned();
        drop(self);
        File::open(directory)?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing under this name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn opens_what_is_there_closes_it_to_others_and_keeps_what_is_in_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        drop(open(&path).expect("made"));
        assert_eq!(mode(&path), 0o600);
        std::fs::write(&path, "kept").expect("written");
        for open_to in [0o666, 0o640, 0o604] {
            std::fs::set_permissions(&path, Permissions::from_mode(open_to)).expect("opened");
            close_to_others(&path).expect("closed");
            assert_eq!(mode(&path), 0o600);
        }
        drop(open(&path).expect("opened"));
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "kept");
    }

    #[test]
    fn refuses_links_pipes_and_directories_and_leaves_their_targets_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let other = directory.path().join("other");
        let path = directory.path().join("file");
        std::fs::write(&other, "theirs").expect("written");
        std::fs::set_permissions(&other, Permissions::from_mode(0o644)).expect("opened");
        std::os::unix::fs::symlink(&other, &path).expect("linked");
        assert!(open(&path).expect_err("a link").contains("symbolic link"));
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink(directory.path().join("none"), &path).expect("linked");
        assert!(open(&path).expect_err("a link").contains("symbolic link"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::hard_link(&other, &path).expect("linked");
        assert!(open(&path).expect_err("two names").contains("2 names"));
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("made");
        close_to_others(&path).expect_err("a directory");
        std::fs::remove_dir(&path).expect("removed");
        let mode_of_a_pipe = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode_of_a_pipe).expect("a pipe");
        assert!(open(&path).expect_err("a pipe").contains("not a file"));
        assert!(!directory.path().join("none").exists());
        assert_eq!(std::fs::read_to_string(&other).expect("read"), "theirs");
        assert_eq!(mode(&other), 0o644);
    }
}
