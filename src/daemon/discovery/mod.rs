//! Discovery: what sources have below a prefix becomes keys, without a change of the configuration.
//!
//! The task lists each rule's source every so often and looks up what events tell of. What it finds is decided by
//! [`plan`](crate::discovery::plan), put in force as a reload is, and kept in the state. Each replica does so for
//! itself.

mod asking;
mod standing;
mod task;

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::{RuleId, RuleReport, SourceId};
use crate::runtime::RuntimeHandle;

pub use self::asking::list;
pub use self::task::DiscoveryTask;

/// The most secrets whose look-up may wait. What is more has the rule's source listed.
const MOST: usize = 10_000;

/// The place where it is left that a source may have something new.
pub struct Discovery {
    runtime: Arc<RuntimeHandle>,
    pending: Mutex<Pending>,
    came: Notify,
    reports: Mutex<Vec<RuleReport>>,
}

/// What was left since the task last took it.
#[derive(Debug, Default)]
pub struct Pending {
    /// The secrets to look up, each with the rule that it fits.
    pub heard: BTreeSet<(RuleId, String)>,
    /// The rules whose source is to be listed.
    pub list: BTreeSet<RuleId>,
}

impl Discovery {
    /// Creates the place for the rules of the runtime in force.
    pub fn new(runtime: Arc<RuntimeHandle>) -> Self {
        Self {
            runtime,
            pending: Mutex::default(),
            came: Notify::new(),
            reports: Mutex::default(),
        }
    }

    /// Takes that a secret was changed that no key reads. It is looked up if a rule is about it. Never waits.
    pub fn heard(&self, source: &SourceId, path: &str) {
        let runtime = self.runtime.load();
        let rules = runtime.config.discover.values().map(|config| &config.rule);
        let about = rules.filter(|rule| rule.source == *source && rule.pattern.fits(path));
        let mut pending = self.pending.lock();
        let mut any = false;
        for rule in about {
            any = true;
            match pending.heard.len() < MOST {
                true => pending.heard.insert((rule.id.clone(), path.to_owned())),
                false => pending.list.insert(rule.id.clone()),
            };
        }
        drop(pending);
        if any {
            self.came.notify_one();
        }
    }

    /// Takes that changes of a source may have been missed: its rules list it now. Never waits.
    pub fn missed(&self, source: &SourceId) {
        let runtime = self.runtime.load();
        let rules = runtime.config.discover.values().map(|config| &config.rule);
        let about = rules.filter(|rule| rule.source == *source);
        let mut pending = self.pending.lock();
        pending.list.extend(about.map(|rule| rule.id.clone()));
        drop(pending);
        self.came.notify_one();
    }

    /// Returns what the rules have come to.
    pub fn reports(&self) -> Vec<RuleReport> {
        self.reports.lock().clone()
    }

    fn report(&self, reports: Vec<RuleReport>) {
        *self.reports.lock() = reports;
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock())
    }

    async fn came(&self) {
        self.came.notified().await;
    }
}
