//! Lists the secrets in a part of a KV engine, folder by folder or all at once.

use super::denials::Denials;
use super::entry::incomplete;
use super::folders::Named;
use super::keeper::Keeper;
use super::kv::{Engine, check_path};
use super::kv_version::KvVersion;
use super::list::{Info, PAGE, Page, Way, is_refused};
use super::token::Token;
use crate::source::contract::SourceError;
use crate::source::entries::{Entries, MOST_ENTRIES, short};
use crate::source::listing::{Listed, Scope};

/// Lists the secrets in a part of the engine, in the first way that the server and the policy allow.
pub(super) async fn list(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    kv: KvVersion,
    scope: &Scope,
    denials: &Denials,
) -> Result<Vec<Listed>, SourceError> {
    let folder = scope.folder();
    if !folder.is_empty() {
        check_path(folder)?;
    }
    let detailed: &[Way] = match (kv, scope.deep) {
        (KvVersion::V1, _) => &[],
        (KvVersion::V2, true) => &[Way::Scan, Way::Details],
        (KvVersion::V2, false) => &[Way::Details],
    };
    for way in detailed {
        let name = format!("{} {folder}", way.operation());
        if denials.has(&name, token) {
            continue;
        }
        match tree(engine, keeper, token, *way, scope).await {
            Err(error) if is_refused(&error) => denials.add(&name, token),
            // Folder by folder, and in pages, it may be small enough.
            Err(error) if *way == Way::Scan && is_too_large(&error) => {}
            // A scan of a folder that does not exist looks like one of a server that knows no scan.
            Ok(listed) if *way == Way::Scan && listed.is_empty() => {}
            listed => return listed,
        }
    }
    tree(engine, keeper, token, Way::Names(kv), scope).await
}

async fn tree(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    way: Way,
    scope: &Scope,
) -> Result<Vec<Listed>, SourceError> {
    let mut entries = Entries::new(scope);
    let mut folders = vec![scope.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        let mut limit = None;
        let mut after: Option<String> = None;
        loop {
            let page = Page {
                limit,
                after: after.as_deref(),
            };
            let names = match engine.page(keeper, token, way, &folder, page).await {
                Err(error) if way == Way::Details && limit.is_none() && is_too_large(&error) => {
                    limit = Some(PAGE);
                    continue;
                }
                names => names?,
            };
            entries.count(names.len())?;
            let last = names.last().cloned();
            for (name, info) in names.into_entries() {
                let path = below(&folder, &name);
                if let Some(inner) = path.strip_suffix('/') {
                    if scope.reaches(&path) && check_path(inner).is_ok() {
                        folders.push(inner.to_owned());
                    }
                } else if check_path(&path).is_ok() {
                    entries.take(listed(path, way, info))?;
                }
            }
            // A page may be short because the policy hides a part of it, so only an empty one is the last.
            if limit.is_none() || last.is_none() {
                break;
            }
            after = last;
        }
    }
    Ok(entries.finish())
}

/// Lists the secrets of one folder with what an observation of each would be.
pub(super) async fn named(
    engine: &Engine,
    keeper: &Keeper,
    token: &Token,
    folder: &str,
) -> Result<Named, SourceError> {
    let mut named = Named::new();
    let mut after: Option<String> = None;
    loop {
        let page = Page {
            limit: Some(PAGE),
            after: after.as_deref(),
        };
        let names = engine
            .page(keeper, token, Way::Details, folder, page)
            .await?;
        let (many, last) = (names.len(), names.last().cloned());
        for (name, info) in names.into_entries() {
            if !name.ends_with('/') {
                let observed = info.and_then(|info| info.observed());
                named.insert(name.into(), observed);
            }
        }
        if named.len() > MOST_ENTRIES {
            return Err(SourceError::Invalid {
                what: format!("there are more than {MOST_ENTRIES} secrets in one folder"),
            });
        }
        // A page that is short because the policy hides a part of it ends the list, too: what is not in it is asked
        // for alone. A server without pages gives more than a page.
        if many != PAGE {
            return Ok(named);
        }
        if last == after {
            return Err(incomplete("its pages are all the same"));
        }
        after = last;
    }
}

fn is_too_large(error: &SourceError) -> bool {
    matches!(error, SourceError::Protocol { status, .. } if status == "too_large")
}

/// Returns the path of what a folder has under this name.
fn below(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

fn listed(path: String, way: Way, info: Option<Info>) -> Listed {
    let info = match way {
        // KV 1 has no metadata.
        Way::Names(KvVersion::V1) => Some(Info::default()),
        // A secret may be deleted while the list is made, and then has none in it.
        _ => info.filter(|info| info.current_version.is_some()),
    };
    Listed {
        path,
        observed: info.as_ref().and_then(Info::observed),
        metadata: info.map(|info| short(info.custom_metadata.unwrap_or_default())),
    }
}
