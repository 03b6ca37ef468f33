//! A trigger that listens without a daemon.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flashback_rotator::model::SourceId;
use flashback_rotator::telemetry::metrics::Metrics;
use flashback_rotator::trigger::feed::{News, Taken};
use flashback_rotator::trigger::{Ear, Feed, Trigger, TriggerError};
use tokio::task::JoinHandle;

use super::LONG;

/// A trigger, and the feed that it leaves things in. What is taken counts as scheduled when the next is taken.
pub struct Listening {
    pub feed: Arc<Feed>,
    pub metrics: Arc<Metrics>,
    source: SourceId,
    task: Option<JoinHandle<TriggerError>>,
    taken: Vec<Taken>,
}

impl Listening {
    /// Has `trigger` listen.
    pub fn to(source: SourceId, mut trigger: Box<dyn Trigger>) -> Self {
        let metrics = Arc::new(Metrics::new());
        let feed = Arc::new(Feed::new(metrics.clone()));
        let ear = Ear::new(source.clone(), feed.clone());
        let task = tokio::spawn(async move {
            let Err(error) = trigger.listen(&ear).await;
            error
        });
        Self {
            feed,
            metrics,
            source,
            task: Some(task),
            taken: Vec::new(),
        }
    }

    /// Returns what is heard next.
    pub async fn news(&mut self) -> News {
        self.idle();
        let mut taken = within("something to be heard", self.feed.take()).await;
        let news = std::mem::take(&mut taken[0].news);
        self.taken = taken;
        news
    }

    /// Waits until every change is heard.
    pub async fn is_up(&mut self) {
        while !self.feed.is_up(&self.source) {
            if self.task.as_ref().is_some_and(JoinHandle::is_finished) {
                panic!("it has ended: {}", self.ends().await);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.news().await;
    }

    /// Waits until a change of this secret is heard, whatever was missed before.
    pub async fn hears_of(&mut self, path: &str) {
        loop {
            let news = self.news().await;
            if news.heard.into_keys().flatten().any(|heard| heard == path) {
                return;
            }
        }
    }

    /// Says that all that was taken is scheduled.
    pub fn idle(&mut self) {
        for taken in self.taken.drain(..) {
            self.feed.done(&taken);
        }
    }

    /// Waits until a change of this secret is heard, and returns every path that was heard on the way.
    pub async fn hears(&mut self, path: &str) -> BTreeSet<String> {
        let mut heard = BTreeSet::new();
        while !heard.contains(path) {
            let news = self.news().await;
            assert!(news.missed.is_none(), "{:?}", news.missed);
            heard.extend(news.heard.into_keys().flatten());
        }
        heard
    }

    /// Waits until it ends, and returns why.
    pub async fn ends(&mut self) -> String {
        let task = self.task.take().expect("it was not waited for before");
        within("its end", task).await.expect("no panic").to_string()
    }

    /// Waits until it ends, or says that it does not hear every change, and returns why.
    pub async fn ends_or_is_down(&mut self) -> String {
        loop {
            if let Some(why) = self.feed.why_down(&self.source) {
                return why;
            }
            if self.task.as_ref().is_some_and(JoinHandle::is_finished) {
                return self.ends().await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LONG, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"))
}
