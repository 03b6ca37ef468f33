//! The sources of the rotator's own credentials: environment variables, files and systemd credentials.
//!
//! A reference is resolved each time its value is needed, so that a rotated file is picked up without a
//! restart. Errors name the variable or file, never the contents. A name that looks like a secret is masked
//! as well, because a user may have written the secret itself in its place: `{ env = "sk-…" }`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroize;

use crate::model::SourceId;
use crate::redact;
use crate::secret::Secret;
use crate::settled;

/// The location of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "PATH" }`.
    File(PathBuf),
    /// `{ credential = "NAME" }`.
    Credential(String),
    /// `{ source = "ID", path = "…", field = "…" }`.
    Source {
        /// The source.
        source: SourceId,
        /// The path in it.
        path: String,
        /// The field; where left out, the only one.
        field: Option<String>,
    },
}

impl SecretRef {
    /// Returns the source that holds the secret, if one does.
    pub fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Source { source, .. } => Some(source),
            Self::Env(_) | Self::File(_) | Self::Credential(_) => None,
        }
    }
}

/// A text that is not secret: a plain text or a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueRef {
    /// Written in the configuration.
    Plain(String),
    /// Kept elsewhere.
    Ref(SecretRef),
}

impl ValueRef {
    /// Returns the credential that yields the text; `secret` resolves a reference.
    pub fn resolve(&self, secret: &dyn Fn(&SecretRef) -> SharedCredential) -> SharedCredential {
        match self {
            Self::Plain(text) => Arc::new(Plain(text.clone())),
            Self::Ref(reference) => secret(reference),
        }
    }
}

/// A credential that is fetched each time it is needed.
#[async_trait]
pub trait Credential: Send + Sync {
    /// Fetches the current value.
    ///
    /// # Errors
    /// Returns [`CredentialError`], which names the location and never the value.
    async fn fetch(&self) -> Result<Secret, CredentialError>;
}

/// The error of a credential that could not be fetched.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialError {
    /// The environment variable is not set, is empty or is not UTF-8.
    #[error(
        "the environment variable {} is not set, or is empty",
        redact::shown(name)
    )]
    Env {
        /// The name of the variable.
        name: String,
    },
    /// The file cannot be read, or its contents cannot be used.
    #[error("cannot read {}: {reason}", shown_path(path))]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The reason: the operating system's message, or this program's.
        reason: String,
    },
    /// A systemd credential is configured, but the process does not run in a systemd unit that loads
    /// credentials.
    #[error(
        "$CREDENTIALS_DIRECTORY is not set, so the credential `{}` cannot be found: it is set by systemd for LoadCredential=",
        redact::shown(name)
    )]
    NoCredentialsDirectory {
        /// The name of the credential.
        name: String,
    },
    /// The source that should supply the credential does not have it, or cannot be read.
    #[error("source `{source_id}`, path `{path}`: {reason}")]
    Source {
        /// The id of the source.
        source_id: String,
        /// The path in the source.
        path: String,
        /// The error of the source.
        reason: String,
    },
}

/// A credential from an environment variable: `{ env = "NAME" }`.
pub struct FromEnv(pub String);

#[async_trait]
impl Credential for FromEnv {
    async fn fetch(&self) -> Result<Secret, CredentialError> {
        match std::env::var(&self.0) {
            Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
            _ => Err(CredentialError::Env {
                name: self.0.clone(),
            }),
        }
    }
}

/// A credential from a file: `{ file = "PATH" }`. One trailing newline is removed.
pub struct FromFile(pub PathBuf);

#[async_trait]
impl Credential for FromFile {
    async fn fetch(&self) -> Result<Secret, CredentialError> {
        read_file(&self.0).await
    }
}

/// A credential from a file in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)): `{ credential = "NAME" }`.
pub struct FromSystemd(pub String);

#[async_trait]
impl Credential for FromSystemd {
    async fn fetch(&self) -> Result<Secret, CredentialError> {
        let Some(directory) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
            return Err(CredentialError::NoCredentialsDirectory {
                name: self.0.clone(),
            });
        };
        read_file(&Path::new(&directory).join(&self.0)).await
    }
}

/// A literal value that is no secret, where the configuration allows one.
pub struct Plain(pub String);

#[async_trait]
impl Credential for Plain {
    async fn fetch(&self) -> Result<Secret, CredentialError> {
        Ok(Secret::new(self.0.clone()))
    }
}

/// A credential that several components share.
pub type SharedCredential = Arc<dyn Credential>;

async fn read_file(path: &Path) -> Result<Secret, CredentialError> {
    let fail = |reason: String| CredentialError::File {
        path: path.to_owned(),
        reason,
    };
    let mut bytes = settled::read(path)
        .await
        .map_err(|error| fail(error.to_string()))?;
    let mut text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        error.into_bytes().zeroize();
        fail("it is not UTF-8 text".to_owned())
    })?;
    trim_one_newline(&mut text);
    if text.is_empty() {
        return Err(fail("it is empty".to_owned()));
    }
    Ok(Secret::new(text))
}

/// Returns a path in the form that messages may show: a part that looks like a secret is masked. No secret
/// begins with `/`, so the directories of an absolute path are shown as they are. Its file name may be the
/// misplaced name of a systemd credential, and a relative path may be a secret as a whole.
pub fn shown_path(path: &Path) -> String {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    match path.parent() {
        Some(parent) if path.is_absolute() => {
            parent.join(redact::shown(&last)).display().to_string()
        }
        _ => redact::shown(&path.to_string_lossy()).to_owned(),
    }
}

/// Removes one trailing `\n` or `\r\n`. Editors and `echo` add it, and no key ends with it.
pub fn trim_one_newline(text: &mut String) {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_anew_each_time_and_loses_one_newline() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let credential = FromFile(path.clone());
        for (written, expected) in [
            ("one\n", "one"),
            ("two\r\n", "two"),
            ("three\n\n", "three\n"),
        ] {
            std::fs::write(&path, written).expect("written");
            assert_eq!(credential.fetch().await.expect("read").expose(), expected);
        }
        for unusable in ["", "\n"] {
            std::fs::write(&path, unusable).expect("written");
            let error = credential.fetch().await.expect_err("empty").to_string();
            assert!(
                error.contains("token") && error.contains("empty"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_missing_place_is_named() {
        let error = FromEnv("NO_SUCH_VARIABLE_HERE".into())
            .fetch()
            .await
            .expect_err("unset");
        assert!(error.to_string().contains("NO_SUCH_VARIABLE_HERE"));
        let error = FromFile("/no/such/file".into())
            .fetch()
            .await
            .expect_err("absent");
        assert!(error.to_string().contains("/no/such/file"));
    }

    #[tokio::test]
    async fn a_place_that_may_be_the_secret_itself_is_not_named() {
        let secret = "sk-proj-canary";
        for credential in [
            &FromEnv(secret.into()) as &dyn Credential,
            &FromFile(secret.into()),
            &FromFile(Path::new("/run/credentials").join(secret)),
            &FromSystemd(secret.into()),
        ] {
            let error = credential.fetch().await.expect_err("absent").to_string();
            assert!(error.contains('…') && !error.contains("canary"), "{error}");
        }
    }
}
