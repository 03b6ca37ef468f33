//! Lists secrets with `ListSecrets`
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html>).
//!
//! AWS's lists are eventually consistent: what changed within the last minutes may be missing in them, so they are not
//! used to observe secrets.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry, Tag};

use super::calls::{Calls, current, observe, time, version};
use super::error::{Answer, Call, LIST as OPERATION};
use crate::model::{Missing, Observation};
use crate::source::contract::SourceError;
use crate::source::entries::{Entries, MOST_ENTRIES, short};
use crate::source::listing::{Listed, Scope};

/// The number of secrets in a page, which is the most that AWS gives.
const PAGE: i32 = 100;

/// The number of pages after which a list is taken to have no end. A page may be short, but seldom is.
const MOST_PAGES: usize = 10 * MOST_ENTRIES / 100;

/// Lists the secrets whose names and tags are those of the scope, without those that are scheduled for deletion.
pub(super) async fn list(calls: &Calls, scope: &Scope) -> Result<Vec<Listed>, SourceError> {
    let filters = filters(scope);
    let mut entries = Entries::new(scope);
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let page = page(calls, &filters, next.take()).await?;
        let secrets = page.secret_list.unwrap_or_default();
        entries.count(secrets.len())?;
        for secret in secrets {
            entries.take(listed(secret)?)?;
        }
        next = page.next_token;
        if next.is_none() {
            return Ok(entries.finish());
        }
    }
    Err(malformed("the list has no end"))
}

/// Returns what a list says of one secret, by describing it.
pub(super) async fn entry(calls: &Calls, path: &str) -> Result<Option<Listed>, SourceError> {
    let Answer::Value(secret) = calls.describe(path).await? else {
        return Ok(None);
    };
    Ok(Some(Listed {
        path: path.to_owned(),
        observed: Some(observe(&secret)?),
        metadata: Some(tags(secret.tags)),
    }))
}

async fn page(
    calls: &Calls,
    filters: &[Filter],
    next: Option<String>,
) -> Result<ListSecretsOutput, SourceError> {
    let call = Call {
        operation: OPERATION,
        path: "",
    };
    let answer = calls.ask(call, |client| {
        client
            .list_secrets()
            .max_results(PAGE)
            .set_filters((!filters.is_empty()).then(|| filters.to_vec()))
            .set_next_token(next.clone())
            .send()
    });
    match answer.await? {
        Answer::Value(page) => Ok(page),
        Answer::NotFound | Answer::WrongState => {
            Err(malformed("it was answered like a look at one secret"))
        }
    }
}

/// Returns the filters that AWS applies. They compare beginnings, and one tag narrows the list down well enough: what
/// comes back is compared once more.
fn filters(scope: &Scope) -> Vec<Filter> {
    let filter = |key, value: &str| Filter::builder().key(key).values(value).build();
    let mut filters = Vec::new();
    // A `!` at the beginning would negate the filter. No name has one.
    if !scope.prefix.is_empty() && !scope.prefix.starts_with('!') {
        filters.push(filter(FilterNameStringType::Name, &scope.prefix));
    }
    let is_plain = |name: &&String| !name.is_empty() && !name.starts_with('!');
    if let Some(name) = scope.tags.keys().find(is_plain) {
        filters.push(filter(FilterNameStringType::TagKey, name));
    }
    filters
}

fn listed(secret: SecretListEntry) -> Result<Listed, SourceError> {
    let observed = observed(&secret)?;
    Ok(Listed {
        metadata: Some(tags(secret.tags)),
        path: secret
            .name
            .ok_or_else(|| malformed("a secret in it has no name"))?,
        observed,
    })
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    let tags = tags.unwrap_or_default().into_iter();
    short(tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))))
}

/// Returns the result of observing the secret, if the list has the labels of its versions.
fn observed(secret: &SecretListEntry) -> Result<Option<Observation>, SourceError> {
    if secret.deleted_date().is_some() {
        return Ok(Some(Observation::Missing(Missing::Deleted)));
    }
    let Some(versions) = secret.secret_versions_to_stages() else {
        return Ok(None);
    };
    Ok(Some(match current(versions) {
        Some(id) => Observation::Present {
            version: version(id)?,
            written_at: secret.last_changed_date().and_then(time),
        },
        None => Observation::Missing(Missing::NoValueYet),
    }))
}

fn malformed(what: &str) -> SourceError {
    SourceError::Protocol {
        what: format!("the answer to {OPERATION} is not Secrets Manager's: {what}"),
        status: "malformed".to_owned(),
    }
}
