//! The calls of `check --connect`: to each source, each provider and Flashback, whether they can be used, and then to the
//! sources for each key and for events. A call that could not succeed because another has failed is left out.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::events::events;
use super::report::{Checked, Outcome, Report, Workspace, count};
use crate::cli::discover::{self, ListedRule};
use crate::config::Discoveries;
use crate::engine::{ManagedKey, positions};
use crate::flashback::{Flashback, Listing};
use crate::model::{
    KeyId, Missing, Observation, ProviderId, RuleId, SourceId, TargetKind, WorkspaceId,
};
use crate::runtime::Runtime;
use crate::source::{Reading, Source, SourceError, why_missing};
use crate::upstream::Failure as _;
use crate::verify::sanity;

/// Makes all calls; with `read`, also reads the keys' values.
pub async fn connect(runtime: &Runtime, base_url: String, read: bool) -> Report {
    let (sources, providers, flashback) =
        tokio::join!(sources(runtime), providers(runtime), flashback(runtime));
    let unusable: BTreeSet<&SourceId> = sources
        .iter()
        .filter(|(_, result)| result.is_err())
        .map(|(id, _)| id)
        .collect();
    let keys = runtime.managed_keys.values().map(async |managed| {
        let outcome = match unusable.contains(managed.source.id()) {
            true => Outcome::NotChecked,
            false => key(managed, read).await,
        };
        (managed.key.clone(), (managed.config.clone(), outcome))
    });
    let rules = rules(runtime, &unusable).await;
    let (keys, events) = tokio::join!(join_all(keys), events(runtime, |id| !unusable.contains(id)));
    let keys: BTreeMap<KeyId, _> = keys.into_iter().collect();
    let (flashback, workspaces) = flashback;
    Report {
        sources: sources
            .into_iter()
            .map(|(id, result)| (id, Outcome::of(result)))
            .collect(),
        events,
        providers,
        base_url,
        rules,
        flashback,
        workspaces,
        keys: keys
            .into_iter()
            .map(|(key, (config, outcome))| Checked {
                key,
                config,
                outcome,
            })
            .collect(),
    }
}

/// Lists what each rule is about.
async fn rules(runtime: &Runtime, unusable: &BTreeSet<&SourceId>) -> Vec<(RuleId, Outcome)> {
    let (_, listings) = discover::now(runtime, Discoveries::new()).await;
    let outcome = |listing: ListedRule| {
        let source = &runtime.config.discover[&listing.rule].rule.source;
        let outcome = match (listing.found, &listing.problems[..]) {
            (Err(_), _) if unusable.contains(source) => Outcome::NotChecked,
            (found, []) => Outcome::of(found),
            (found, problems) => Outcome::Failed(found.err().unwrap_or(problems.join("; "))),
        };
        (listing.rule, outcome)
    };
    listings.into_iter().map(outcome).collect()
}

async fn sources(runtime: &Runtime) -> BTreeMap<SourceId, Result<String, SourceError>> {
    let asked = runtime
        .sources
        .iter()
        .map(async |(id, source)| (id.clone(), source.connect().await));
    join_all(asked).await.into_iter().collect()
}

async fn providers(runtime: &Runtime) -> BTreeMap<ProviderId, Outcome> {
    let asked = runtime
        .engine
        .providers
        .iter()
        .map(async |(id, provider)| (id.clone(), Outcome::of(provider.connect().await)));
    join_all(asked).await.into_iter().collect()
}

async fn flashback(runtime: &Runtime) -> (Outcome, Vec<Workspace>) {
    let flashback = &runtime.engine.flashback;
    let signed_in = match flashback.sign_in().await {
        Ok(how) => Ok(how + &account(flashback.as_ref()).await),
        Err(error) => Err(error),
    };
    if signed_in.is_err() {
        // Each workspace would only give the same error.
        return (Outcome::of(signed_in), Vec::new());
    }
    let settings = runtime
        .managed_keys
        .values()
        .map(|managed| &managed.config.settings);
    let listed: BTreeSet<(&WorkspaceId, TargetKind)> = settings
        .map(|settings| (&settings.workspace_id, settings.target.kind()))
        .collect();
    let workspaces = listed.into_iter().map(async |(id, kind)| {
        let listed = flashback.list(id, kind).await;
        Workspace {
            id: id.clone(),
            kind,
            outcome: Outcome::of(listed.map(|listing| found(&listing, kind))),
        }
    });
    (Outcome::of(signed_in), join_all(workspaces).await)
}

/// Describes a list: how many entries it holds, and which of them cannot be read and are skipped.
fn found(listing: &Listing, kind: TargetKind) -> String {
    let readable = count(listing.entries.len(), kind.noun());
    match &listing.unreadable[..] {
        [] => readable,
        [one] => format!("{readable}; entry {one} cannot be read and is passed over"),
        more => format!(
            "{readable}; entries {} cannot be read and are passed over",
            positions(more)
        ),
    }
}

/// Describes the account that is signed in, as far as Flashback gives it.
async fn account(flashback: &dyn Flashback) -> String {
    let account = match flashback.account().await {
        Ok(account) => account,
        // The server's message is left out: the profile is optional, and its absence does not put the rest in doubt.
        Err(error) => return format!("; its profile cannot be read ({})", error.status()),
    };
    let mut text = String::new();
    if let Some(id) = &account.user_id {
        text = format!("; user {id}");
    }
    match account.org_role {
        Some(0xff) => text += "; role OWNER",
        Some(0xfe) => text += "; role ADMINISTRATOR",
        Some(role) => {
            text += &format!(
                "; role {role}, a member: cannot see edits by others: \
                 give it the role ADMINISTRATOR, or rely on the resync"
            );
        }
        None => {}
    }
    text
}

async fn key(managed: &ManagedKey, read: bool) -> Outcome {
    let (source, path) = (managed.source.as_ref(), &managed.config.origin.path);
    let version = match source.observe(path).await {
        Ok(Observation::Present { version, .. }) => version,
        Ok(Observation::Missing(why)) => return missing(source, path, why).await,
        // The error of another key says what is wrong with the source.
        Err(SourceError::CircuitOpen { .. }) => return Outcome::NotChecked,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    if managed.config.rotate.is_some() {
        match source.may_store(path).await {
            Ok(()) => {}
            Err(SourceError::CircuitOpen { .. }) => return Outcome::NotChecked,
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
    let label = format!("version {version}");
    if !read {
        return Outcome::Works {
            detail: label,
            version: Some(version),
        };
    }
    match source.read(path, &version).await {
        Ok(Reading::Present { document, .. }) => {
            let settings = &managed.config.settings;
            let taken = document.credentials(&managed.config.origin.fields);
            let judged = taken
                .map_err(|error| error.to_string())
                .and_then(|taken| sanity::check(settings, &taken.credentials));
            match judged {
                Ok(()) => Outcome::Works {
                    detail: format!("{label}; its value can be read, and may be a key"),
                    version: Some(version),
                },
                Err(error) => Outcome::Failed(error),
            }
        }
        Ok(Reading::Missing(why)) => missing(source, path, why).await,
        Err(SourceError::CircuitOpen { .. }) => Outcome::NotChecked,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn missing(source: &dyn Source, path: &str, why: Missing) -> Outcome {
    Outcome::Failed(why_missing(source, path, why).await)
}
