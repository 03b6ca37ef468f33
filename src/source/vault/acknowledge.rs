//! Records in KV 2 which version is live, in two entries of the secret's custom metadata, which have no
//! effect on its versions (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>).
//!
//! A JSON merge patch touches these two and nothing else. Where the policy has no `patch`, or the
//! server none to offer, all of the custom metadata are read, changed and written back. OpenBao
//! counts the changes to metadata, and the write then holds only for what was read (`metadata_cas`).
//! Vault does not: an entry that another client writes between our read and our write is lost there.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde_json::{Map, Value, json};

use super::keeper::Keeper;
use super::kv::{Engine, Metadata};
use super::refusal::{denied, is_denial, unexpected};
use super::token::Token;
use crate::model::Version;
use crate::source::contract::SourceError;

const VERSION: &str = "flashback_live_version";
const AT: &str = "flashback_live_at";

/// The most attempts of a write that conflicts with others.
const TRIES: usize = 5;

/// The live version that is recorded.
pub(super) struct Live<'a> {
    pub version: &'a Version,
    pub at: DateTime<Utc>,
}

/// A request that changes a secret's metadata. vaultrs has none for a patch.
struct Change {
    mount: String,
    path: String,
    method: RequestMethod,
    body: Value,
}

#[async_trait]
impl Endpoint for Change {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("{}/metadata/{}", self.mount, self.path)
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(Some(self.body.to_string().into_bytes()))
    }
}

/// Records which version is live, or that none is.
pub(super) async fn say(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    live: Option<&Live<'_>>,
) -> Result<(), SourceError> {
    let mut may_patch = true;
    let mut tries = 0;
    loop {
        tries += 1;
        let metadata = match engine.read_metadata(keeper, token, path).await? {
            Ok(metadata) => metadata,
            // The acknowledgement was deleted with the secret.
            Err(_) if live.is_none() => return Ok(()),
            Err(missing) => return Err(invalid(missing.describe())),
        };
        let Some(entries) = entries(&metadata, live)? else {
            return Ok(());
        };
        let mut result = Ok(());
        if may_patch {
            let mut body = json!({ "custom_metadata": entries });
            // At first without: a patch needs no luck beside others who write there.
            if tries > 1 {
                check_and_set(&mut body, &metadata);
            }
            let patch = RequestMethod::PATCH;
            result = change(engine, keeper, token, path, patch, body).await;
            may_patch = !result.as_ref().is_err_and(is_no_patch);
        }
        if !may_patch {
            let mut body = json!({ "custom_metadata": merged(&metadata, entries) });
            check_and_set(&mut body, &metadata);
            let write = RequestMethod::POST;
            result = change(engine, keeper, token, path, write, body).await;
        }
        match result {
            Err(error) if is_conflict(&error) && tries < TRIES => {}
            result => return result,
        }
    }
}

async fn change(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    method: RequestMethod,
    body: Value,
) -> Result<(), SourceError> {
    let (mount, path) = (engine.mount.clone(), path.to_owned());
    let place = format!("{mount}/metadata/{path}");
    let inside = engine.inside();
    let operation = match method {
        RequestMethod::PATCH => "patch_metadata",
        _ => "write_metadata",
    };
    let request = Change {
        mount,
        path,
        method,
        body,
    };
    let call = async {
        let answer = token.call(request).await?;
        match answer.status {
            200..=299 => Ok(()),
            status if is_denial(status) => Err(denied(
                &answer,
                &format!("`patch` (or else `update`) on `{place}`{inside}"),
            )),
            _ => Err(unexpected(&answer, &format!("writing `{place}`{inside}"))),
        }
    };
    keeper.upstream().call(operation, call).await
}

/// Returns the entries to change, with null for those to remove; `None` if nothing is to change.
fn entries(
    metadata: &Metadata,
    live: Option<&Live<'_>>,
) -> Result<Option<Map<String, Value>>, SourceError> {
    let said = |name: &str| metadata.custom_metadata.as_ref()?.get(name);
    let Some(Live { version, at }) = live else {
        let is_said = said(VERSION).is_some() || said(AT).is_some();
        let nothing = [VERSION, AT].map(|name| (name.to_owned(), Value::Null));
        return Ok(is_said.then(|| nothing.into_iter().collect()));
    };
    let label = version.label();
    let is_there = metadata.versions.get(label).is_some_and(|entry| {
        version
            .number()
            .map(|n| Version::numbered(n, &entry.created_time))
            .as_ref()
            == Some(*version)
    });
    if !is_there {
        return Err(invalid("the store no longer has the version that is live"));
    }
    if said(VERSION).is_some_and(|said| said == label) {
        return Ok(None);
    }
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let entries = [(VERSION, label), (AT, &at)];
    let entries = entries.map(|(name, value)| (name.to_owned(), json!(value)));
    Ok(Some(entries.into_iter().collect()))
}

/// Returns all custom metadata with these entries changed.
fn merged(metadata: &Metadata, entries: Map<String, Value>) -> Map<String, Value> {
    let mut all = metadata.custom_metadata.clone().unwrap_or_default();
    for (name, value) in entries {
        match value {
            Value::Null => all.remove(&name),
            value => all.insert(name, value),
        };
    }
    all
}

/// Makes the write conditional on the metadata that were read, if the server counts changes.
fn check_and_set(body: &mut Value, metadata: &Metadata) {
    if let Some(count) = metadata.current_metadata_version {
        body["metadata_cas"] = json!(count);
    }
}

/// Returns `true` if the policy does not allow a patch, or the server does not support it.
fn is_no_patch(error: &SourceError) -> bool {
    match error {
        SourceError::Denied { .. } => true,
        SourceError::Protocol { status, .. } => matches!(&**status, "405" | "415"),
        _ => false,
    }
}

/// Returns `true` if the metadata may have changed since they were read, or require check-and-set.
fn is_conflict(error: &SourceError) -> bool {
    matches!(error, SourceError::Protocol { status, .. } if status == "400")
}

fn invalid(what: &str) -> SourceError {
    SourceError::Invalid {
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(custom: &Value) -> Metadata {
        serde_json::from_value(json!({
            "current_version": 2, "oldest_version": 1, "custom_metadata": custom,
            "versions": {"2": {"created_time": "2026-01-02T00:00:00Z", "deletion_time": "", "destroyed": false}},
        }))
        .expect("metadata")
    }

    #[test]
    fn only_what_differs_is_written_and_nothing_of_others() {
        let version = Version::numbered(2, "2026-01-02T00:00:00Z");
        let at = DateTime::from_timestamp(1_767_225_600, 5).expect("a time");
        let live = Some(Live {
            version: &version,
            at,
        });
        let found = metadata(&json!({"owner": "ai", VERSION: "1", AT: "then"}));
        let change = entries(&found, live.as_ref())
            .expect("there")
            .expect("a change");
        let expected = json!({VERSION: "2", AT: "2026-01-01T00:00:00Z"});
        assert_eq!(Value::Object(change.clone()), expected);
        let whole = json!({"owner": "ai", VERSION: "2", AT: "2026-01-01T00:00:00Z"});
        assert_eq!(Value::Object(merged(&found, change)), whole);

        let told = metadata(&json!({VERSION: "2", AT: "earlier"}));
        assert_eq!(
            entries(&told, live.as_ref()),
            Ok(None),
            "the first time stays"
        );
        let gone = entries(&found, None).expect("there").expect("a change");
        assert_eq!(Value::Object(merged(&found, gone)), json!({"owner": "ai"}));
        assert_eq!(entries(&metadata(&Value::Null), None), Ok(None));
    }

    #[test]
    fn a_version_of_an_earlier_life_is_not_called_live() {
        for version in [
            Version::numbered(2, "2025-01-02T00:00:00Z"),
            Version::numbered(1, "2026-01-02T00:00:00Z"),
            Version::new("fp-1"),
        ] {
            let at = Utc::now();
            let live = Live {
                version: &version,
                at,
            };
            assert!(entries(&metadata(&Value::Null), Some(&live)).is_err());
        }
    }
}
