//! The metrics of calls to outside services.

use std::time::Duration;

use super::{
    FLASHBACK, Metrics, OperationLabel, PROVIDER, RequestLabel, ServiceLabel, ServiceOutcome,
    SourceLabel, TargetLabel, WorkspaceLabel,
};
use crate::model::WorkspaceId;

impl Metrics {
    /// Sets whether a service answers. `service` is a source's id or [`FLASHBACK`].
    pub fn service_up(&self, service: &str, up: bool) {
        if service == FLASHBACK {
            self.flashback_up.set(i64::from(up));
        } else if service != PROVIDER {
            self.source_up
                .get_or_create(&SourceLabel {
                    source: service.to_owned(),
                })
                .set(i64::from(up));
        }
    }

    /// Counts one sign-in that was answered. `service` is a source's id or [`FLASHBACK`].
    pub fn sign_in(&self, service: &str, succeeded: bool) {
        let service = service.to_owned();
        let outcome = match succeeded {
            true => "succeeded",
            false => "failed",
        };
        let label = ServiceOutcome {
            service: service.clone(),
            outcome: outcome.to_owned(),
        };
        self.sign_ins.get_or_create(&label).inc();
        self.signed_in
            .get_or_create(&ServiceLabel { service })
            .set(i64::from(succeeded));
    }

    /// Sets whether Flashback lists a workspace, and how many entries of the lists could not be read.
    pub fn listed(&self, workspace: &WorkspaceId, came: bool, unreadable: usize) {
        let workspace_id = workspace.to_string();
        let label = WorkspaceLabel { workspace_id };
        self.listed.get_or_create(&label).set(i64::from(came));
        let unreadable = i64::try_from(unreadable).unwrap_or(i64::MAX);
        self.unreadable.get_or_create(&label).set(unreadable);
    }

    /// Counts one repetition after a failure.
    pub fn retry(&self, target: &str) {
        self.retries
            .get_or_create(&TargetLabel {
                target: target.to_owned(),
            })
            .inc();
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
}
