//! Resolves the secret references of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::credential::{
    Credential, CredentialError, FromEnv, FromFile, FromSystemd, SecretRef, SharedCredential,
};
use crate::model::{Observation, SourceId};
use crate::secret::Secret;
use crate::source::{Reading, Source, why_missing};

/// A credential in a source: `{ source = "ID", path = "…", field = "…" }`.
pub struct FromSource {
    pub source: Arc<dyn Source>,
    pub path: String,
    pub field: Option<String>,
}

#[async_trait]
impl Credential for FromSource {
    async fn fetch(&self) -> Result<Secret, CredentialError> {
        let fail = |reason: String| CredentialError::Source {
            source_id: self.source.id().to_string(),
            path: self.path.clone(),
            reason,
        };
        let observation = self.source.observe(&self.path).await;
        let version = match observation.map_err(|error| fail(error.to_string()))? {
            Observation::Present { version, .. } => version,
            Observation::Missing(why) => {
                let words = why_missing(self.source.as_ref(), &self.path, why).await;
                return Err(fail(words));
            }
        };
        let reading = self.source.read(&self.path, &version).await;
        let document = match reading.map_err(|error| fail(error.to_string()))? {
            Reading::Present { document, .. } => document,
            Reading::Missing(why) => return Err(fail(why.describe().to_owned())),
        };
        let secret = match &self.field {
            Some(field) => document.field(field),
            None => document.only_field(),
        };
        secret.map_err(|error| fail(error.to_string()))
    }
}

/// Returns the credential that a reference names. The sources that hold credentials are built before those who need them.
pub(super) fn credential(
    reference: &SecretRef,
    sources: &BTreeMap<SourceId, Arc<dyn Source>>,
) -> SharedCredential {
    match reference {
        SecretRef::Env(name) => Arc::new(FromEnv(name.clone())),
        SecretRef::File(path) => Arc::new(FromFile(path.clone())),
        SecretRef::Credential(name) => Arc::new(FromSystemd(name.clone())),
        SecretRef::Source {
            source,
            path,
            field,
        } => Arc::new(FromSource {
            source: Arc::clone(&sources[source]),
            path: path.clone(),
            field: field.clone(),
        }),
    }
}
