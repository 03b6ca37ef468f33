//! Replaces one file below a directory by one with new credentials: as a whole, with its mode and its owner, and only
//! where the file itself is kept. Extended attributes and access control lists are not taken over.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::reading::Place;
use crate::document::{self, Document, FieldMap, Malformed};
use crate::files::{self, Draft};
use crate::secret::Credentials;
use crate::settled::Stamp;
use crate::source::contract::SourceError;
use crate::source::replacement::Replacement;

/// What a mount of Kubernetes leads to its files by.
const MOUNTED: &str = "..data";

/// New credentials for a file that is still as it was read.
pub(super) struct New {
    place: Place,
    /// How the file was; `None` if there was none.
    stamp: Option<Stamp>,
    fields: FieldMap,
    credentials: Credentials,
    token: String,
}

impl New {
    /// Takes what is needed in another thread.
    pub(super) fn of(
        place: Place,
        stamp: Option<Stamp>,
        new: &Replacement<'_>,
    ) -> Result<Self, SourceError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if new.token.is_empty() || new.token.len() > 64 || !new.token.chars().all(is_plain) {
            return Err(invalid(
                "the token of a new version has letters, digits and hyphens alone",
            ));
        }
        Ok(Self {
            place,
            stamp,
            fields: new.fields.clone(),
            credentials: new.credentials.clone(),
            token: new.token.to_owned(),
        })
    }

    /// Writes the file and returns what is in it; `None` if it has changed since it was read, and nothing was written.
    pub(super) fn write(&self) -> Result<Option<Document>, SourceError> {
        let rewritten = |text: Option<&str>| {
            document::rewritten(text, &self.fields, &self.credentials)
                .map_err(SourceError::Malformed)
        };
        let Some(stamp) = self.stamp else {
            let place = self.place.vacant()?;
            check_mount(&self.place, &place)?;
            return self.replace(&place, &rewritten(None)?, "", None);
        };
        let Some(found) = self.place.read()?.filter(|found| found.stamp == stamp) else {
            return Ok(None);
        };
        let text = found.text.map(Zeroizing::new);
        let text = text.ok_or(SourceError::Malformed(Malformed::Binary))?;
        let metadata = check_file(&self.place, &found.place)?;
        self.replace(
            &found.place,
            &rewritten(Some(&text))?,
            found.ending,
            Some(&metadata),
        )
    }

    fn replace(
        &self,
        place: &Path,
        text: &Zeroizing<String>,
        ending: &str,
        like: Option<&Metadata>,
    ) -> Result<Option<Document>, SourceError> {
        let mut contents = Zeroizing::new(Vec::with_capacity(text.len() + ending.len()));
        contents.extend_from_slice(text.as_bytes());
        contents.extend_from_slice(ending.as_bytes());
        let draft = Draft::write(place, &self.token, &contents, like)
            .map_err(|error| refused(&self.place, &error))?;
        if self.place.stamp()? != self.stamp {
            return Ok(None);
        }
        match draft.put() {
            Ok(()) => Ok(Some(Document::from_text(text.to_string()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(refused(&self.place, &error)),
        }
    }
}

/// Checks, without writing, that a file could be replaced: by the permissions of its directory, and by its owner.
pub(super) fn may_write(place: &Place) -> Result<(), SourceError> {
    let (real, found) = match place.read()? {
        Some(found) => {
            drop(found.text.map(Zeroizing::new));
            let metadata = check_file(place, &found.place)?;
            (found.place, Some(metadata))
        }
        None => {
            let real = place.vacant()?;
            check_mount(place, &real)?;
            (real, None)
        }
    };
    let directory = real.parent().map_or_else(PathBuf::new, Path::to_owned);
    let access = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, &directory, access, AtFlags::empty())
        .map_err(|errno| refused(place, &errno.into()))?;
    let user = rustix::process::geteuid();
    match found {
        Some(found) if !user.is_root() && found.uid() != user.as_raw() => {
            Err(refused(place, &Errno::PERM.into()))
        }
        _ => Ok(()),
    }
}

/// Checks that replacing a file leaves nothing behind that is still taken for it.
fn check_file(place: &Place, real: &Path) -> Result<Metadata, SourceError> {
    check_mount(place, real)?;
    let metadata = fs::symlink_metadata(real).map_err(|error| refused(place, &error))?;
    files::check(&metadata)
        .map_err(|why| invalid(&format!("`{}` cannot be replaced: {why}", place.shown())))?;
    Ok(metadata)
}

/// Refuses a file in a mount of Kubernetes, which puts back what its Secret says.
fn check_mount(place: &Place, real: &Path) -> Result<(), SourceError> {
    let directory = real.parent().unwrap_or(real);
    let is_mounted = |above: &Path| {
        let name = above.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(b"..") || above.join(MOUNTED).symlink_metadata().is_ok()
    };
    match directory.ancestors().any(is_mounted) {
        true => Err(invalid(&format!(
            "`{}` is mounted by Kubernetes, which would undo a change: rotated keys can be written into the store that its Secret is made of",
            place.shown()
        ))),
        false => Ok(()),
    }
}

fn refused(place: &Place, error: &io::Error) -> SourceError {
    let path = place.shown();
    let denied = |what: String| SourceError::Denied {
        what,
        status: "denied".to_owned(),
    };
    match Errno::from_io_error(error) {
        Some(Errno::ROFS) => invalid(&format!(
            "`{path}` is on a read-only file system, so no rotated key can be written into it"
        )),
        Some(Errno::PERM) => denied(format!(
            "the rotator's user may not give the new `{path}` the owner of the old one: it must own it"
        )),
        Some(Errno::ACCESS) => denied(format!(
            "the rotator's user may not write into the directory of `{path}`"
        )),
        _ => SourceError::Unavailable {
            what: format!("cannot write `{path}`: {}", error.kind()),
            status: "io".to_owned(),
            retry_after: None,
        },
    }
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid {
        what: what.to_owned(),
    }
}
