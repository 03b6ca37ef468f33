//! The directory of the demo, which is its source, and the keys in it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A directory that is removed with all that is in it, however the demo ends.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes one that only this user can enter, with a place for secrets in it.
    ///
    /// # Errors
    /// Returns the reason, for people, if it cannot be made.
    pub fn new() -> Result<Self, String> {
        let name = format!("flashback-rotator-demo-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        // Others may write in the directory above: this one is new.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(text)?;
        let directory = Self(path);
        std::fs::create_dir(directory.path("secrets")).map_err(text)?;
        Ok(directory)
    }

    /// Returns its path.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Returns the path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the path of a secret.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.path("secrets").join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns a random key, which no provider has ever issued.
pub fn random_key(kind: &str) -> String {
    format!("demo-{kind}-{:032x}", rand::random::<u128>())
}

/// Returns an error for people.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes a file and moves it into place, as a careful writer does. The kernel's clock ticks in between,
/// which shows that the file was complete before it was moved.
///
/// # Errors
/// Returns the reason, for people, if it cannot be written.
pub fn place(path: &Path, content: &str) -> Result<(), String> {
    let next = path.with_extension("next");
    std::fs::write(&next, content).map_err(text)?;
    std::thread::sleep(Duration::from_millis(20));
    std::fs::rename(&next, path).map_err(text)
}
