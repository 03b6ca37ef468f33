//! Which engine is mounted where the configuration says.
//!
//! Asked of the other KV engine, or of one that is mounted elsewhere, Vault answers as if there were
//! no secret, or none that may be seen. So whoever gets that answer asks which engine it is.

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

/// How long it is remembered that a token may not see something: policies change.
pub(super) const DENIED_FOR: Duration = Duration::from_secs(60 * 60);

/// The question which engine a path belongs to. Whoever may do anything at all there may ask it.
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

/// The answer to it.
#[derive(Deserialize)]
struct Mounted {
    /// With a slash at its end.
    path: String,
    #[serde(rename = "type")]
    kind: String,
    options: Option<HashMap<String, String>>,
}

impl Mounted {
    /// Which KV engine it is; `None` for one of another kind.
    fn version(&self) -> Option<KvVersion> {
        let version = self.options.as_ref().and_then(|all| all.get("version"));
        match (&*self.kind, version.map(String::as_str)) {
            ("kv", Some("2")) => Some(KvVersion::V2),
            ("kv" | "generic", _) => Some(KvVersion::V1),
            _ => None,
        }
    }
}

/// Names a path with what surrounds it, and the version of KV it is read as.
pub(super) fn place(engine: &Engine, path: &str, kv: KvVersion) -> String {
    let version = match kv {
        KvVersion::V1 => "KV 1",
        KvVersion::V2 => "KV 2",
    };
    let (path, mount, inside) = (redact::shown(path), &engine.mount, engine.inside());
    format!("`{path}` in the mount `{mount}`{inside}, read as {version}")
}

/// Asks which engine is mounted there, for whoever was told that there is nothing. A token that may
/// not know learns nothing.
///
/// # Errors
/// [`SourceError::Invalid`] where it is another engine than `kv`, or mounted elsewhere.
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
