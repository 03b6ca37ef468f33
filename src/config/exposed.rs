//! Files with secrets in them that other users of this machine can read.
//!
//! A file counts as exposed if its mode lets others read it, each directory above it lets others through, and
//! it is on a disk. Files in memory (tmpfs, ramfs) do not count: Kubernetes, the secrets store CSI driver,
//! Vault's agent, Docker and systemd mount secrets that way, most of them with the mode 0644, where no other user
//! can reach them. A group that may read a file is assumed to be intended.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::model::Config;
use crate::credential::{SecretRef, shown_path};
use crate::model::SourceId;

/// The types that `statfs` reports for file systems in memory.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// The bits of a mode that let others read a file, and pass through a directory.
const OTHERS_READ: u32 = 0o004;
const OTHERS_PASS: u32 = 0o001;

/// Returns a warning for each exposed file that a secret reference names, and for each source with exposed
/// files. Blocks on the file system.
pub fn exposed(config: &Config) -> Vec<String> {
    let mut files: Vec<PathBuf> = config
        .credentials
        .references()
        .iter()
        .filter_map(|(_, reference)| match reference {
            SecretRef::File(path) => Some(path.clone()),
            SecretRef::Env(_) | SecretRef::Credential(_) | SecretRef::Source { .. } => None,
        })
        .collect();
    files.sort();
    files.dedup();
    let mut warnings: Vec<_> = files
        .into_iter()
        .filter(|file| is_exposed(file))
        .map(|file| {
            let file = shown_path(&file);
            format!(
                "other users of this machine can read the secret in {file}: take the right away with `chmod o-r {file}`"
            )
        })
        .collect();
    warnings.extend(in_sources(config));
    warnings
}

fn in_sources(config: &Config) -> Vec<String> {
    let mut exposed: BTreeMap<&SourceId, (&Path, usize)> = BTreeMap::new();
    for key in config.keys.values().filter(|key| key.enabled) {
        let origin = &key.origin;
        if let Some(source) = config.sources.get(&origin.source)
            && let Some(dir) = source.kind.directory()
            && is_exposed(&dir.join(&origin.path))
        {
            exposed.entry(&origin.source).or_insert((dir, 0)).1 += 1;
        }
    }
    let describe = |(id, (dir, files)): (&SourceId, (&Path, usize))| {
        let files = match files {
            1 => "the secret of 1 key".to_owned(),
            more => format!("the secrets of {more} keys"),
        };
        let dir = shown_path(dir);
        format!(
            "source `{id}`: other users of this machine can read {files} in {dir}: take the right away with `chmod o-rx {dir}`"
        )
    };
    exposed.into_iter().map(describe).collect()
}

/// Returns `true` if other users can read the file; false if it cannot be inspected, which is reported when it is
/// read.
fn is_exposed(file: &Path) -> bool {
    let may = |path: &Path, right: u32| {
        let allows = |metadata: Metadata| metadata.mode() & right != 0;
        path.metadata().is_ok_and(allows)
    };
    let Ok(file) = file.canonicalize() else {
        return false;
    };
    may(&file, OTHERS_READ)
        && file
            .ancestors()
            .skip(1)
            .all(|above| may(above, OTHERS_PASS))
        && !is_in_memory(&file)
}

fn is_in_memory(file: &Path) -> bool {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the numbers have 32 bits
    rustix::fs::statfs(file).is_ok_and(|found| IN_MEMORY.contains(&(found.f_type as u32)))
}
