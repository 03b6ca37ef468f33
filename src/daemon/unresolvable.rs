//! Secret references that can never resolve: a variable that is not set, a file that does not exist.
//!
//! A process cannot get another environment, and a file that never existed is most likely a mistake in the
//! configuration. A first start with such a reference is refused, so that the mistake shows at once. If the
//! state says that keys have been delivered before, it is treated as an outage instead, which must not stop
//! the other keys.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use crate::config::{Config, Owner};
use crate::credential::{CredentialError, SecretRef};
use crate::state::StateStore;

use super::StartError;

/// The time limit for checking a file. If it is exceeded, the file is on a mount that does not answer and may come
/// back.
const ANSWER: Duration = Duration::from_secs(2);

/// Refuses a start if the state's own credential is missing: without the state it is not known whether keys
/// have been delivered before.
///
/// # Errors
/// Returns [`StartError::Unresolvable`] if it is missing.
pub async fn check_state(config: &Config) -> Result<(), StartError> {
    let missing = missing(config).await.into_iter();
    refuse(missing.filter(|(owner, _)| *owner == Owner::State))
}

/// Refuses a start with other references that can never resolve, unless keys have been delivered before.
///
/// # Errors
/// Returns [`StartError::Unresolvable`], or the error of the state.
pub async fn check(config: &Config, store: &dyn StateStore) -> Result<(), StartError> {
    let missing = missing(config).await;
    if missing.is_empty() {
        return Ok(());
    }
    // A daemon that has delivered keys goes on, even if one of its sources or receivers lacks a credential.
    let has_worked = store
        .load_all()
        .await?
        .iter()
        .any(|record| record.live.is_some());
    match has_worked {
        true => Ok(()),
        false => refuse(missing.into_iter()),
    }
}

fn refuse(missing: impl Iterator<Item = (Owner, CredentialError)>) -> Result<(), StartError> {
    let lines: Vec<_> = missing
        .map(|(owner, error)| format!("{owner}: {error}"))
        .collect();
    match lines.is_empty() {
        true => Ok(()),
        false => Err(StartError::Unresolvable(lines.join("; "))),
    }
}

/// Returns the references of `config` that do not resolve and that waiting does not help.
async fn missing(config: &Config) -> Vec<(Owner, CredentialError)> {
    let looks = config
        .credentials
        .references()
        .iter()
        .map(|(owner, reference)| async {
            let reference = reference.clone();
            let look = tokio::task::spawn_blocking(move || unresolvable(&reference));
            let found = tokio::time::timeout(ANSWER, look).await;
            Some((owner.clone(), found.ok()?.ok()??))
        });
    join_all(looks).await.into_iter().flatten().collect()
}

fn unresolvable(reference: &SecretRef) -> Option<CredentialError> {
    match reference {
        SecretRef::Env(name) => {
            let is_set = std::env::var_os(name).is_some_and(|value| !value.is_empty());
            (!is_set).then(|| CredentialError::Env { name: name.clone() })
        }
        SecretRef::File(path) => unreadable(path),
        SecretRef::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            None => Some(CredentialError::NoCredentialsDirectory { name: name.clone() }),
            Some(directory) => unreadable(&Path::new(&directory).join(name)),
        },
        // A source may be down and recover.
        SecretRef::Source { .. } => None,
    }
}

/// Returns why a file can never be read; `None` if it can, or if the error may be temporary, as one of the disk or
/// the network does.
fn unreadable(path: &Path) -> Option<CredentialError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let found = path.metadata().and_then(|metadata| {
        // Opening a pipe would wait for a writer.
        match metadata.is_file() {
            true => std::fs::File::open(path).map(drop),
            false if metadata.is_dir() => Err(IsADirectory.into()),
            false => Ok(()),
        }
    });
    let error = found.err()?;
    let lasts = [NotFound, NotADirectory, IsADirectory, PermissionDenied].contains(&error.kind());
    lasts.then(|| CredentialError::File {
        path: PathBuf::from(path),
        reason: error.to_string(),
    })
}
