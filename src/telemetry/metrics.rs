//! The metrics: Prometheus text, prefix `flashback_rotator_`.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::panics;
use crate::model::{Action, KeyId, Outcome, SourceId};

/// The name metrics and reports give to Flashback, beside the ids of the sources.
pub const FLASHBACK: &str = "flashback";

macro_rules! labels {
    ($name:ident { $($field:ident),* }) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: String),* }
    };
}

labels!(SourceOutcome { source, outcome });
labels!(KeyActionOutcome {
    key,
    action,
    outcome
});
labels!(KeyLabel { key });
labels!(SourceLabel { source });
labels!(TargetLabel { target });
labels!(RequestLabel {
    service,
    operation,
    status
});
labels!(OperationLabel { service, operation });
labels!(OutcomeLabel { outcome });

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    checks: Family<SourceOutcome, Counter>,
    pushes: Family<KeyActionOutcome, Counter>,
    push_duration: Histogram,
    propagation: Histogram,
    in_sync: Family<KeyLabel, Gauge>,
    last_push: Family<KeyLabel, Gauge<f64, AtomicU64>>,
    last_check: Family<KeyLabel, Gauge<f64, AtomicU64>>,
    retries: Family<TargetLabel, Counter>,
    source_up: Family<SourceLabel, Gauge>,
    flashback_up: Gauge,
    requests: Family<RequestLabel, Counter>,
    request_duration: Family<OperationLabel, Histogram>,
    reloads: Family<OutcomeLabel, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Self {
        let call_buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let mut registry = Registry::with_prefix("flashback_rotator");
        let metrics = Self {
            checks: Family::default(),
            pushes: Family::default(),
            push_duration: call_buckets(),
            propagation: Histogram::new(exponential_buckets(0.05, 2.0, 18)),
            in_sync: Family::default(),
            last_push: Family::default(),
            last_check: Family::default(),
            retries: Family::default(),
            source_up: Family::default(),
            flashback_up: Gauge::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(call_buckets),
            reloads: Family::default(),
            registry: Registry::default(),
        };
        macro_rules! register {
            ($field:ident, $name:literal, $help:literal) => {
                registry.register($name, $help, metrics.$field.clone())
            };
        }
        register!(checks, "checks", "Looks at a key in its source");
        register!(pushes, "pushes", "Writes to Flashback");
        register!(
            push_duration,
            "push_duration_seconds",
            "Time of a write to Flashback"
        );
        register!(
            propagation,
            "propagation_seconds",
            "From the time the store gives a version to Flashback's answer"
        );
        register!(
            in_sync,
            "key_in_sync",
            "1 while Flashback holds the store's version of the key"
        );
        register!(
            last_push,
            "key_last_push_timestamp_seconds",
            "Unix time of the last push of the key"
        );
        register!(
            last_check,
            "key_last_check_timestamp_seconds",
            "Unix time of the last look at the key"
        );
        register!(retries, "retries", "Repetitions after a failure");
        register!(source_up, "source_up", "1 while the source answers");
        register!(flashback_up, "flashback_up", "1 while Flashback answers");
        register!(requests, "api_requests", "Calls to outside services");
        register!(
            request_duration,
            "api_request_duration_seconds",
            "Time of a call to an outside service"
        );
        register!(reloads, "config_reloads", "Reloads of the configuration");
        registry.register(
            "panics",
            "Panics, which the process survives; each is a defect",
            panics::COUNT.clone(),
        );
        registry.register(
            "build",
            "The version of this program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// One look at a key: `outcome` is one of a fixed set of words.
    pub fn check(&self, key: &KeyId, source: &SourceId, outcome: &'static str, at: DateTime<Utc>) {
        let label = SourceOutcome {
            source: source.to_string(),
            outcome: outcome.to_owned(),
        };
        self.checks.get_or_create(&label).inc();
        self.last_check
            .get_or_create(&KeyLabel {
                key: key.to_string(),
            })
            .set(unix_seconds(at));
    }

    /// One write to Flashback.
    pub fn push(&self, key: &KeyId, action: Action, outcome: Outcome, elapsed: Duration) {
        let label = KeyActionOutcome {
            key: key.to_string(),
            action: action.as_str().to_owned(),
            outcome: outcome.as_str().to_owned(),
        };
        self.pushes.get_or_create(&label).inc();
        self.push_duration.observe(elapsed.as_secs_f64());
    }

    /// When a key was last pushed.
    pub fn last_push(&self, key: &KeyId, at: DateTime<Utc>) {
        self.last_push
            .get_or_create(&KeyLabel {
                key: key.to_string(),
            })
            .set(unix_seconds(at));
    }

    /// From the store's time of a version to Flashback's answer.
    pub fn propagation(&self, elapsed: Duration) {
        self.propagation.observe(elapsed.as_secs_f64());
    }

    /// Whether Flashback holds what the store holds.
    pub fn in_sync(&self, key: &KeyId, in_sync: bool) {
        self.in_sync
            .get_or_create(&KeyLabel {
                key: key.to_string(),
            })
            .set(i64::from(in_sync));
    }

    /// Forgets the series of a key that is no longer configured.
    pub fn forget_key(&self, key: &KeyId) {
        let label = KeyLabel {
            key: key.to_string(),
        };
        self.in_sync.remove(&label);
        self.last_push.remove(&label);
        self.last_check.remove(&label);
    }

    /// Forgets the series of a source that is no longer configured.
    pub fn forget_source(&self, source: &SourceId) {
        self.source_up.remove(&SourceLabel {
            source: source.to_string(),
        });
    }

    /// Whether a service answers: a source's id, or [`FLASHBACK`].
    pub fn service_up(&self, service: &str, up: bool) {
        if service == FLASHBACK {
            self.flashback_up.set(i64::from(up));
        } else {
            self.source_up
                .get_or_create(&SourceLabel {
                    source: service.to_owned(),
                })
                .set(i64::from(up));
        }
    }

    /// One repetition after a failure.
    pub fn retry(&self, target: &str) {
        self.retries
            .get_or_create(&TargetLabel {
                target: target.to_owned(),
            })
            .inc();
    }

    /// One call to an outside service.
    pub fn api_request(
        &self,
        service: &str,
        operation: &'static str,
        status: &str,
        elapsed: Duration,
    ) {
        let label = RequestLabel {
            service: service.to_owned(),
            operation: operation.to_owned(),
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

    /// One reload of the configuration.
    pub fn reload(&self, outcome: &'static str) {
        self.reloads
            .get_or_create(&OutcomeLabel {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    /// The text of `/metrics` (OpenMetrics, which Prometheus reads).
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# the metrics could not be encoded");
        }
        text
    }
}

fn unix_seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_the_promised_names() {
        let metrics = Metrics::new();
        let (key, source) = (KeyId::new("k"), SourceId::new("s"));
        metrics.check(&key, &source, "unchanged", Utc::now());
        metrics.push(
            &key,
            Action::Update,
            Outcome::Succeeded,
            Duration::from_millis(3),
        );
        metrics.last_push(&key, Utc::now());
        metrics.propagation(Duration::from_secs(1));
        metrics.in_sync(&key, true);
        metrics.service_up("s", true);
        metrics.retry("s");
        metrics.api_request("s", "read", "ok", Duration::from_millis(2));
        metrics.reload("accepted");
        let text = metrics.render();
        for name in [
            "checks_total{source=\"s\",outcome=\"unchanged\"} 1",
            "pushes_total{key=\"k\",action=\"update\",outcome=\"succeeded\"} 1",
            "push_duration_seconds_count 1",
            "propagation_seconds_count 1",
            "key_in_sync{key=\"k\"} 1",
            "key_last_push_timestamp_seconds{key=\"k\"}",
            "key_last_check_timestamp_seconds{key=\"k\"}",
            "retries_total{target=\"s\"} 1",
            "source_up{source=\"s\"} 1",
            "flashback_up 0",
            "api_requests_total{service=\"s\",operation=\"read\",status=\"ok\"} 1",
            "api_request_duration_seconds_count{service=\"s\",operation=\"read\"} 1",
            "config_reloads_total{outcome=\"accepted\"} 1",
            "build_info{version=",
        ] {
            let line = format!("flashback_rotator_{name}");
            assert!(text.contains(&line), "no {line} in\n{text}");
        }
        metrics.forget_key(&key);
        assert!(!metrics.render().contains("key_in_sync{"));
    }
}
