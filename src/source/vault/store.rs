//! Writes new credentials into a secret.
//!
//! KV 2 writes a version only over the one that the caller names (`cas`), so that of two writers one is told of the
//! other. A JSON merge patch (`PATCH`) leaves the other fields to the server; where the policy has no `patch`, the server
//! none to offer, the field is inside a list, or a number in the secret would not survive (OpenBao 2.7 applies a patch with
//! floating-point numbers: 123456789012345678901234567890 becomes 1.2345678901234568e+29), all fields are written as
//! they were read. Custom metadata belong to the
//! secret and not to a version, and stay
//! (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#patch-secret>).
//!
//! KV 1 has no check-and-set: the secret is read, compared and written whole. What another client writes in between is
//! lost there.

use async_trait::async_trait;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde_json::value::RawValue;
use vaultrs::api::kv1::requests::GetSecretRequest;
use vaultrs::api::kv2::requests::ReadSecretRequest;
use vaultrs::api::kv2::responses::SecretVersionMetadata;
use zeroize::Zeroizing;

use super::entry::{Envelope, incomplete, version};
use super::keeper::Keeper;
use super::kv::Engine;
use super::refusal::{denied, is_denial, unexpected};
use super::token::Token;
use super::wire::Answer;
use crate::document::{self, Document};
use crate::model::Version;
use crate::secret::Fingerprinter;
use crate::source::contract::SourceError;
use crate::source::replacement::{Replacement, StoreOutcome};

/// The secret as it is now.
struct Current {
    /// Its version; `None` if there is no value.
    version: Option<Version>,
    /// The number of the newest version in KV 2, which may be deleted; 0 if there is none.
    number: u64,
    /// The text of the object of fields.
    text: Option<Zeroizing<String>>,
}

/// A version in KV 2, of which the data are not parsed.
#[derive(Deserialize)]
struct RawVersion<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: SecretVersionMetadata,
}

/// A request that changes data. vaultrs writes none from a text, and has none for a patch.
struct Change {
    place: String,
    method: RequestMethod,
    body: Zeroizing<String>,
    /// The capability that it needs, for people.
    needs: &'static str,
}

#[async_trait]
impl Endpoint for Change {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.place.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(Some(self.body.as_bytes().to_vec()))
    }
}

/// Writes into KV 2.
pub(super) async fn store(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    new: &Replacement<'_>,
) -> Result<StoreOutcome, SourceError> {
    let current = read(engine, keeper, token, path).await?;
    if let Some(outcome) = settled(&current, new) {
        return Ok(outcome);
    }
    match write(engine, keeper, token, path, new, &current).await {
        // Vault answers 400 to a version that is not the newest, and 404 to a patch of one that is gone.
        Err(SourceError::Protocol { status, what }) if matches!(&*status, "400" | "404") => {
            let now = read(engine, keeper, token, path).await?;
            settled(&now, new).ok_or(SourceError::Invalid { what })
        }
        result => result.map(StoreOutcome::Stored),
    }
}

/// Writes into KV 1. The digest of its content stands for its version.
pub(super) async fn store_unversioned(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    new: &Replacement<'_>,
    fingerprinter: &Fingerprinter,
) -> Result<StoreOutcome, SourceError> {
    let current = read_unversioned(engine, keeper, token, path, fingerprinter).await?;
    if let Some(outcome) = settled(&current, new) {
        return Ok(outcome);
    }
    let body = rewritten(&current, new)?;
    let document = Document::from_text(body.to_string());
    let change = Change {
        place: format!("{}/{path}", engine.mount),
        method: RequestMethod::POST,
        body,
        needs: current.needs(),
    };
    send(engine, keeper, token, change, "write_data", |_| Ok(())).await?;
    let version = Version::of_fingerprint(&document.fingerprint(fingerprinter));
    Ok(StoreOutcome::Stored(version))
}

/// Returns the outcome if nothing is to be written: another version is the newest, or an earlier call has written these
/// credentials and its answer was lost.
fn settled(current: &Current, new: &Replacement<'_>) -> Option<StoreOutcome> {
    if current.version.as_ref() == new.expected {
        return None;
    }
    let found = current.version.as_ref().zip(current.text.as_ref());
    let ours = found.filter(|(_, text)| {
        Document::from_text(text.to_string()).holds(new.fields, new.credentials)
    });
    Some(match ours {
        Some((version, _)) => StoreOutcome::Stored(version.clone()),
        None => StoreOutcome::Conflict,
    })
}

/// Writes the version after the current one.
async fn write(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    new: &Replacement<'_>,
    current: &Current,
) -> Result<Version, SourceError> {
    let place = format!("{}/data/{path}", engine.mount);
    let written = |answer: &Answer| {
        let metadata = answer.json::<Envelope<SecretVersionMetadata>>()?.data;
        let metadata = metadata.ok_or_else(|| incomplete("it has no data"))?;
        version(metadata.version, &metadata.created_time)
    };
    let patch = match &current.text {
        Some(text) => document::merge_patch(text, new.fields, new.credentials)
            .map_err(SourceError::Malformed)?,
        None => None,
    };
    let mut needs = current.needs();
    if let Some(patch) = patch {
        let change = Change {
            place: place.clone(),
            method: RequestMethod::PATCH,
            body: checked(&patch, current.number),
            needs: "`patch`",
        };
        let result = send(engine, keeper, token, change, "patch_data", written).await;
        if !result.as_ref().is_err_and(is_no_patch) {
            return result;
        }
        needs = "`patch` (or else `update`)";
    }
    let change = Change {
        place,
        method: RequestMethod::POST,
        body: checked(&rewritten(current, new)?, current.number),
        needs,
    };
    send(engine, keeper, token, change, "write_data", written).await
}

/// Returns the object of fields with the new credentials in it.
fn rewritten(current: &Current, new: &Replacement<'_>) -> Result<Zeroizing<String>, SourceError> {
    let text = current.text.as_ref().map(|text| text.as_str());
    let text =
        document::rewritten(text, new.fields, new.credentials).map_err(SourceError::Malformed)?;
    match text.starts_with('{') {
        true => Ok(text),
        false => Err(SourceError::Invalid {
            what: "a secret in Vault is an object: name the field of the new one with `fields = { secret = \"…\" }`"
                .to_owned(),
        }),
    }
}

/// Makes a write conditional on the number of the newest version.
fn checked(data: &str, number: u64) -> Zeroizing<String> {
    let head = format!("{{\"options\":{{\"cas\":{number}}},\"data\":");
    let mut body = Zeroizing::new(String::with_capacity(head.len() + data.len() + 1));
    body.push_str(&head);
    body.push_str(data);
    body.push('}');
    body
}

async fn send<T: Send>(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    change: Change,
    operation: &'static str,
    written: impl Fn(&Answer) -> Result<T, SourceError> + Send,
) -> Result<T, SourceError> {
    let (place, inside, needs) = (change.place.clone(), engine.inside(), change.needs);
    let call = async {
        let answer = token.call(change).await?;
        match answer.status {
            200..=299 => written(&answer),
            status if is_denial(status) => {
                Err(denied(&answer, &format!("{needs} on `{place}`{inside}")))
            }
            _ => Err(unexpected(&answer, &format!("writing `{place}`{inside}"))),
        }
    };
    keeper.upstream().call(operation, call).await
}

/// Returns `true` if the policy does not allow a patch, or the server does not support it.
fn is_no_patch(error: &SourceError) -> bool {
    match error {
        SourceError::Denied { .. } => true,
        SourceError::Protocol { status, .. } => matches!(&**status, "405" | "415"),
        _ => false,
    }
}

/// Reads the newest version in KV 2.
async fn read(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
) -> Result<Current, SourceError> {
    let place = format!("{}/data/{path}", engine.mount);
    let request = ReadSecretRequest {
        mount: engine.mount.clone(),
        path: path.to_owned(),
        version: None,
    };
    let call = async {
        let answer = token.call(request).await?;
        match answer.status {
            200..=299 => match answer.json::<Envelope<RawVersion<'_>>>()?.data {
                Some(found) => current(&found),
                None => Err(incomplete("it has no data")),
            },
            // The newest version is deleted or destroyed, or there is no such secret.
            404 => match answer.json::<Envelope<RawVersion<'_>>>() {
                Ok(Envelope { data: Some(found) }) => current(&found),
                _ => engine.nothing(&answer, &place).map(|_| Current::none()),
            },
            status if is_denial(status) => Err(denied(&answer, &engine.needs(&place))),
            _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
        }
    };
    keeper.upstream().call("read_data", call).await
}

fn current(found: &RawVersion<'_>) -> Result<Current, SourceError> {
    let metadata = &found.metadata;
    let version = version(metadata.version, &metadata.created_time)?;
    let text = found.data.map(|data| Zeroizing::new(data.get().to_owned()));
    Ok(Current {
        version: text.is_some().then_some(version),
        number: metadata.version,
        text,
    })
}

async fn read_unversioned(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    fingerprinter: &Fingerprinter,
) -> Result<Current, SourceError> {
    let place = format!("{}/{path}", engine.mount);
    let request = GetSecretRequest {
        mount: engine.mount.clone(),
        path: path.to_owned(),
    };
    let call = async {
        let answer = token.call(request).await?;
        match answer.status {
            200..=299 => {
                let Some(data) = answer.json::<Envelope<&RawValue>>()?.data else {
                    return Ok(Current::none());
                };
                let document = Document::from_text(data.get().to_owned());
                Ok(Current {
                    version: Some(Version::of_fingerprint(
                        &document.fingerprint(fingerprinter),
                    )),
                    number: 0,
                    text: Some(Zeroizing::new(data.get().to_owned())),
                })
            }
            404 => engine.nothing(&answer, &place).map(|_| Current::none()),
            status if is_denial(status) => Err(denied(&answer, &engine.needs(&place))),
            _ => Err(unexpected(&answer, &format!("reading `{place}`"))),
        }
    };
    keeper.upstream().call("read_data", call).await
}

impl Current {
    fn none() -> Self {
        Self {
            version: None,
            number: 0,
            text: None,
        }
    }

    /// Returns the capability that a write needs: to a policy, a secret without any version is a new one.
    fn needs(&self) -> &'static str {
        match (&self.version, self.number) {
            (None, 0) => "`create`",
            _ => "`update`",
        }
    }
}
