//! The file that holds the next refresh token.
//!
//! A refresh token works once, so the next one must be on disk before the old one's answer is used.
//! The place for it is opened *before* the old one is spent: where nothing can be written, nothing
//! is lost.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::wire;
use crate::secret::Secret;

/// An open file beside the real one, which becomes the real one.
pub(super) struct Slot {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl Slot {
    /// Opens the place for the next token. Follows a link, so that the link stays.
    pub fn open(path: &Path) -> io::Result<Self> {
        let target = match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            resolved => resolved?,
        };
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = target.with_file_name(format!(".{name}.next"));
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        Ok(Self {
            target,
            temporary,
            file,
        })
    }

    /// Writes the token and puts it in the old one's place, on disk for good.
    pub fn keep(mut self, token: &Secret) -> io::Result<()> {
        wire::write_token(token, &mut self.file)?;
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.target)?;
        let directory = self.target.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }
}

impl Drop for Slot {
    /// Takes away what was not used; after [`keep`](Self::keep) there is nothing of that name.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_next_token_replaces_the_old_one_whole_and_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().join("real");
        let link = directory.path().join("link");
        std::fs::write(&real, "old\n").expect("written");
        std::os::unix::fs::symlink(&real, &link).expect("linked");

        drop(Slot::open(&link).expect("opened"));
        assert_eq!(std::fs::read_to_string(&real).expect("read"), "old\n");

        Slot::open(&link)
            .and_then(|slot| slot.keep(&Secret::new("new".into())))
            .expect("kept");
        assert_eq!(std::fs::read_to_string(&link).expect("read"), "new");
        let mode = std::fs::metadata(&real)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().expect("listed").count(), 2);
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error_at_once() {
        assert!(Slot::open(Path::new("/no/such/token")).is_err());
    }
}
