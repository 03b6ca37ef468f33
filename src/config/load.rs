//! Finds the files, reads them, and makes one configuration of them.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::assemble::{assemble, peek as peek_at};
use super::defaults::inherit;
use super::kinds::Kinds;
use super::model::Config;
use super::state::StateConfig;
use super::{lints, reference};
use crate::setting::merge::merge;
use crate::setting::tree::Tree;
use crate::setting::{Diagnostics, Report};
use crate::settled;

/// The default path of the configuration.
const DEFAULT_PATH: &str = "/etc/flashback-rotator/config.toml";

/// The environment variable that holds its path.
const VARIABLE: &str = "FLASHBACK_ROTATOR_CONFIG";

/// A valid configuration, and where it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files it was read from, in the order they were merged.
    pub files: Vec<PathBuf>,
    /// Settings that work but may not do what was intended, for the log and for `check`.
    pub warnings: Vec<String>,
    /// The digest of the files, to be compared with a later [`digest`].
    pub digest: Digest,
}

/// A digest over the names and the content of the files.
pub type Digest = [u8; 32];

/// Returns the path of the configuration: that of `--config`, else that in `$FLASHBACK_ROTATOR_CONFIG`,
/// else `/etc/flashback-rotator/config.toml`.
pub fn locate(path: Option<&Path>) -> PathBuf {
    let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    path.map(Path::to_owned)
        .or_else(|| named.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_PATH))
}

/// Reads the configuration at [`locate`]`(path)`: a file, or a directory whose `*.toml` are merged
/// in the order of their names. A file that is being written is waited for. `kinds` are the kinds of source
/// that it can have.
///
/// # Errors
/// Returns the report of all mistakes.
pub fn load(path: Option<&Path>, kinds: Kinds) -> Result<Loaded, Report> {
    let at = locate(path);
    let (mut diagnostics, reference) = reference::begin(kinds);
    let mut tree = Tree::default();
    let contents = read_files(&at, path.is_some(), &mut diagnostics);
    let digest = digest_of(&contents);
    let mut files = Vec::new();
    for (file, bytes) in contents {
        if let Some(text) = utf8(&file, bytes, &mut diagnostics) {
            let more = diagnostics.add_file(&file, &text);
            merge(&mut tree, more, "", &mut diagnostics);
        }
        files.push(file);
    }
    if diagnostics.is_hopeless() {
        // There is no table in which further mistakes could be found.
        return Err(diagnostics.into_report());
    }
    let state = default_state(std::env::var_os("STATE_DIRECTORY").as_deref());
    inherit(&mut tree);
    let config = assemble(&tree, &reference, kinds, state, &mut diagnostics);
    if let Some(config) = &config {
        for warning in lints::warnings(config) {
            diagnostics.warn(None, warning);
        }
    }
    let Some(config) = config else {
        if diagnostics.is_clean() {
            diagnostics
                .unreadable(
                    at,
                    "a default is missing from the reference configuration".to_owned(),
                )
                .help("this is a fault of the program, not of your file: please report it");
        }
        return Err(diagnostics.into_report());
    };
    Ok(Loaded {
        config,
        files,
        warnings: diagnostics.finish()?,
        digest,
    })
}

/// The settings that locate a running daemon. Mistakes in other settings and files that cannot be read are
/// ignored: the daemon keeps running with its earlier configuration, and must not be reported dead.
#[derive(Clone, Debug)]
pub struct Peeked {
    /// The location of the state; the default if nothing can be read, and `None` if `[state]` is invalid.
    pub state: Option<StateConfig>,
    /// The address of the daemon's HTTP server; the default if `[http] listen` is invalid.
    pub http_listen: Option<SocketAddr>,
}

/// Reads no more of the configuration at [`locate`]`(path)` than [`Peeked`].
pub fn peek(path: Option<&Path>) -> Peeked {
    // Neither depends on the kinds of source.
    let (mut diagnostics, reference) = reference::begin(Kinds::default());
    let mut tree = Tree::default();
    let at = locate(path);
    let files = list(&at).ok().filter(|files| !files.is_empty());
    for file in files.unwrap_or_else(|| vec![at]) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let more = diagnostics.add_file(&file, &text);
        merge(&mut tree, more, "", &mut diagnostics);
    }
    let default = default_state(std::env::var_os("STATE_DIRECTORY").as_deref());
    let (_, default_listen) = peek_at(
        &Tree::default(),
        &reference,
        default.clone(),
        &mut diagnostics,
    );
    let (state, listen) = peek_at(&tree, &reference, default, &mut diagnostics);
    Peeked {
        state,
        http_listen: listen.or(default_listen),
    }
}

/// Returns the digest of the present files. It differs from [`Loaded::digest`] once a file was changed, added or
/// removed. It depends on the contents and not on times or inodes, because Kubernetes swaps a symbolic link and editors
/// replace the file.
///
/// # Errors
/// Returns the operating system's error if a file or the directory cannot be read.
pub fn digest(path: &Path) -> io::Result<Digest> {
    let mut contents = Vec::new();
    for file in list(path)? {
        let bytes = std::fs::read(&file)?;
        contents.push((file, bytes));
    }
    Ok(digest_of(&contents))
}

fn digest_of(contents: &[(PathBuf, Vec<u8>)]) -> Digest {
    let mut hash = Sha256::new();
    for (file, bytes) in contents {
        for part in [file.as_os_str().as_encoded_bytes(), bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// Returns the files of a configuration: the file itself, or those of the directory, sorted by name.
fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        // A symbolic link is followed: Kubernetes mounts every file as one.
        if file.extension() == Some(OsStr::new("toml")) && !is_hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_files(at: &Path, by_hand: bool, diagnostics: &mut Diagnostics) -> Vec<(PathBuf, Vec<u8>)> {
    let files = match list(at) {
        Ok(files) if files.is_empty() => {
            diagnostics
                .unreadable(
                    at.to_owned(),
                    "the directory has no `*.toml` in it".to_owned(),
                )
                .help(
                    "put at least one file there; `flashback-rotator init` prints one to begin with",
                );
            return Vec::new();
        }
        Ok(files) => files,
        Err(error) => {
            report_unreadable(at, &error, by_hand, diagnostics);
            return Vec::new();
        }
    };
    let mut contents = Vec::new();
    for file in files {
        match settled::read_blocking(&file) {
            Ok(mut bytes) => contents.push((file, std::mem::take(&mut *bytes))),
            Err(error) => report_unreadable(&file, &error, by_hand, diagnostics),
        }
    }
    contents
}

fn report_unreadable(at: &Path, error: &io::Error, by_hand: bool, diagnostics: &mut Diagnostics) {
    let found = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        _ => format!("the configuration cannot be read: {error}"),
    };
    let help = match (error.kind(), by_hand) {
        (io::ErrorKind::PermissionDenied, _) => {
            "let the user this runs as read it".to_owned()
        }
        (_, true) => "check the path given with `--config`; `flashback-rotator init` prints one to begin with".to_owned(),
        (_, false) => format!(
            "name it with `--config PATH` or in `${VARIABLE}`, or put it at `{DEFAULT_PATH}`; `flashback-rotator init` prints one to begin with"
        ),
    };
    diagnostics.unreadable(at.to_owned(), found).help(help);
}

fn utf8(file: &Path, bytes: Vec<u8>, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = String::from_utf8(bytes);
    if let Err(error) = &text {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        diagnostics
            .unreadable(file.to_owned(), format!("line {line} is not UTF-8 text"))
            .help("save the file as UTF-8");
    }
    text.ok()
}

/// Returns the default location of the state. systemd's StateDirectory= may name several directories; the first
/// counts.
fn default_state(directory: Option<&OsStr>) -> PathBuf {
    let first = directory.and_then(|list| std::env::split_paths(list).next());
    first.unwrap_or_else(|| PathBuf::from(".")).join("state.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_in_the_first_directory_systemd_names_else_here() {
        let state = |list: Option<&str>| default_state(list.map(OsStr::new));
        assert_eq!(state(Some("/a:/b")), Path::new("/a/state.db"));
        assert_eq!(state(None), Path::new("./state.db"));
    }
}
