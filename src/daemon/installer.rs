//! Puts configurations in force, one at a time: those that a reload has read, and those that discovery has added keys
//! to.

use std::sync::Arc;

use chrono::Utc;
use parking_lot::Mutex;

use super::assignments::Assignments;
use crate::config::{Config, Discoveries};
use crate::discovery::Problem;
use crate::model::{KeyId, RuleId};
use crate::runtime::{self, Runtime, RuntimeContext, RuntimeHandle};

/// Puts configurations in force.
pub struct Installer {
    runtime: Arc<RuntimeHandle>,
    assignments: Arc<Assignments>,
    /// Locked while a configuration is put in force.
    basis: Mutex<Basis>,
}

/// What a configuration is put in force with.
struct Basis {
    context: RuntimeContext,
    discoveries: Discoveries,
}

/// A configuration that was put in force.
pub struct Installed {
    /// The runtime before.
    pub old: Arc<Runtime>,
    /// The runtime from now on.
    pub new: Arc<Runtime>,
    /// The keys that are new.
    pub added: Vec<KeyId>,
    /// The keys that are not what they were.
    pub changed: Vec<KeyId>,
    /// The keys that are gone.
    pub removed: Vec<KeyId>,
    /// What was discovered and is no key.
    pub problems: Vec<(RuleId, Problem)>,
}

impl Installer {
    /// Creates the installer of the runtime in force, which was built with these discoveries.
    pub fn new(
        runtime: Arc<RuntimeHandle>,
        assignments: Arc<Assignments>,
        context: RuntimeContext,
        discoveries: Discoveries,
    ) -> Self {
        let basis = Basis {
            context,
            discoveries,
        };
        Self {
            runtime,
            assignments,
            basis: Mutex::new(basis),
        }
    }

    /// Returns the task that schedules keys.
    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// Returns what has been discovered.
    pub fn discoveries(&self) -> Discoveries {
        self.basis.lock().discoveries.clone()
    }

    /// Puts a configuration in force that was read anew, if `accept` takes its runtime.
    ///
    /// # Errors
    /// Returns why it cannot be put in force; the old one goes on then.
    pub fn reload(
        &self,
        config: &Config,
        accept: impl FnOnce(&Runtime) -> Result<(), String>,
    ) -> Result<Installed, String> {
        let mut basis = self.basis.lock();
        basis.context.since = Utc::now();
        let with = config.with(&basis.discoveries);
        self.install(&basis, with, accept)
    }

    /// Adds to the configuration in force what was discovered since.
    ///
    /// # Errors
    /// Returns why it cannot be put in force; the old one goes on then.
    pub fn discovered(&self, discoveries: Discoveries) -> Result<Installed, String> {
        let mut basis = self.basis.lock();
        let with = self.runtime.load().config.with(&discoveries);
        let installed = self.install(&basis, with, |_| Ok(()))?;
        basis.discoveries = discoveries;
        Ok(installed)
    }

    fn install(
        &self,
        basis: &Basis,
        (config, problems): (Config, Vec<(RuleId, Problem)>),
        accept: impl FnOnce(&Runtime) -> Result<(), String>,
    ) -> Result<Installed, String> {
        let old = self.runtime.load();
        let new = runtime::build(Arc::new(config), &basis.context, Some(&old));
        let new = new.map_err(|error| error.to_string())?;
        accept(&new)?;
        let (was, is) = (&old.managed_keys, &new.managed_keys);
        let not_in = |of: &Keys, other: &Keys| -> Vec<KeyId> {
            let keys = of.keys().filter(|key| !other.contains_key(*key));
            keys.cloned().collect()
        };
        let (added, removed) = (not_in(is, was), not_in(was, is));
        let changed = is
            .iter()
            .filter(|(key, managed)| {
                was.get(*key)
                    .is_some_and(|was| was.config != managed.config)
            })
            .map(|(key, _)| key.clone())
            .collect::<Vec<_>>();
        for key in &removed {
            basis.context.metrics.forget_key(key);
        }
        new.announce(Some(&old));
        new.report_services(Some(&old));
        self.runtime.replace(new);
        self.assignments.renew();
        self.assignments.scheduler().changed(changed.clone());
        Ok(Installed {
            old,
            new: self.runtime.load(),
            added,
            changed,
            removed,
            problems,
        })
    }
}

type Keys = std::collections::BTreeMap<KeyId, Arc<crate::engine::ManagedKey>>;
