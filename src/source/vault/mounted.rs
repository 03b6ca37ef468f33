//! Checks which engine is mounted at the configured path.
//!
//! If the configuration names the wrong KV version or mount, Vault answers as if the secret were missing or denied.
//! After such an answer the engine is checked.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use serde::Deserialize;

use super::entry::Envelope;
use super::keeper::Keeper;
use super::kv::{Engine, is_kv_2};
use super::kv_version::KvVersion;
use super::token::Token;
use crate::redact;
use crate::source::contract::SourceError;

/// The time for which denials and checks are remembered. Policies and mounts change.
pub(super) const DENIED_FOR: Duration = Duration::from_secs(60 * 60);

/// The request for the engine that a path belongs to. It is allowed to any token that has some permission there.
struct MountOf {
    path: String,
}

#[async_trait]
impl Endpoint for MountOf {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("/sys/internal/ui/mounts/{}", self.path)
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::GET
    }
}

/// The answer to [`MountOf`].
#[derive(Deserialize)]
struct Mounted {
    /// The path of the mount, with a slash at its end.
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<HashMap<String, String>>,
}

impl Mounted {
    /// Returns the version of the KV engine; `None` for an engine of another kind.
    fn version(&self) -> Option<KvVersion> {
        let version = self.options.as_ref().and_then(|all| all.get("version"));
        match (&*self.kind, version.map(String::as_str)) {
            ("kv", Some("2")) => Some(KvVersion::V2),
            ("kv" | "generic", _) => Some(KvVersion::V1),
            _ => None,
        }
    }
}

/// Returns a path with its mount and namespace and the version of KV that it is read as, for people.
pub(super) fn place(engine: &Engine, path: &str, kv: KvVersion) -> String {
    let version = match kv {
        KvVersion::V1 => "KV 1",
        KvVersion::V2 => "KV 2",
    };
    let (path, mount, inside) = (redact::shown(path), &engine.mount, engine.inside());
    format!("`{path}` in the mount `{mount}`{inside}, read as {version}")
}

/// Checks which engine is mounted at the configured path. Returns without an error if the token may not know.
///
/// # Errors
/// Returns [`SourceError::Invalid`] if it is another engine than `kv`, or mounted elsewhere.
pub(super) async fn check_mounted(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    kv: KvVersion,
) -> Result<(), SourceError> {
    let mount = &engine.mount;
    let request = MountOf {
        path: mount.clone(),
    };
    let call = async {
        let answer = token.call(request).await?;
        match answer.status {
            200..=299 => Ok(answer.json::<Envelope<Mounted>>()?.data),
            _ => Ok(None),
        }
    };
    let Some(mounted) = keeper.upstream().call("read_mount", call).await? else {
        return Ok(());
    };
    let inside = engine.inside();
    let invalid = |what| Err(SourceError::Invalid { what });
    let place = mounted.path.trim_end_matches('/');
    if place != mount && mount.starts_with(place) {
        return invalid(format!(
            "`{mount}`{inside} is a path in the engine at `{place}`: set `mount = \"{place}\"`, and what comes after it belongs to the path, without `data` and `metadata`"
        ));
    }
    match (mounted.version(), kv) {
        (None, _) => invalid(format!("the engine at `{mount}`{inside} is no KV engine")),
        (Some(KvVersion::V1), KvVersion::V2) => invalid(format!(
            "the engine at `{mount}`{inside} is KV 1: set `kv_version = 1`"
        )),
        (Some(KvVersion::V2), KvVersion::V1) => invalid(is_kv_2(mount, &inside)),
        _ => Ok(()),
    }
}
