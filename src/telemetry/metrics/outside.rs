//! The metrics of what is outside this process: the services it calls, the receivers of notifications, the state and
//! the processes that share the keys.

use std::time::Duration;

use super::{
    FLASHBACK, MAKER, Metrics, OperationLabel, OutcomeLabel, PROVIDER, ProviderLabel, RECEIVER,
    ReceiverOutcome, RequestLabel, RuleLabel, ServiceLabel, ServiceOutcome, SourceLabel,
    SourceOutcome, TargetLabel, WorkspaceLabel,
};
use crate::model::{RuleId, SourceId, WorkspaceId};

/// The outcomes of a notification.
const OUTCOMES: [&str; 4] = ["delivered", "refused", "given_up", "dropped"];

impl Metrics {
    /// Sets whether a service answers. `service` is a source's id, [`FLASHBACK`] or a provider's
    /// [name](super::service_of).
    pub fn service_up(&self, service: &str, up: bool) {
        if service == FLASHBACK {
            self.flashback_up.set(i64::from(up));
        } else if let Some(provider) = service.strip_prefix(MAKER) {
            let label = ProviderLabel::of(provider);
            self.provider_up.get_or_create(&label).set(i64::from(up));
        } else if ![PROVIDER, RECEIVER].contains(&service) {
            let label = SourceLabel::of(service);
            self.source_up.get_or_create(&label).set(i64::from(up));
        }
    }

    /// Sets how a rule stands: whether its source is listed, how many keys it has made, and how many secrets are not the
    /// keys that they should be.
    pub fn discovery(&self, rule: &RuleId, up: bool, keys: usize, problems: usize) {
        let label = RuleLabel::of(rule);
        self.discovery_up.get_or_create(&label).set(i64::from(up));
        self.discovered_keys.get_or_create(&label).set(number(keys));
        let all = self.discovery_problems.get_or_create(&label);
        all.set(number(problems));
    }

    /// Removes the series of a rule that is no longer configured.
    pub fn forget_rule(&self, rule: &RuleId) {
        let label = RuleLabel::of(rule);
        self.discovery_up.remove(&label);
        self.discovered_keys.remove(&label);
        self.discovery_problems.remove(&label);
    }

    /// Sets whether each change of a source is heard of.
    pub fn events_up(&self, source: &SourceId, up: bool) {
        self.events_up
            .get_or_create(&SourceLabel::of(source))
            .set(i64::from(up));
    }

    /// Removes whether each change of a source is heard of, for a source that is not listened to any more.
    pub fn forget_events(&self, source: &SourceId) {
        self.events_up.remove(&SourceLabel::of(source));
    }

    /// Counts what came from a source's events. `outcome` is one of a fixed set of words.
    pub fn event_received(&self, source: &SourceId, outcome: &'static str) {
        let label = SourceOutcome {
            source: source.into(),
            outcome,
        };
        self.events_received.get_or_create(&label).inc();
    }

    /// Records the time from a change in a source to the check that its event caused.
    pub fn event_delay(&self, source: &SourceId, elapsed: Duration) {
        self.event_delay
            .get_or_create(&SourceLabel::of(source))
            .observe(elapsed.as_secs_f64());
    }

    /// Counts one sign-in that was answered. `service` is a source's id or [`FLASHBACK`].
    pub fn sign_in(&self, service: &str, succeeded: bool) {
        let outcome = match succeeded {
            true => "succeeded",
            false => "failed",
        };
        let label = ServiceOutcome::of(service, outcome);
        self.sign_ins.get_or_create(&label).inc();
        let label = ServiceLabel::of(service);
        self.signed_in
            .get_or_create(&label)
            .set(i64::from(succeeded));
    }

    /// Sets whether Flashback lists a workspace, and how many entries of the lists could not be read.
    pub fn listed(&self, workspace: &WorkspaceId, came: bool, unreadable: usize) {
        let label = WorkspaceLabel::of(workspace);
        self.listed.get_or_create(&label).set(i64::from(came));
        let entries = self.unreadable.get_or_create(&label);
        entries.set(number(unreadable));
    }

    /// Counts one repetition after a failure.
    pub fn retry(&self, target: &str) {
        self.retries.get_or_create(&TargetLabel::of(target)).inc();
    }

    /// Counts one call to an outside service and records its time.
    pub fn api_request(
        &self,
        service: &str,
        operation: &'static str,
        status: &str,
        elapsed: Duration,
    ) {
        let label = RequestLabel {
            service: service.to_owned(),
            operation,
            status: status.to_owned(),
        };
        self.requests.get_or_create(&label).inc();
        let label = OperationLabel {
            service: label.service,
            operation: label.operation,
        };
        self.request_duration
            .get_or_create(&label)
            .observe(elapsed.as_secs_f64());
    }

    /// Creates the counters of a receiver: a counter with an alert must exist before it is increased.
    pub fn receiver(&self, receiver: &str) {
        for outcome in OUTCOMES {
            self.notifications(receiver, outcome, 0);
        }
    }

    /// Counts notifications to a receiver that ended with `outcome`, one of a fixed set of words.
    pub fn notifications(&self, receiver: &str, outcome: &'static str, count: u64) {
        let label = ReceiverOutcome::of(receiver, outcome);
        self.notifications.get_or_create(&label).inc_by(count);
    }

    /// Removes the counters of a receiver that is no longer configured.
    pub fn forget_receiver(&self, receiver: &str) {
        for outcome in OUTCOMES {
            self.notifications
                .remove(&ReceiverOutcome::of(receiver, outcome));
        }
    }

    /// Sets whether the state answers.
    pub fn state_up(&self, up: bool) {
        self.state_up.set(i64::from(up));
    }

    /// Sets the number of processes that share the keys, and the number of keys leased to this one.
    pub fn sharing(&self, replicas: u32, held: usize) {
        self.replicas.set(replicas.into());
        self.keys_held.set(number(held));
    }

    /// Sets the number of configured keys that no process works on.
    pub fn keys_free(&self, keys: usize) {
        self.keys_free.set(number(keys));
    }

    /// Counts one renewal of the lease: `renewed`, `lost` or `failed`.
    pub fn lease_renewal(&self, outcome: &'static str) {
        let label = OutcomeLabel::of(outcome);
        self.lease_renewals.get_or_create(&label).inc();
    }
}

/// Converts a count into the value of a gauge.
fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
