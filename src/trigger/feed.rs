//! What the triggers have heard and the router has not taken yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::heard::Heard;
use super::unheard::Unheard;
use crate::model::{SourceId, Version};
use crate::telemetry::metrics::Metrics;

/// The most secrets of a source whose changes are kept for the router. What is more is missed, so that every key of
/// the source is checked instead.
const MOST: usize = 10_000;

/// The changes that were heard, by source. It never makes a trigger wait, and grows no further than the secrets that
/// changed.
pub struct Feed {
    sources: Mutex<BTreeMap<SourceId, Pending>>,
    came: Notify,
    metrics: Arc<Metrics>,
}

/// What was heard of one source since the router last took it.
#[derive(Debug, Default)]
pub struct News {
    /// The latest that was heard of each secret, by its paths.
    pub heard: BTreeMap<Vec<String>, Heard>,
    /// The reason why every key of the source is to be checked.
    pub missed: Option<&'static str>,
    /// `true` if the trigger came up or went down.
    pub turned: bool,
}

struct Pending {
    up: bool,
    /// The reason why it is down, for people, once it was said.
    why_down: Option<String>,
    /// What checks have found that no event has told of.
    unheard: Unheard,
    /// `true` if it is down because an event did not come: the next that comes says that they do again.
    silent: bool,
    news: News,
    /// The number of things that were left here.
    left: u64,
    /// The number of those that have been scheduled.
    scheduled: watch::Sender<u64>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            up: false,
            why_down: None,
            unheard: Unheard::default(),
            silent: false,
            news: News::default(),
            left: 0,
            scheduled: watch::Sender::new(0),
        }
    }
}

impl Pending {
    fn keep(&mut self, mut heard: Heard) {
        let news = &mut self.news;
        let before = news.heard.get(&heard.paths);
        if news.heard.len() >= MOST && before.is_none() {
            news.missed = Some("more changed at once than is kept");
            return;
        }
        heard.everywhere &= before.is_none_or(|before| before.everywhere);
        news.heard.insert(heard.paths.clone(), heard);
    }
}

/// News of a source, with what [`Feed::scheduled`] needs.
pub struct Taken {
    /// The source.
    pub source: SourceId,
    /// What was heard of it.
    pub news: News,
    left: u64,
}

impl Feed {
    /// Creates a feed in which nothing was heard yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            sources: Mutex::default(),
            came: Notify::new(),
            metrics,
        }
    }

    /// Returns `true` if each change of this source is heard at present.
    pub fn is_up(&self, source: &SourceId) -> bool {
        self.sources.lock().get(source).is_some_and(|it| it.up)
    }

    /// Returns the reason why changes of this source are not heard, for people; `None` if they are, or if that is not
    /// known yet.
    pub fn why_down(&self, source: &SourceId) -> Option<String> {
        self.sources.lock().get(source)?.why_down.clone()
    }

    /// Notes that each change of this source is heard from now on.
    pub fn up(&self, source: &SourceId) {
        self.turn(source, None);
    }

    /// Notes that changes of this source are not heard any more. `why` is for people.
    pub fn down(&self, source: &SourceId, why: &str) {
        self.turn(source, Some(why));
    }

    fn turn(&self, source: &SourceId, why_down: Option<&str>) {
        let up = why_down.is_none();
        self.metrics.events_up(source, up);
        self.leave(source, |pending| {
            pending.silent = false;
            if up {
                pending.unheard.begin();
            }
            let was = std::mem::replace(&mut pending.why_down, why_down.map(str::to_owned));
            if std::mem::replace(&mut pending.up, up) != up || was != pending.why_down {
                pending.news.turned = true;
            }
            if pending.news.turned {
                pending.news.missed = Some(match up {
                    true => "the events have begun",
                    false => "the events have ended",
                });
            }
        });
    }

    /// Takes that a check has found a change of this time of which no event has told.
    pub fn unheard(&self, source: &SourceId, path: &str, written_at: Option<DateTime<Utc>>) {
        let mut sources = self.sources.lock();
        if let Some(pending) = sources.get_mut(source).filter(|pending| pending.up) {
            pending.unheard.found(path, written_at);
        }
    }

    /// Notes of each source whose events do not come that its changes are not heard. To be called from time to time.
    pub fn doubt(&self) {
        let overdue: Vec<SourceId> = {
            let sources = self.sources.lock();
            let overdue = |pending: &Pending| pending.up && pending.unheard.is_overdue();
            let all = sources.iter().filter(|(_, pending)| overdue(pending));
            all.map(|(source, _)| source.clone()).collect()
        };
        for source in overdue {
            self.down(&source, "a check has found a change that no event told of");
            if let Some(pending) = self.sources.lock().get_mut(&source) {
                pending.silent = true;
            }
        }
    }

    /// Forgets a source that is not listened to any more.
    pub fn forget(&self, source: &SourceId) {
        self.sources.lock().remove(source);
        self.metrics.forget_events(source);
    }

    /// Takes a change. Of several of one secret the latest stands for all.
    pub fn heard(&self, source: &SourceId, heard: Heard) {
        self.count(source, "heard");
        let mut was_silent = false;
        self.leave(source, |pending| {
            was_silent = pending.silent;
            pending.unheard.heard(&heard.paths);
            pending.keep(heard);
        });
        if was_silent {
            self.up(source);
        }
    }

    /// Takes a change that the source itself found while it was polled for another secret.
    pub fn found(&self, source: &SourceId, path: &str, version: &Version) {
        let heard = Heard {
            version: Some(version.clone()),
            everywhere: true,
            ..Heard::of(path)
        };
        self.leave(source, |pending| pending.keep(heard));
    }

    /// Takes that something may have been missed.
    pub fn missed(&self, source: &SourceId, why: &'static str) {
        self.count(source, "missed");
        self.leave(source, |pending| pending.news.missed = Some(why));
    }

    /// Counts something that was heard.
    pub fn count(&self, source: &SourceId, outcome: &'static str) {
        self.metrics.event_received(source, outcome);
    }

    /// Waits until all that was left here of this source has been scheduled.
    pub async fn scheduled(&self, source: &SourceId) {
        let (left, mut scheduled) = {
            let mut sources = self.sources.lock();
            let pending = sources.entry(source.clone()).or_default();
            (pending.left, pending.scheduled.subscribe())
        };
        // The sender lives as long as the feed.
        let _ = scheduled.wait_for(|scheduled| *scheduled >= left).await;
    }

    /// Waits for news, and takes all there are.
    pub async fn take(&self) -> Vec<Taken> {
        loop {
            let came = self.came.notified();
            let taken: Vec<Taken> = {
                let mut sources = self.sources.lock();
                let all = sources.iter_mut();
                let new = all.filter(|(_, pending)| pending.left > *pending.scheduled.borrow());
                new.map(|(source, pending)| Taken {
                    source: source.clone(),
                    news: std::mem::take(&mut pending.news),
                    left: pending.left,
                })
                .collect()
            };
            if !taken.is_empty() {
                return taken;
            }
            came.await;
        }
    }

    /// Notes that what was taken has been scheduled, or handed on.
    pub fn done(&self, taken: &Taken) {
        if let Some(pending) = self.sources.lock().get(&taken.source) {
            pending.scheduled.send_replace(taken.left);
        }
    }

    fn leave(&self, source: &SourceId, what: impl FnOnce(&mut Pending)) {
        let mut sources = self.sources.lock();
        let pending = sources.entry(source.clone()).or_default();
        what(pending);
        pending.left += 1;
        drop(sources);
        self.came.notify_one();
    }
}

#[cfg(test)]
mod tests;
