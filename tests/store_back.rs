//! Writing new credentials back into a source: what is written, what is not, and what is known after a lost answer.

mod aws;
mod cutting;
mod file;
mod vault;

use flashback_rotator::document::FieldMap;
use flashback_rotator::model::{Observation, Version};
use flashback_rotator::secret::{Credentials, Secret};
use flashback_rotator::source::{Reading, Replacement, Source, SourceError, StoreOutcome};

/// The tokens of two rotations.
const TOKEN: &str = "0f6d3c52-6f1e-4d1c-9a55-0d1f0b7c2a01";
const OTHER: &str = "0f6d3c52-6f1e-4d1c-9a55-0d1f0b7c2a02";

/// The new value, which no error shows.
const NEW: &str = "sk-new-canary";

fn fields(key: Option<&str>, secret: Option<&str>) -> FieldMap {
    FieldMap {
        key: key.map(str::to_owned),
        secret: secret.map(str::to_owned),
    }
}

fn credentials(secret: &str) -> Credentials {
    Credentials {
        key: None,
        secret: Secret::new(secret.to_owned()),
    }
}

/// Writes a value into the field `key` under a token.
async fn store_as(
    source: &dyn Source,
    path: &str,
    expected: Option<&Version>,
    value: &str,
    token: &str,
) -> Result<StoreOutcome, SourceError> {
    let new = Replacement {
        expected,
        fields: &fields(None, Some("key")),
        credentials: &credentials(value),
        token,
    };
    let stored = source.store(path, &new).await;
    if let Err(error) = &stored {
        assert!(!format!("{error} {error:?}").contains(value), "{error}");
    }
    stored
}

async fn store(
    source: &dyn Source,
    path: &str,
    expected: Option<&Version>,
) -> Result<StoreOutcome, SourceError> {
    store_as(source, path, expected, NEW, TOKEN).await
}

async fn version(source: &dyn Source, path: &str) -> Version {
    match source.observe_anew(path).await.expect("looked") {
        Observation::Present { version, .. } => version,
        Observation::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

/// Reads a field of the newest version.
async fn value(source: &dyn Source, path: &str, field: &str) -> String {
    match source.read_newest(path, None).await.expect("read") {
        Reading::Present { document, .. } => {
            document.field(field).expect("a field").expose().to_owned()
        }
        Reading::Missing(why) => panic!("{path} is missing: {why:?}"),
    }
}

/// Returns the version that was stored.
fn stored(outcome: Result<StoreOutcome, SourceError>) -> Version {
    match outcome {
        Ok(StoreOutcome::Stored(version)) => version,
        other => panic!("{other:?}"),
    }
}
