//! Those who are told of what happens.

use super::{Metrics, ReceiverOutcome};

/// What becomes of a notice.
const OUTCOMES: [&str; 4] = ["delivered", "refused", "given_up", "dropped"];

impl Metrics {
    /// There is a receiver of this name: what an alert counts is there before it happens.
    pub fn receiver(&self, receiver: &str) {
        for outcome in OUTCOMES {
            self.notifications(receiver, outcome, 0);
        }
    }

    /// So many notices to a receiver ended like this: one of a fixed set of words.
    pub fn notifications(&self, receiver: &str, outcome: &'static str, count: u64) {
        let label = label(receiver, outcome);
        self.notifications.get_or_create(&label).inc_by(count);
    }

    /// There is no receiver of this name any more.
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
