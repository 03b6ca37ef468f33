//! How a rule stands: when it is listed next, and what people are told of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::config::RuleConfig;
use crate::discovery::Problem;
use crate::model::RuleReport;
use crate::telemetry::event;

/// The wait before a source is listed again that could not be listed.
const AGAIN: Duration = Duration::from_secs(30);

/// The most problems of a rule that people are told of at once.
const TOLD: usize = 20;

/// How a rule stands.
pub struct Standing {
    /// The rule.
    pub config: Arc<RuleConfig>,
    /// The time of the next listing.
    pub due: Instant,
    /// `true` while a list is under way.
    pub listing: bool,
    /// The paths that are being looked up.
    pub looking: BTreeSet<String>,
    /// The paths whose configurations are being deleted.
    pub deleting: BTreeSet<String>,
    /// `true` if what was discovered is yet to be written to the state.
    pub unsaved: bool,
    listed_at: Option<DateTime<Utc>>,
    error: Option<String>,
    /// What keeps secrets from being keys by themselves.
    problems: BTreeSet<Problem>,
    /// What keeps them from being keys because of others.
    conflicts: BTreeSet<Problem>,
}

impl Standing {
    /// Returns a rule that is to be listed at once.
    pub fn new(config: Arc<RuleConfig>) -> Self {
        Self {
            config,
            due: Instant::now(),
            listing: false,
            looking: BTreeSet::new(),
            deleting: BTreeSet::new(),
            unsaved: false,
            listed_at: None,
            error: None,
            problems: BTreeSet::new(),
            conflicts: BTreeSet::new(),
        }
    }

    /// Takes that the source was listed at this time, with these problems.
    pub fn listed(&mut self, at: DateTime<Utc>, problems: Vec<Problem>) {
        self.listing = false;
        self.due = Instant::now() + self.config.rule.every;
        self.listed_at = Some(at);
        if self.error.take().is_some() {
            tracing::info!(
                event = event::DISCOVERY_RECOVERED,
                rule = %self.config.rule.id,
                source = %self.config.rule.source,
                "the source is listed again"
            );
        }
        let before = std::mem::replace(&mut self.problems, problems.into_iter().collect());
        self.warn(&before, &self.problems);
    }

    /// Takes that nothing can be made of a list, or that there is none.
    pub fn failed(&mut self, error: String) {
        self.listing = false;
        self.due = Instant::now() + AGAIN.min(self.config.rule.every);
        if self.error.as_ref() != Some(&error) {
            tracing::warn!(
                event = event::DISCOVERY_FAILED,
                rule = %self.config.rule.id,
                source = %self.config.rule.source,
                error,
                "discovery stands still; the keys that it has made go on"
            );
            self.error = Some(error);
        }
    }

    /// Takes what keeps a secret that was looked up from being the key that it should be.
    pub fn looked(&mut self, problem: Option<Problem>) {
        if let Some(problem) = problem {
            let before = self.problems.clone();
            self.problems.insert(problem);
            self.warn(&before, &self.problems);
        }
    }

    /// Takes what keeps secrets from being keys because others have their names.
    pub fn conflicts(&mut self, conflicts: BTreeSet<Problem>) {
        let before = std::mem::replace(&mut self.conflicts, conflicts);
        self.warn(&before, &self.conflicts);
    }

    fn warn(&self, before: &BTreeSet<Problem>, now: &BTreeSet<Problem>) {
        for problem in now.difference(before).take(TOLD) {
            tracing::warn!(
                event = event::DISCOVERY_PROBLEM,
                rule = %self.config.rule.id,
                path = problem.path,
                error = problem.error,
                "a secret is not the key that it should be"
            );
        }
    }

    /// Returns `true` unless the source could not be listed the last time.
    pub fn is_up(&self) -> bool {
        self.error.is_none()
    }

    /// Returns the number of secrets that are not the keys that they should be.
    pub fn count(&self) -> usize {
        self.problems.len() + self.conflicts.len()
    }

    /// Returns the report for people.
    pub fn report(&self, keys: usize) -> RuleReport {
        let rule = &self.config.rule;
        let all = self.problems.iter().chain(&self.conflicts);
        let told = all.take(TOLD);
        RuleReport {
            rule: rule.id.clone(),
            source: rule.source.clone(),
            keys,
            listed_at: self.listed_at,
            error: self.error.clone(),
            problems: told
                .map(|it| format!("`{}`: {}", it.path, it.error))
                .collect(),
        }
    }
}
