//! The task that makes checks of what the triggers have heard.

use std::sync::Arc;

use crate::daemon::assignments::Assignments;
use crate::engine::Told;
use crate::model::{KeyId, SourceId};
use crate::runtime::RuntimeHandle;
use crate::telemetry::event;
use crate::trigger::feed::Taken;
use crate::trigger::{Feed, Heard};

/// Finds the keys that a change concerns, and has them checked.
pub struct Router {
    feed: Arc<Feed>,
    runtime: Arc<RuntimeHandle>,
    assignments: Arc<Assignments>,
}

impl Router {
    /// Returns a router of what is left in the feed of this runtime.
    pub fn new(
        feed: Arc<Feed>,
        runtime: Arc<RuntimeHandle>,
        assignments: Arc<Assignments>,
    ) -> Self {
        Self {
            feed,
            runtime,
            assignments,
        }
    }

    /// Routes until the future is dropped.
    pub async fn run(&mut self) {
        loop {
            for taken in self.feed.take().await {
                self.route(&taken);
                self.feed.done(&taken);
            }
        }
    }

    fn route(&self, Taken { source, news, .. }: &Taken) {
        self.tell(source, &news.heard.values().collect::<Vec<_>>());
        if news.turned {
            self.turned(source);
            // From now on the keys of the source have another interval.
            self.assignments.renew();
        }
        if let Some(why) = news.missed {
            tracing::debug!(%source, why, "every key of the source is checked");
            self.assignments.scheduler().missed(source.clone());
        }
    }

    fn turned(&self, source: &SourceId) {
        let runtime = self.runtime.load();
        let trigger = runtime
            .config
            .sources
            .get(source)
            .and_then(|it| it.events.as_ref());
        let from = trigger.map(|trigger| trigger.place()).unwrap_or_default();
        match self.feed.why_down(source) {
            None => tracing::info!(
                event = event::EVENTS_UP,
                %source,
                from,
                "changes in the source are heard of as they happen"
            ),
            Some(error) => tracing::warn!(
                event = event::EVENTS_DOWN,
                %source,
                from,
                error,
                "changes in the source are not heard of; it is polled instead"
            ),
        }
    }

    /// Has the keys checked that read what has changed.
    fn tell(&self, source: &SourceId, heard: &[&Heard]) {
        let runtime = self.runtime.load();
        let mut wake: Vec<KeyId> = Vec::new();
        for heard in heard {
            let keys = heard
                .paths
                .iter()
                .map(|path| runtime.by_secret.of(source, path));
            for managed in keys.flatten() {
                if runtime.engine.leases.has(&managed.key) {
                    runtime.engine.told.tell(&managed.key, told(heard));
                    wake.push(managed.key.clone());
                }
            }
        }
        if !wake.is_empty() {
            self.assignments.scheduler().told(wake);
        }
    }
}

fn told(heard: &Heard) -> Told {
    Told {
        version: heard.version.clone(),
        at: heard.at,
        index: heard.index.clone(),
    }
}
