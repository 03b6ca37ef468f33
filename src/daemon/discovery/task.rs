//! The task that lists, looks up, and puts in force what it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::asking::{self, Answer, Deletion, NotDeleted};
use super::standing::Standing;
use super::{Discovery, Pending};
use crate::config::{Config, Discoveries};
use crate::daemon::installer::{Installed, Installer};
use crate::discovery::{Problem, Rule, plan};
use crate::failpoint;
use crate::model::{Discovered, RuleId};
use crate::redact;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::source::{Listed, SourceError};
use crate::telemetry::event;

/// The time of absence after which what was created in Flashback is deleted.
const DELETE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest wait before the rules in force are read again, so that a reload takes effect.
const RULES: Duration = Duration::from_secs(1);

/// The most secrets that are looked up at once.
const LOOKS: usize = 16;

/// The task that discovers keys.
pub struct DiscoveryTask {
    discovery: Arc<Discovery>,
    runtime: Arc<RuntimeHandle>,
    installer: Arc<Installer>,
    rules: BTreeMap<RuleId, Standing>,
    /// What is to be looked up as soon as there is room.
    heard: BTreeSet<(RuleId, String)>,
    /// What is known; the installer has what is in force.
    known: Discoveries,
    /// The rules that are gone, and are yet to be forgotten by the state.
    forgotten: BTreeSet<RuleId>,
    /// The configuration that was in force last.
    seen: Option<Arc<Config>>,
    after: Duration,
}

type Asked = FuturesUnordered<BoxFuture<'static, Answer>>;

impl DiscoveryTask {
    /// Creates the task, which goes on from what is in force.
    pub fn new(
        discovery: Arc<Discovery>,
        runtime: Arc<RuntimeHandle>,
        installer: Arc<Installer>,
    ) -> Self {
        Self {
            known: installer.discoveries(),
            discovery,
            runtime,
            installer,
            rules: BTreeMap::new(),
            heard: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            seen: None,
            after: failpoint::interval("FLASHBACK_ROTATOR_DELETE_AFTER_MS", DELETE_AFTER),
        }
    }

    /// Discovers until the future is dropped.
    pub async fn run(&mut self) {
        // After a panic nothing is under way any more.
        self.rules.clear();
        let mut asked = Asked::new();
        loop {
            let runtime = self.runtime.load();
            let mut changed = self.adopt(&runtime);
            self.ask(&runtime, &mut asked);
            drop(runtime);
            let due = self
                .rules
                .values()
                .filter(|it| !it.listing)
                .map(|it| it.due);
            let wait = Instant::now() + RULES;
            let until = due.min().unwrap_or(wait).min(wait);
            let discovery = Arc::clone(&self.discovery);
            if !changed {
                tokio::select! {
                    Some(answer) = asked.next() => {
                        changed |= self.answered(answer);
                        // What came meanwhile is put in force together with it.
                        while let Some(Some(answer)) = asked.next().now_or_never() {
                            changed |= self.answered(answer);
                        }
                    }
                    () = discovery.came() => {}
                    () = tokio::time::sleep_until(until) => {}
                }
            }
            if changed {
                self.put_in_force();
            }
            self.report();
            self.save().await;
        }
    }

    /// Takes over the rules in force. Returns `true` if another configuration is in force than this task has put there.
    fn adopt(&mut self, runtime: &Runtime) -> bool {
        let rules = &runtime.config.discover;
        let gone: Vec<RuleId> = self
            .known
            .keys()
            .filter(|id| !rules.contains_key(*id))
            .cloned()
            .collect();
        for id in &gone {
            self.known.remove(id);
            self.forgotten.insert(id.clone());
        }
        for id in self.rules.keys().filter(|id| !rules.contains_key(*id)) {
            runtime.engine.metrics.forget_rule(id);
        }
        self.rules.retain(|id, _| rules.contains_key(id));
        for (id, config) in rules {
            if self.rules.get(id).is_some_and(|it| it.config == *config) {
                continue;
            }
            let mut standing = Standing::new(Arc::clone(config));
            if let Some(before) = self.known.get_mut(id) {
                let fitting = plan::fitting(&config.rule, before);
                if fitting != *before {
                    *before = fitting;
                    standing.unsaved = true;
                }
            }
            self.rules.insert(id.clone(), standing);
        }
        let seen = self.seen.replace(Arc::clone(&runtime.config));
        seen.is_none_or(|seen| !Arc::ptr_eq(&seen, &runtime.config)) && !rules.is_empty()
            || !gone.is_empty()
    }

    /// Begins the calls that are due.
    fn ask(&mut self, runtime: &Arc<Runtime>, asked: &mut Asked) {
        let Pending { heard, list } = self.discovery.take();
        self.heard.extend(heard);
        let now = Instant::now();
        for (id, standing) in &mut self.rules {
            let is_due = standing.due <= now || list.contains(id);
            if !is_due || standing.listing {
                continue;
            }
            standing.listing = true;
            let config = Arc::clone(&standing.config);
            asked.push(asking::listed(Arc::clone(runtime), config).boxed());
            let discovered = self.known.get(id);
            let to_delete = discovered.map(|it| plan::to_delete(it, self.after, Utc::now()));
            for path in to_delete.into_iter().flatten() {
                if standing.deleting.insert(path.clone()) {
                    let config = Arc::clone(&standing.config);
                    asked.push(asking::deleted(Arc::clone(runtime), config, path).boxed());
                }
            }
        }
        self.look(runtime, asked);
    }

    /// Begins to look up what there is room for. A secret that is being looked up waits: it may have changed since.
    fn look(&mut self, runtime: &Arc<Runtime>, asked: &mut Asked) {
        let under_way: usize = self.rules.values().map(|it| it.looking.len()).sum();
        let mut room = LOOKS.saturating_sub(under_way);
        let mut later = BTreeSet::new();
        while room > 0
            && let Some((id, path)) = self.heard.pop_first()
        {
            let Some(standing) = self.rules.get_mut(&id) else {
                continue;
            };
            if !standing.looking.insert(path.clone()) {
                later.insert((id, path));
                continue;
            }
            room -= 1;
            let config = Arc::clone(&standing.config);
            asked.push(asking::looked(Arc::clone(runtime), config, path).boxed());
        }
        self.heard.append(&mut later);
    }

    /// Takes an answer. Returns `true` if it changes what is known.
    fn answered(&mut self, answer: Answer) -> bool {
        let id = match &answer {
            Answer::Listed(id, ..) | Answer::Looked(id, ..) | Answer::Deleted(id, ..) => id.clone(),
        };
        // A rule that was changed meanwhile is listed anew.
        let Some(standing) = self.rules.get_mut(&id) else {
            return false;
        };
        let config = Arc::clone(&standing.config);
        let source = config.rule.source.clone();
        let nothing = || Discovered::nothing(source);
        let known = self.known.entry(id.clone()).or_insert_with(nothing);
        let changed = match answer {
            Answer::Listed(_, began, listing) => {
                let (changed, doubtful) = listed(&config.rule, standing, known, began, listing);
                let doubtful = doubtful.into_iter();
                self.heard.extend(doubtful.map(|path| (id.clone(), path)));
                changed
            }
            Answer::Looked(_, path, found) => {
                standing.looking.remove(&path);
                looked(&config.rule, standing, known, &path, found)
            }
            Answer::Deleted(_, path, deletion) => {
                standing.deleting.remove(&path);
                deleted(&config.rule, known, &path, deletion)
            }
        };
        standing.unsaved |= changed;
        changed
    }

    /// Puts in force what is known.
    fn put_in_force(&mut self) {
        match self.installer.discovered(self.known.clone()) {
            Ok(installed) => self.installed(&installed),
            Err(error) => tracing::error!(error, "what was discovered cannot be put in force"),
        }
    }

    fn installed(&mut self, installed: &Installed) {
        let mut conflicts: BTreeMap<&RuleId, BTreeSet<Problem>> = BTreeMap::new();
        for (rule, problem) in &installed.problems {
            conflicts.entry(rule).or_default().insert(problem.clone());
        }
        self.seen = Some(Arc::clone(&installed.new.config));
        for (id, standing) in &mut self.rules {
            standing.conflicts(conflicts.remove(id).unwrap_or_default());
        }
        let Installed {
            added,
            changed,
            removed,
            ..
        } = installed;
        if !(added.is_empty() && changed.is_empty() && removed.is_empty()) {
            tracing::info!(
                event = event::KEYS_DISCOVERED,
                added = added.len(),
                changed = changed.len(),
                removed = removed.len(),
                keys = installed.new.managed_keys.len(),
                "the keys are what the sources have now"
            );
        }
    }

    /// Tells people how the rules stand.
    fn report(&self) {
        if self.rules.is_empty() {
            self.discovery.report(Vec::new());
            return;
        }
        let runtime = self.runtime.load();
        let mut keys: BTreeMap<&RuleId, usize> = BTreeMap::new();
        for rule in runtime
            .config
            .keys
            .values()
            .filter_map(|key| key.rule.as_ref())
        {
            *keys.entry(rule).or_default() += 1;
        }
        let metrics = &runtime.engine.metrics;
        let reports = self.rules.iter().map(|(id, standing)| {
            let keys = keys.get(id).copied().unwrap_or_default();
            metrics.discovery(id, standing.is_up(), keys, standing.count());
            standing.report(keys)
        });
        self.discovery.report(reports.collect());
    }

    /// Writes to the state what has changed. What cannot be written is written later.
    async fn save(&mut self) {
        let store = Arc::clone(&self.runtime.load().engine.store);
        for id in std::mem::take(&mut self.forgotten) {
            if store.save_discovered(&id, None).await.is_err() {
                self.forgotten.insert(id);
            }
        }
        for (id, standing) in &mut self.rules {
            if standing.unsaved {
                let saved = store.save_discovered(id, self.known.get(id)).await;
                standing.unsaved = saved.is_err();
            }
        }
    }
}

/// Takes a full list that began at a time. Returns `true` if it changes what is known, and the paths to look up.
fn listed(
    rule: &Rule,
    standing: &mut Standing,
    known: &mut Discovered,
    began: DateTime<Utc>,
    listing: Result<Vec<Listed>, SourceError>,
) -> (bool, Vec<String>) {
    let listing = listing.map_err(|error| error.to_string());
    let change = listing.and_then(|listing| {
        let change = plan::listed(rule, known, &listing, began);
        change.map_err(|error| error.to_string())
    });
    match change {
        Ok(change) => {
            standing.listed(began, change.problems);
            let changed = *known != change.discovered;
            *known = change.discovered;
            (changed, change.doubtful)
        }
        Err(error) => {
            standing.failed(error);
            (false, Vec::new())
        }
    }
}

/// Takes what became of the configuration of a secret that is gone. Returns `true` if that changes what is known.
fn deleted(
    rule: &Rule,
    known: &mut Discovered,
    path: &str,
    deletion: Result<Deletion, NotDeleted>,
) -> bool {
    match deletion {
        Ok(Deletion::Done) => {
            let is_gone = known.secrets.get(path).is_some_and(|it| it.removed);
            is_gone && known.secrets.remove(path).is_some()
        }
        // The next listing finds it, and makes it a key again.
        Ok(Deletion::NotGone) => false,
        Err(error) => {
            tracing::warn!(
                rule = %rule.id,
                path = redact::shown(path),
                %error,
                "the configuration of a secret that is gone was not deleted; it is tried again"
            );
            false
        }
    }
}

/// Takes what the source says of a secret by itself. Returns `true` if it changes what is known.
fn looked(
    rule: &Rule,
    standing: &mut Standing,
    known: &mut Discovered,
    path: &str,
    found: Result<Option<Listed>, SourceError>,
) -> bool {
    // What is not known now is known after the next listing.
    let Ok(found) = found else {
        return false;
    };
    let before = known.secrets.get(path).cloned();
    match plan::looked_up(rule, known, path, found.as_ref(), Utc::now()) {
        Ok(problem) => standing.looked(problem),
        Err(error) => standing.failed(error.to_string()),
    }
    before.as_ref() != known.secrets.get(path)
}
