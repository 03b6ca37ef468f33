//! The pending notices of one receiver, and how they are sent.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::compose::compose;
use crate::model::{Change, ReceiverId};
use crate::notify::{Dispatch, Ledger, Notice, Receiver, Undelivered, Way};
use crate::retry::{Class, Limits, Round};
use crate::runtime::{Runtime, RuntimeHandle};
use crate::telemetry::event;
use crate::telemetry::metrics::{Metrics, RECEIVER};
use crate::upstream::Failure as _;

/// The waits between attempts at one notice. After a day it is of no use any more.
const RETRY: Limits = Limits {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(60),
    give_up_after: Duration::from_secs(24 * 60 * 60),
};

/// The time for which subjects are gathered for one notice, if the receiver's format can hold several.
const GATHER: Duration = Duration::from_secs(2);

/// The outbox of one receiver.
pub struct Outbox {
    pub ledger: Ledger,
    /// The notices that earlier processes sent to the receiver have been read from the state.
    pub loaded: bool,
    way: Arc<Way>,
    /// The earliest time of the next notice.
    not_before: Instant,
    /// A change has been dropped since the outbox was last empty.
    dropping: bool,
}

/// The outcome of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has accepted it.
    Delivered,
    /// The receiver has refused it.
    Refused,
    /// Every attempt failed for as long as a notice is of use.
    GivenUp,
    /// It was over before it could be delivered, or the receiver was removed.
    Moot,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
            Self::Moot => "moot",
        }
    }
}

impl Outbox {
    pub fn new(id: ReceiverId, runtime: &Runtime) -> Self {
        let metrics = Arc::clone(&runtime.engine.metrics);
        Self {
            ledger: Ledger::new(id),
            loaded: false,
            way: Arc::new(Way::new(metrics, RETRY)),
            not_before: Instant::now(),
            dropping: false,
        }
    }

    /// Adds a change.
    pub fn happened(&mut self, change: &Change, receiver: &Receiver, runtime: &Runtime) {
        if !self.ledger.happened(change.clone(), &receiver.terms) {
            self.dropped(1, receiver, runtime);
        }
    }

    /// Counts changes that had to be dropped, and logs the first of a series.
    pub fn dropped(&mut self, count: u64, receiver: &Receiver, runtime: &Runtime) {
        let id = receiver.id.as_str();
        runtime.engine.metrics.notifications(id, "dropped", count);
        if !std::mem::replace(&mut self.dropping, true) {
            tracing::warn!(
                event = event::NOTIFICATION_DROPPED,
                receiver = id,
                waiting = self.ledger.waiting(),
                "too much waits for the receiver: it is not told of every change"
            );
        }
    }

    /// Starts to send what is due; `None` if nothing is.
    pub fn next(
        &mut self,
        receiver: &Arc<Receiver>,
        handle: &Arc<RuntimeHandle>,
        leaving: bool,
    ) -> Option<BoxFuture<'static, Outcome>> {
        if Instant::now() < self.not_before && !leaving {
            return None;
        }
        let most = receiver.format.most;
        let dispatch = self.ledger.next(&receiver.terms, most, Utc::now())?;
        self.dropping &= self.ledger.waiting() > 0;
        let (way, handle) = (Arc::clone(&self.way), Arc::clone(handle));
        let id = receiver.id.clone();
        if most > 1 {
            self.not_before = Instant::now() + GATHER;
        }
        Some(Box::pin(async move {
            let runtime = handle.load();
            let metrics = Arc::clone(&runtime.engine.metrics);
            let notice = compose(&dispatch, &runtime).await;
            drop(runtime);
            let outcome = tell(&id, &dispatch, &notice, &way, &handle).await;
            if outcome != Outcome::Moot {
                metrics.notifications(id.as_str(), outcome.as_str(), 1);
            }
            outcome
        }))
    }

    /// Records the outcome of the notice that was being sent.
    pub fn ended(&mut self, outcome: Outcome) {
        let now = Utc::now();
        match outcome {
            Outcome::Delivered => self.ledger.delivered(now),
            Outcome::Refused | Outcome::GivenUp => self.ledger.refused(now),
            Outcome::Moot => self.ledger.was_moot(),
        }
    }
}

/// Sends a notice until it is accepted, refused, given up or moot. Each attempt goes to where the receiver is
/// configured to be at that moment.
async fn tell(
    id: &ReceiverId,
    dispatch: &Dispatch,
    notice: &Notice,
    way: &Way,
    handle: &RuntimeHandle,
) -> Outcome {
    let mut round = Round::begin(RETRY);
    let said = Said {
        receiver: id,
        notice,
        subject: notice.about[0].subject.to_string(),
    };
    loop {
        let receiver = handle.load().receivers.get(id).cloned();
        let Some(receiver) = receiver.filter(|_| !dispatch.is_moot()) else {
            return Outcome::Moot;
        };
        let error = match way.send(&receiver, notice).await {
            Ok(()) => {
                said.delivered(round.attempt());
                return Outcome::Delivered;
            }
            Err(error) => error,
        };
        let attempt = round.attempt();
        if error.class() == Class::Refused {
            said.failed(attempt, &error);
            return Outcome::Refused;
        }
        let Some(wait) = round.next_wait(error.class().retry_after()) else {
            said.failed(attempt, &error);
            return Outcome::GivenUp;
        };
        if attempt == 1 {
            said.retrying(&error, wait);
        }
        retried(&handle.load().engine.metrics);
        tokio::time::sleep(wait).await;
    }
}

fn retried(metrics: &Metrics) {
    metrics.retry(RECEIVER);
}

/// The fields that log lines about a notice share.
struct Said<'a> {
    receiver: &'a ReceiverId,
    notice: &'a Notice,
    subject: String,
}

impl Said<'_> {
    fn delivered(&self, attempt: u32) {
        tracing::info!(
            event = event::NOTIFICATION_SENT,
            receiver = self.receiver.as_str(),
            notified = self.notice.event.as_str(),
            subject = self.subject,
            attempt,
            "the receiver was told"
        );
    }

    fn retrying(&self, error: &Undelivered, wait: Duration) {
        tracing::warn!(
            event = event::NOTIFICATION_RETRYING,
            receiver = self.receiver.as_str(),
            notified = self.notice.event.as_str(),
            subject = self.subject,
            %error,
            retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "the receiver could not be told; it is tried again for a day"
        );
    }

    fn failed(&self, attempt: u32, error: &Undelivered) {
        tracing::error!(
            event = event::NOTIFICATION_FAILED,
            receiver = self.receiver.as_str(),
            notified = self.notice.event.as_str(),
            subject = self.subject,
            attempt,
            %error,
            "the receiver does not take it; it is not tried again"
        );
    }
}
