//! Earlier versions in KV 2.
//!
//! Versions are compared by number and time of creation, because the numbers of a secret that was deleted and created
//! again start at 1 again.

use super::entry::{self, Found};
use super::keeper::Keeper;
use super::kv::{Engine, Metadata};
use super::token::Token;
use crate::model::{Missing, Version};
use crate::source::contract::{Exact, GoneVersion, Previous, SourceError};

/// Reads one version.
pub(super) async fn read_exactly(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    version: &Version,
) -> Result<Exact, SourceError> {
    let Some(number) = version.number() else {
        return Ok(Exact::Gone(GoneVersion::NoSuchVersion));
    };
    let gone = match engine.find_version(keeper, token, path, number).await? {
        Found::Version(found) if found.version()? != *version => GoneVersion::NoSuchVersion,
        Found::Version(found) => {
            let written_at = Some(found.created_at()?);
            match found.data() {
                Ok(document) => {
                    return Ok(Exact::Present {
                        document,
                        written_at,
                    });
                }
                Err(missing) => why(missing),
            }
        }
        Found::Nothing(_) => {
            let known = known_metadata(engine, keeper, token, path).await?;
            why_absent(known.as_ref(), number)
        }
    };
    Ok(Exact::Gone(gone))
}

/// Returns the version before another. If metadata are denied, it requests the version itself.
pub(super) async fn version_before(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
    version: &Version,
) -> Result<Previous, SourceError> {
    let gone = |why| Ok(Previous::Gone(why));
    let number = match version.number() {
        None | Some(0 | 1) => return gone(GoneVersion::NoSuchVersion),
        Some(number) => number - 1,
    };
    if let Some(metadata) = known_metadata(engine, keeper, token, path).await?
        && let Some(previous) = previous_in(&metadata, version, number)?
    {
        return Ok(previous);
    }
    match engine.find_version(keeper, token, path, number).await? {
        Found::Version(found) => {
            let version = found.version()?;
            Ok(match found.data() {
                Ok(_) => Previous::Version(version),
                Err(missing) => Previous::Gone(why(missing)),
            })
        }
        Found::Nothing(_) => gone(GoneVersion::NoSuchVersion),
    }
}

/// Reads the metadata, if there are any and the policy allows it.
async fn known_metadata(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    path: &str,
) -> Result<Option<Metadata>, SourceError> {
    match engine.read_metadata(keeper, token, path).await {
        Ok(metadata) => Ok(metadata.ok()),
        Err(SourceError::Denied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns why a version is missing. A dropped version and one that never existed get the same answer; only the
/// metadata tell which numbers were dropped.
fn why_absent(metadata: Option<&Metadata>, number: u64) -> GoneVersion {
    match metadata {
        Some(known) if number < known.oldest_version => GoneVersion::Pruned,
        _ => GoneVersion::NoSuchVersion,
    }
}

/// Returns why a version is missing that the server knows.
fn why(missing: Missing) -> GoneVersion {
    match missing {
        Missing::Destroyed => GoneVersion::Destroyed,
        _ => GoneVersion::Deleted,
    }
}

/// Returns the version with `number`, the one before `version`, according to the metadata; `None` if it is or will be
/// deleted, which only the server's clock decides.
fn previous_in(
    metadata: &Metadata,
    version: &Version,
    number: u64,
) -> Result<Option<Previous>, SourceError> {
    let versions = &metadata.versions;
    let gone = |why| Ok(Some(Previous::Gone(why)));
    let is_another = versions
        .get(&(number + 1).to_string())
        .is_some_and(|entry| Version::numbered(number + 1, &entry.created_time) != *version);
    if is_another || number >= metadata.current_version {
        return gone(GoneVersion::NoSuchVersion);
    }
    let Some(entry) = versions.get(&number.to_string()) else {
        return gone(why_absent(Some(metadata), number));
    };
    if entry.destroyed {
        return gone(GoneVersion::Destroyed);
    }
    if !entry.deletion_time.is_empty() {
        return Ok(None);
    }
    let version = entry::version(number, &entry.created_time)?;
    Ok(Some(Previous::Version(version)))
}
