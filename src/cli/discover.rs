//! Discovery for commands: what was found before, and what the sources have now.

use std::sync::Arc;

use chrono::Utc;

use super::end::{End, fail};
use crate::config::{Config, Discoveries, RuleConfig};
use crate::daemon::discovery::list;
use crate::discovery::plan;
use crate::model::{Discovered, RuleId};
use crate::runtime::Runtime;
use crate::state::{self, StateStore};

/// A rule whose source was listed, and what is to be said of it.
pub struct ListedRule {
    /// The rule.
    pub rule: RuleId,
    /// What was found, for people, or why nothing was.
    pub found: Result<String, String>,
    /// What keeps secrets from being the keys that they should be, a sentence each.
    pub problems: Vec<String>,
}

/// Returns a configuration with the keys that were discovered before. It is the same where no rule makes any.
pub async fn known(config: Config) -> Result<Config, End> {
    if config.discover.is_empty() {
        return Ok(config);
    }
    match state::open::beside(&config.state).await.map_err(fail)? {
        Some(store) => known_to(&*store, config).await,
        None => Ok(config),
    }
}

/// Returns a configuration with the keys that were discovered by those who work on this state.
pub async fn known_to(store: &dyn StateStore, config: Config) -> Result<Config, End> {
    if config.discover.is_empty() {
        return Ok(config);
    }
    let discoveries = store.discovered().await.map_err(fail)?;
    Ok(config.with(&discoveries).0)
}

/// Lists the sources of all rules, and returns the configuration with the keys that there are by that.
pub async fn now(runtime: &Runtime, mut known: Discoveries) -> (Config, Vec<ListedRule>) {
    let mut listings = Vec::new();
    for (id, config) in &runtime.config.discover {
        let before = known.remove(id);
        let nothing = || Discovered::nothing(config.rule.source.clone());
        let before = before.map_or_else(nothing, |before| plan::fitting(&config.rule, &before));
        let found = match discover(runtime, config, &before).await {
            Ok(change) => {
                let problems = change.problems.iter();
                let problems = problems.map(|it| format!("`{}`: {}", it.path, it.error));
                let listing = ListedRule {
                    rule: id.clone(),
                    found: Ok(count(change.discovered.present().count())),
                    problems: problems.collect(),
                };
                listings.push(listing);
                change.discovered
            }
            Err(error) => {
                listings.push(ListedRule {
                    rule: id.clone(),
                    found: Err(error),
                    problems: Vec::new(),
                });
                before
            }
        };
        known.insert(id.clone(), found);
    }
    let (config, conflicts) = runtime.config.with(&known);
    for (rule, problem) in conflicts {
        let of_rule = listings.iter_mut().find(|listing| listing.rule == rule);
        let text = format!("`{}`: {}", problem.path, problem.error);
        of_rule
            .into_iter()
            .for_each(|listing| listing.problems.push(text.clone()));
    }
    (config, listings)
}

async fn discover(
    runtime: &Runtime,
    config: &Arc<RuleConfig>,
    before: &Discovered,
) -> Result<plan::Change, String> {
    let source = &runtime.sources[&config.rule.source];
    let listing = list(source.as_ref(), &config.rule).await;
    let listing = listing.map_err(|error| error.to_string())?;
    let change = plan::listed(&config.rule, before, &listing, Utc::now());
    change.map_err(|error| error.to_string())
}

fn count(secrets: usize) -> String {
    match secrets {
        1 => "1 secret".to_owned(),
        _ => format!("{secrets} secrets"),
    }
}
