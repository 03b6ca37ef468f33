//! The task that makes checks of what the triggers have heard.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::wake::Waker;
use crate::daemon::assignments::Assignments;
use crate::daemon::discovery::Discovery;
use crate::engine::Told;
use crate::model::{KeyId, SourceId};
use crate::runtime::RuntimeHandle;
use crate::state::wakeups::{Wakeup, Wakeups};
use crate::telemetry::event;
use crate::trigger::feed::Taken;
use crate::trigger::{Feed, Heard};

/// The time between two questions whether the events of each source come.
const DOUBT_EVERY: Duration = Duration::from_secs(1);

/// The wait before the state is asked again to keep wakeups.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Finds the keys that a change concerns, and has them checked.
pub struct Router {
    feed: Arc<Feed>,
    runtime: Arc<RuntimeHandle>,
    assignments: Arc<Assignments>,
    waker: Waker,
    /// Where wakeups are left for other replicas, if there can be any.
    wakeups: Option<Arc<dyn Wakeups>>,
    discovery: Arc<Discovery>,
}

impl Router {
    /// Returns a router of what is left in the feed of this runtime.
    pub fn new(
        feed: Arc<Feed>,
        runtime: Arc<RuntimeHandle>,
        assignments: Arc<Assignments>,
        wakeups: Option<Arc<dyn Wakeups>>,
        discovery: Arc<Discovery>,
    ) -> Self {
        Self {
            waker: Waker::new(runtime.clone(), assignments.clone()),
            feed,
            runtime,
            assignments,
            wakeups,
            discovery,
        }
    }

    /// Routes until the future is dropped.
    pub async fn run(&mut self) {
        let mut doubt = tokio::time::interval(DOUBT_EVERY);
        doubt.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let taken = tokio::select! {
                taken = self.feed.take() => taken,
                _ = doubt.tick() => {
                    self.feed.doubt();
                    continue;
                }
            };
            for taken in taken {
                self.route(&taken).await;
                self.feed.done(&taken);
            }
        }
    }

    async fn route(&self, Taken { source, news, .. }: &Taken) {
        self.tell(source, news.heard.values()).await;
        if news.turned {
            self.turned(source);
            // From now on the keys of the source have another interval.
            self.assignments.renew();
        }
        if let Some(why) = news.missed {
            tracing::debug!(%source, why, "every key of the source is checked");
            self.assignments.scheduler().missed(source.clone());
            self.discovery.missed(source);
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

    /// Has the keys checked that read what has changed, here or by the replicas that have leased them.
    async fn tell(&self, source: &SourceId, heard: impl Iterator<Item = &Heard>) {
        let runtime = self.runtime.load();
        let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
        for heard in heard {
            let keys = heard
                .paths
                .iter()
                .map(|path| runtime.by_secret.of(source, path));
            let mut known = false;
            for managed in keys.flatten() {
                known = true;
                let key = managed.key.clone();
                if runtime.engine.leases.has(&key) {
                    here.push((key, told(heard)));
                } else if !heard.everywhere {
                    elsewhere.push(wakeup(key, heard));
                }
            }
            if !known {
                let paths = heard.paths.iter();
                paths.for_each(|path| self.discovery.heard(source, path));
            }
        }
        self.waker.wake(here);
        if let Some(wakeups) = &self.wakeups {
            hand_on(wakeups.as_ref(), &elsewhere).await;
        }
    }
}

/// Leaves wakeups for other replicas, however long that takes: while the state is away, no replica can push.
async fn hand_on(wakeups: &dyn Wakeups, elsewhere: &[Wakeup]) {
    if elsewhere.is_empty() {
        return;
    }
    while let Err(error) = wakeups.hand_on(elsewhere).await {
        tracing::debug!(%error, "changes are handed on once the state answers");
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

fn told(heard: &Heard) -> Told {
    Told {
        version: heard.version.clone(),
        at: heard.at,
        index: heard.index.clone(),
    }
}

fn wakeup(key: KeyId, heard: &Heard) -> Wakeup {
    Wakeup {
        key,
        version: heard.version.clone(),
        at: heard.at,
        index: heard.index.clone(),
    }
}
