//! The metrics of notifications.

use super::{Metrics, ReceiverOutcome};

/// The outcomes of a notification.
const OUTCOMES: [&str; 4] = ["delivered", "refused", "given_up", "dropped"];

impl Metrics {
    /// Creates the counters of a receiver: a counter with an alert must exist before it is increased.
    pub fn receiver(&self, receiver: &str) {
        for outcome in OUTCOMES {
            self.notifications(receiver, outcome, 0);
        }
    }

    /// Counts notifications to a receiver that ended with `outcome`, one of a fixed set of words.
    pub fn notifications(&self, receiver: &str, outcome: &'static str, count: u64) {
        let label = label(receiver, outcome);
        self.notifications.get_or_create(&label).inc_by(count);
    }

    /// Removes the counters of a receiver that is no longer configured.
    pub fn forget_receiver(&self, receiver: &str) {
        for outcome in OUTCOMES {
            self.notifications.remove(&label(receiver, outcome));
        }
    }
}

fn label(receiver: &str, outcome: &str) -> ReceiverOutcome {
    ReceiverOutcome {
        receiver: receiver.to_owned(),
        outcome: outcome.to_owned(),
    }
}
