//! The contract of a trigger.
//!
//! Every implementation of [`Trigger`] keeps these rules:
//!
//! - **It never stalls its sender.** What is heard goes into the [`Ear`], which takes it without waiting and in bounded
//!   memory, however fast it comes.
//! - **It says when it cannot be relied on.** From [`Ear::up`] on, each change of the source reaches the ear or is
//!   covered by [`Ear::missed`]. A trigger that cannot keep that promise for now says [`Ear::down`], and one that cannot
//!   go on returns an error; it counts as down from then on, the source is polled as if there were no trigger, and after
//!   an error the trigger is started again after a wait.
//! - **It believes nothing.** A record is data of another process: what cannot be read is counted and skipped, a line
//!   or message without an end is bounded, and text of it reaches a log or an error only through
//!   [`words::shown`](crate::words::shown).
//! - The future may be dropped at any await, by a reload or a shutdown.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;

use super::feed::Feed;
use super::heard::Heard;
use crate::model::SourceId;

/// Listens to what a source sends out.
#[async_trait]
pub trait Trigger: Send {
    /// Listens until the future is dropped.
    ///
    /// # Errors
    /// Returns [`TriggerError`] when it cannot listen any longer. It is called again after a wait.
    async fn listen(&mut self, ear: &Ear) -> Result<Infallible, TriggerError>;
}

/// The place where a trigger leaves what it hears.
#[derive(Clone)]
pub struct Ear {
    source: SourceId,
    feed: Arc<Feed>,
}

impl Ear {
    /// Returns an ear for the changes of this source.
    pub fn new(source: SourceId, feed: Arc<Feed>) -> Self {
        Self { source, feed }
    }

    /// Returns the source that is listened to.
    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// From now on each change is heard. All keys of the source are checked once, for what came before.
    pub fn up(&self) {
        self.feed.up(&self.source);
    }

    /// From now on changes are not heard, though the trigger still listens. `why` is for people, in words of the
    /// rotator's own.
    pub fn down(&self, why: &str) {
        self.feed.down(&self.source, why);
    }

    /// Takes a change.
    pub fn heard(&self, heard: Heard) {
        self.feed.heard(&self.source, heard);
    }

    /// Takes that something may have been missed, so that all keys of the source are checked once. `why` is for
    /// people, in words of the rotator's own.
    pub fn missed(&self, why: &'static str) {
        self.feed.missed(&self.source, why);
    }

    /// Counts something that was heard and is no change (`ignored`), or that cannot be read (`malformed`).
    pub fn passed_over(&self, outcome: &'static str) {
        self.feed.count(&self.source, outcome);
    }

    /// Waits until everything that was left here before has been scheduled, or handed on to the replica that has the
    /// key.
    pub async fn scheduled(&self) {
        self.feed.scheduled(&self.source).await;
    }
}

/// The reason why a trigger cannot listen: a clause for people with what to do, without any secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TriggerError(pub String);
