//! Asks whether a token's policies allow to write a secret
//! (<https://developer.hashicorp.com/vault/api-docs/system/capabilities-self>).

use async_trait::async_trait;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde_json::json;

use super::entry::Envelope;
use super::keeper::Keeper;
use super::kv::Engine;
use super::kv_version::KvVersion;
use super::refusal::{is_denial, unexpected};
use super::token::Token;
use crate::source::contract::SourceError;

/// Asks for the capabilities of the token on one path.
struct Ask {
    place: String,
}

#[async_trait]
impl Endpoint for Ask {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        "sys/capabilities-self".to_owned()
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::POST
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let body = json!({ "paths": [self.place] });
        Ok(Some(body.to_string().into_bytes()))
    }
}

#[derive(Deserialize)]
struct Capabilities {
    capabilities: Vec<String>,
}

/// Checks that the token may read and write the secret. A policy without `sys/capabilities-self`, which the policy
/// `default` has, leaves it open: that is no error.
pub(super) async fn may_store(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    kv: KvVersion,
    path: &str,
) -> Result<(), SourceError> {
    let (place, writes): (_, &[&str]) = match kv {
        KvVersion::V1 => (format!("{}/{path}", engine.mount), &["update"]),
        KvVersion::V2 => (
            format!("{}/data/{path}", engine.mount),
            &["patch", "update"],
        ),
    };
    let ask = Ask {
        place: place.clone(),
    };
    let call = async {
        let answer = token.call(ask).await?;
        match answer.status {
            200..=299 => Ok(answer.json::<Envelope<Capabilities>>()?.data),
            status if is_denial(status) => Ok(None),
            _ => Err(unexpected(&answer, "asking for the token's capabilities")),
        }
    };
    let found = keeper.upstream().call("capabilities_self", call).await?;
    let Some(Capabilities { capabilities }) = found else {
        return Ok(());
    };
    let has = |name: &str| {
        let mut all = capabilities.iter();
        all.any(|capability| capability == name || capability == "root")
    };
    let missing = if !has("read") {
        "`read`".to_owned()
    } else if !writes.iter().any(|name| has(name)) {
        writes
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(" (or else ")
            + if writes.len() > 1 { ")" } else { "" }
    } else {
        return Ok(());
    };
    Err(SourceError::Denied {
        what: format!(
            "the token's policies lack {missing} on `{place}`{}, which writing the rotated key needs",
            engine.inside()
        ),
        status: "denied".to_owned(),
    })
}
