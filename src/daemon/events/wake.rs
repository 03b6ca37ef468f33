//! Has keys checked of whose changes this process, or another replica, has heard.

use std::sync::Arc;

use crate::daemon::assignments::Assignments;
use crate::engine::{Told, Waits};
use crate::membership::wakeups::{Ending, Woken};
use crate::model::KeyId;
use crate::runtime::RuntimeHandle;

/// Has keys checked at once.
#[derive(Clone)]
pub struct Waker {
    runtime: Arc<RuntimeHandle>,
    assignments: Arc<Assignments>,
}

impl Waker {
    pub fn new(runtime: Arc<RuntimeHandle>, assignments: Arc<Assignments>) -> Self {
        Self {
            runtime,
            assignments,
        }
    }

    /// Has these keys checked, which this process may work on.
    pub fn wake(&self, keys: Vec<(KeyId, Told)>) {
        let runtime = self.runtime.load();
        let tell = |(key, told): (KeyId, Told)| {
            runtime.engine.told.tell(&key, told, None);
            key
        };
        self.check(keys.into_iter().map(tell).collect());
    }

    /// Has the keys checked that other replicas have heard of. One that this process may not work on any more is given
    /// back.
    pub fn wake_for_others(&self, woken: Vec<Woken>) {
        let runtime = self.runtime.load();
        let mut keys = Vec::new();
        for Woken { wakeup, ending } in woken {
            let key = wakeup.key;
            if !runtime.managed_keys.contains_key(&key) || !runtime.engine.leases.has(&key) {
                ending.give_back();
                continue;
            }
            let told = Told {
                version: wakeup.version,
                at: wakeup.at,
                index: wakeup.index,
            };
            let waits = Box::new(Handed(ending));
            runtime.engine.told.tell(&key, told, Some(waits));
            keys.push(key);
        }
        self.check(keys);
    }

    fn check(&self, keys: Vec<KeyId>) {
        if !keys.is_empty() {
            self.assignments.scheduler().told(keys);
        }
    }
}

/// A wakeup that another replica has left, until the check has ended.
#[derive(Debug)]
struct Handed(Ending);

impl Waits for Handed {
    fn give_back(self: Box<Self>) {
        self.0.give_back();
    }
}
