//! What listings change about the keys. Pure: no clock and no I/O.
//!
//! What was found is never given up lightly. A secret is gone only if two full listings lack it, of which the second
//! began at least `every` after the first, and if the source says so when it is asked for the secret itself: a listing
//! that was cut short shows less than there is, as often as it likes. What cannot be made a key any more, because its
//! metadata is wrong now, stays the key that it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::made::{self, Made, key_id};
use super::rule::{OnRemoved, Rule};
use crate::model::{
    Discovered, DiscoveredSecret, KeyId, Missing, Observation, RuleId, WorkspaceId, is_over,
};
use crate::redact;
use crate::source::Listed;

/// The reason why a listed secret is not the key that it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The path of the secret, as it may be shown.
    pub path: String,
    /// The reason, for people.
    pub error: String,
}

/// More secrets fit than a rule allows. Nothing changes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} secrets fit, and `limit` is {limit}: nothing changes. Raise `limit`, or let `path` fit fewer"
)]
pub struct TooMany {
    /// The number of secrets that fit.
    pub found: usize,
    /// The most that may.
    pub limit: usize,
}

/// What a listing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is known after it.
    pub discovered: Discovered,
    /// The secrets that are not the keys that they should be.
    pub problems: Vec<Problem>,
    /// The paths that are gone by the listings. Each is to be looked up: see [`looked_up`].
    pub doubtful: Vec<String>,
}

/// A key that was discovered.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    /// Its id.
    pub id: KeyId,
    /// The rule that has made it.
    pub rule: &'a Rule,
    /// Its path in the rule's source.
    pub path: &'a str,
    /// The secret.
    pub secret: &'a DiscoveredSecret,
}

/// The ids and names of keys that are taken, because tables of the configuration have them.
#[derive(Clone, Debug, Default)]
pub struct Taken<'a> {
    /// The ids.
    pub ids: BTreeSet<&'a KeyId>,
    /// The names of configurations, each with its workspace.
    pub names: BTreeMap<(&'a WorkspaceId, &'a str), &'a KeyId>,
}

/// Returns what is left of a discovery after its rule has changed: the secrets that still fit it, in the same source.
#[must_use]
pub fn fitting(rule: &Rule, before: &Discovered) -> Discovered {
    let mut now = Discovered::nothing(rule.source.clone());
    if before.source == rule.source {
        let all = before.secrets.iter();
        let fits = all.filter(|(path, secret)| match secret.removed {
            true => rule.on_removed == OnRemoved::Delete,
            false => rule.pattern.fits(path),
        });
        now.secrets = fits
            .map(|(path, secret)| (path.clone(), secret.clone()))
            .collect();
    }
    now
}

/// Returns what a full listing that began at `now` changes.
///
/// # Errors
/// Returns [`TooMany`]; nothing changes then.
pub fn listed(
    rule: &Rule,
    before: &Discovered,
    listing: &[Listed],
    now: DateTime<Utc>,
) -> Result<Change, TooMany> {
    let there: BTreeMap<&str, &Listed> = listing
        .iter()
        .filter(|listed| is_there(listed))
        .map(|listed| (listed.path.as_str(), listed))
        .collect();
    let all = there.iter().filter(|(_, listed)| is_one(rule, listed));
    let fitting: BTreeMap<&str, &Listed> = all.map(|(path, listed)| (*path, *listed)).collect();
    within_limit(rule, fitting.len())?;
    let mut change = Change {
        discovered: before.clone(),
        problems: Vec::new(),
        doubtful: Vec::new(),
    };
    for listed in fitting.values() {
        let problem = take(&mut change.discovered, rule, listed, now);
        change.problems.extend(problem);
    }
    let secrets = &mut change.discovered.secrets;
    let gone = secrets
        .iter_mut()
        .filter(|(path, secret)| !secret.removed && !fitting.contains_key(path.as_str()));
    let mut left_out = Vec::new();
    for (path, secret) in gone {
        match secret.absent_since {
            // It is there and is none of the rule's any more.
            _ if there.contains_key(path.as_str()) => left_out.push(path.clone()),
            Some(since) if is_over(since, rule.every, now) => change.doubtful.push(path.clone()),
            Some(_) => {}
            None => secret.absent_since = Some(now),
        }
    }
    for path in left_out {
        secrets.remove(&path);
    }
    Ok(change)
}

/// Takes what the source says of a secret by itself: one that an event told of, or one that listings lack. `found` is
/// `None` if the source says that there is none. Returns why it is not the key that it should be, if it is not.
///
/// # Errors
/// Returns [`TooMany`]; nothing changes then.
pub fn looked_up(
    rule: &Rule,
    discovered: &mut Discovered,
    path: &str,
    found: Option<&Listed>,
    now: DateTime<Utc>,
) -> Result<Option<Problem>, TooMany> {
    let found = found.filter(|listed| is_there(listed));
    if let Some(listed) = found.filter(|listed| is_one(rule, listed)) {
        let others = discovered.present().filter(|(known, _)| *known != path);
        within_limit(rule, others.count() + 1)?;
        return Ok(take(discovered, rule, listed, now));
    }
    let secrets = &mut discovered.secrets;
    let Some(secret) = secrets.get_mut(path).filter(|secret| !secret.removed) else {
        return Ok(None);
    };
    match (found, secret.absent_since, rule.on_removed) {
        (None, None, _) => {}
        (None, Some(_), OnRemoved::Delete) => secret.removed = true,
        (Some(_), _, _) | (None, Some(_), OnRemoved::Keep) => {
            secrets.remove(path);
        }
    }
    Ok(None)
}

/// Returns the paths of the secrets whose configurations are to be deleted in Flashback, because the secrets have been
/// absent for as long as `after`.
pub fn to_delete(discovered: &Discovered, after: Duration, now: DateTime<Utc>) -> Vec<String> {
    let is_due = |secret: &DiscoveredSecret| {
        let absent = secret.absent_since;
        secret.removed && absent.is_some_and(|since| is_over(since, after, now))
    };
    let all = discovered.secrets.iter();
    let due = all.filter(|(_, secret)| is_due(secret));
    due.map(|(path, _)| path.clone()).collect()
}

/// Returns the keys of all rules, and what keeps others from being keys: an id or a name that is taken. A key in a
/// table of the configuration goes before one that was discovered, and that which was discovered first before others.
pub fn keys<'a>(
    rules: impl IntoIterator<Item = (&'a Rule, &'a Discovered)>,
    taken: Taken<'a>,
) -> (Vec<Key<'a>>, Vec<(RuleId, Problem)>) {
    let mut all: Vec<Key<'a>> = Vec::new();
    for (rule, discovered) in rules {
        all.extend(discovered.present().map(|(path, secret)| Key {
            id: key_id(&rule.id, path),
            rule,
            path,
            secret,
        }));
    }
    all.sort_by(|a, b| {
        let order = |key: &Key<'a>| (key.secret.since, &key.rule.id, key.path);
        order(a).cmp(&order(b))
    });
    let mut ids: BTreeSet<KeyId> = taken.ids.into_iter().cloned().collect();
    let mut names: BTreeMap<(&WorkspaceId, &str), KeyId> = taken
        .names
        .into_iter()
        .map(|((workspace, name), key)| ((workspace, name.trim()), key.clone()))
        .collect();
    let mut keys = Vec::new();
    let mut problems = Vec::new();
    for key in all {
        let settings = &key.secret.settings;
        let name = (&settings.workspace_id, settings.name.trim());
        let error = match (names.get(&name), ids.contains(&key.id)) {
            (None, false) => {
                names.insert(name, key.id.clone());
                ids.insert(key.id.clone());
                keys.push(key);
                continue;
            }
            (Some(other), _) => format!(
                "its name in Flashback is that of the key `{other}`: give it another by `name` or `flashback_name`, or leave it out by `exclude`"
            ),
            (None, true) => format!("there is another key `{}`: rename the rule", key.id),
        };
        problems.push((key.rule.id.clone(), Problem::at(key.path, error)));
    }
    (keys, problems)
}

impl Problem {
    fn at(path: &str, error: String) -> Self {
        Self {
            path: redact::shown(path).to_owned(),
            error,
        }
    }
}

/// Takes a secret that is there. Returns why it is not the key that it should be, if it is not.
fn take(
    discovered: &mut Discovered,
    rule: &Rule,
    listed: &Listed,
    now: DateTime<Utc>,
) -> Option<Problem> {
    let path = &listed.path;
    let before = discovered.secrets.get_mut(path);
    let before = before.filter(|before| !before.removed);
    match made::make(rule, listed) {
        Ok(Made { settings, fields }) => {
            let secret = DiscoveredSecret {
                settings,
                fields,
                since: before.map_or(now, |before| before.since),
                absent_since: None,
                removed: false,
            };
            discovered.secrets.insert(path.clone(), secret);
            None
        }
        Err(error) => {
            if let Some(before) = before {
                before.absent_since = None;
            }
            Some(Problem::at(path, error))
        }
    }
}

/// Returns `true` unless the source says that the secret is deleted.
fn is_there(listed: &Listed) -> bool {
    use Missing::{Deleted, Destroyed, NoValueYet, NotFound};
    match &listed.observed {
        Some(Observation::Missing(Deleted | Destroyed | NotFound)) => false,
        Some(Observation::Missing(NoValueYet) | Observation::Present { .. }) | None => true,
    }
}

/// Returns `true` if a secret is one of the rule's.
fn is_one(rule: &Rule, listed: &Listed) -> bool {
    rule.fits(listed) && made::is_enabled(listed)
}

fn within_limit(rule: &Rule, found: usize) -> Result<(), TooMany> {
    let limit = rule.limit;
    match found > limit {
        true => Err(TooMany { found, limit }),
        false => Ok(()),
    }
}
